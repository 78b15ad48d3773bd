import { onAbort } from "../base/on-abort.ts";
import type { Platform, Timer } from "../base/platform.ts";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type { BindSocket } from "./datagram-socket.ts";

/** Where gateways listen, for NAT-PMP (RFC 6886 §3.1) and PCP (RFC 6887 §8.1) alike. */
export const gatewayPort = 5_351;

export interface GatewayOptions {
  readonly platform: Platform;
  /** {@link Network.bindSocket}. */
  readonly bindSocket: BindSocket;
  /** The IPv4 address of the gateway of now, where it is known. */
  readonly gateway: () => string | undefined;
  /** Default {@link gatewayPort}. */
  readonly port?: number;
}

export interface ExchangeOptions<Answer> {
  /** Undefined for what is no answer. */
  readonly decode: (bytes: Uint8Array) => Answer | undefined;
  /** When a request leaves again, as long as somebody waits: after the first time. Milliseconds. */
  readonly repeatsMs: readonly number[];
  /** The process lives as long as this takes. */
  readonly hold: boolean;
  readonly signal: AbortSignal;
}

/** A gateway that is asked, one question at a time. */
export interface GatewayExchange<Answer> {
  /** IPv4. */
  readonly gateway: string;
  /** Sends a request until `wanted` finds its answer. Rejects with what that throws, and with the signal's reason. */
  ask<T>(request: Uint8Array, wanted: (answer: Answer) => T | undefined): Promise<T>;
}

/** Opens a socket to the gateway for `act`. Rejects where no gateway is known. */
export async function withGateway<Answer, T>(
  { platform, bindSocket, gateway, port = gatewayPort }: GatewayOptions,
  { decode, repeatsMs, hold, signal }: ExchangeOptions<Answer>,
  act: (exchange: GatewayExchange<Answer>) => Promise<T>,
): Promise<T> {
  const host = gateway();
  if (host === undefined) {
    throw new Error("the gateway of this host is not known");
  }
  const to = socketAddress(host, port);
  let receive = (_answer: Answer): void => {};
  const socket = await bindSocket([socketAddress("0.0.0.0", 0)], {
    // Answers come from the gateway alone (RFC 6886 §3.1, RFC 6887 §8.3).
    datagram: (from: SocketAddress, bytes: Uint8Array) => {
      const answer = from.host === to.host && from.port === to.port ? decode(bytes) : undefined;
      if (answer !== undefined) {
        receive(answer);
      }
    },
    failed: () => {},
  });
  socket.setRef(hold);
  const ask: GatewayExchange<Answer>["ask"] = (request, wanted) =>
    new Promise((resolve, reject) => {
      const timers: Timer[] = [];
      const stopListening = onAbort(signal, () => end(() => reject(signal.reason)));
      const end = (settle: () => void): void => {
        stopListening();
        timers.forEach(platform.clearTimer, platform);
        receive = () => {};
        settle();
      };
      const send = (): void => socket.send(to, request, request.length);
      receive = (answer) => {
        try {
          const found = wanted(answer);
          if (found !== undefined) {
            end(() => resolve(found));
          }
        } catch (error) {
          end(() => reject(error));
        }
      };
      for (const delayMs of repeatsMs) {
        timers.push(platform.setTimer(delayMs, send));
      }
      if (signal.aborted) {
        end(() => reject(signal.reason));
      } else {
        send();
      }
    });
  try {
    return await act({ gateway: host, ask });
  } finally {
    await socket.close();
  }
}
