import { onAbort } from "../base/on-abort.ts";
import type { Platform, Timer } from "../base/platform.ts";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type { BindSocket } from "./datagram-socket.ts";
import {
  decodeNatPmpResponse,
  encodeNatPmpAddressRequest,
  encodeNatPmpMapRequest,
  type NatPmpResponse,
  natPmpPort,
} from "./nat-pmp.ts";
import type { MapPortOptions, PortMapping, PortMappingMethod } from "./port-mapper.ts";

export interface NatPmpOptions {
  readonly platform: Platform;
  /** {@link Network.bindSocket}. */
  readonly bindSocket: BindSocket;
  /** The IPv4 address of the gateway of now, where it is known. */
  readonly gateway: () => string | undefined;
  /** Default {@link natPmpPort}. */
  readonly port?: number;
}

/** Recommended (RFC 6886 §3.3). Two hours. */
const lifetimeSeconds = 7_200;
/** Requests leave at 0, 250, 750, 1750 ms and so on, as long as somebody waits (RFC 6886 §3.1). */
const firstWaitMs = 250;
const maxRequests = 9;

/** Has the gateway forward a port by NAT-PMP (RFC 6886), which many that speak PCP or UPnP understand as well. */
export function natPmpMethod(options: NatPmpOptions): PortMappingMethod {
  return {
    map: (localPort, { previous, signal }: MapPortOptions) =>
      withGateway(options, signal, async (ask): Promise<PortMapping> => {
        const wanted = {
          internalPort: localPort,
          externalPort: previous?.port ?? localPort,
          lifetimeSeconds,
        };
        const { host } = await ask(encodeNatPmpAddressRequest(), (answer) =>
          answer.type === "address" ? answer : undefined,
        );
        const mapped = await ask(encodeNatPmpMapRequest(wanted), (answer) =>
          answer.type === "mapped" && answer.internalPort === localPort ? answer : undefined,
        );
        return {
          address: socketAddress(host, mapped.externalPort),
          lifetimeMs: mapped.lifetimeSeconds * 1_000,
        };
      }),
    unmap: (localPort, { signal }) =>
      withGateway({ ...options, hold: true }, signal, async (ask) => {
        const nothing = { internalPort: localPort, externalPort: 0, lifetimeSeconds: 0 };
        await ask(encodeNatPmpMapRequest(nothing), (answer) =>
          answer.type === "mapped" && answer.internalPort === localPort ? answer : undefined,
        );
      }),
  };
}

/** Sends a request until `wanted` finds its answer. Rejects when the gateway refuses it. */
type Ask = <T>(
  request: Uint8Array,
  wanted: (answer: NatPmpResponse) => T | undefined,
) => Promise<T>;

/** Opens a socket for `act`. Rejects without a gateway, and with the signal's reason. */
async function withGateway<T>(
  {
    platform,
    bindSocket,
    gateway,
    port = natPmpPort,
    hold = false,
  }: NatPmpOptions & { readonly hold?: boolean },
  signal: AbortSignal,
  act: (ask: Ask) => Promise<T>,
): Promise<T> {
  const host = gateway();
  if (host === undefined) {
    throw new Error("the gateway of this host is not known");
  }
  const to = socketAddress(host, port);
  let receive = (_answer: NatPmpResponse): void => {};
  const socket = await bindSocket([socketAddress("0.0.0.0", 0)], {
    // Answers come from the gateway alone (RFC 6886 §3.1).
    datagram: (from: SocketAddress, bytes: Uint8Array) => {
      const answer = from.host === to.host && from.port === to.port && decodeNatPmpResponse(bytes);
      if (answer) {
        receive(answer);
      }
    },
    failed: () => {},
  });
  // Whoever waits for the port to be given back is about to end the process.
  socket.setRef(hold);
  const ask: Ask = (request, wanted) =>
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
        const isMap = request.length > 2;
        if (answer.type === "refused" && (answer.request === "map") === isMap) {
          end(() => reject(new Error(`the gateway refuses with result ${answer.result}`)));
          return;
        }
        const found = wanted(answer);
        if (found !== undefined) {
          end(() => resolve(found));
        }
      };
      for (let sent = 1; sent < maxRequests; sent += 1) {
        timers.push(platform.setTimer(firstWaitMs * (2 ** sent - 1), send));
      }
      if (signal.aborted) {
        end(() => reject(signal.reason));
      } else {
        send();
      }
    });
  try {
    return await act(ask);
  } finally {
    await socket.close();
  }
}
