import { encodeHex } from "../base/hex.ts";
import { onAbort } from "../base/on-abort.ts";
import type { Platform, Timer } from "../base/platform.ts";
import {
  formatSocketAddress,
  isSameSocketAddress,
  type SocketAddress,
} from "../base/socket-address.ts";
import { unmapped } from "./dialable-addresses.ts";
import { isPlausible, isUnicast, type Observation } from "./observation.ts";
import {
  decodeStun,
  encodeStunRequest,
  isStun,
  StunError,
  type StunMessage,
  transactionIdLength,
} from "./stun.ts";

export type StunProbeErrorCode =
  /** No answer in time. */
  | "timeout"
  /** The server answered with an error. */
  | "refused"
  /** The server answered, but with no address, or one at which nobody is. */
  | "unusable-answer"
  /** Nobody can be at the server's address. */
  | "unusable-server"
  /** {@link maxProbes} are under way. */
  | "too-many"
  /** The prober was closed. */
  | "closed";

/** A server did not say where it sees us. */
export class StunProbeError extends Error {
  override readonly name = "StunProbeError";
  readonly code: StunProbeErrorCode;

  constructor(code: StunProbeErrorCode, server: SocketAddress, problem: string) {
    super(`cannot learn own address from ${formatSocketAddress(server)}: ${problem}`);
    this.code = code;
  }
}

export interface StunAnswer extends Observation {
  /** From the first request to the answer, so more than a round trip where the first was lost. */
  readonly latencyMs: number;
}

export interface StunProberOptions {
  readonly platform: Platform;
  /** Sends a datagram from the socket whose address is to be learned; `bytes` is borrowed for the time of the call. */
  readonly send: (to: SocketAddress, bytes: Uint8Array) => void;
}

export interface ProbeOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds, default 3000. */
  readonly timeoutMs?: number;
}

/** Probes under way at one time. */
export const maxProbes = 64;
const defaultTimeoutMs = 3_000;
/** RTO and Rc (RFC 8489 §6.2.1): requests leave at 0, 500, 1500, 3500 ms and so on, as long as there is time. */
const retransmissionTimeoutMs = 500;
const maxRequests = 7;

interface Probe {
  readonly server: SocketAddress;
  readonly request: Uint8Array;
  readonly startedAt: number;
  readonly end: (outcome: StunAnswer | StunProbeError) => void;
}

/**
 * Asks STUN servers where they see the socket that everything else goes through. What arrives there and {@link isStun} is
 * for {@link handle}; an answer counts only from the address that was asked and with the transaction id that was sent, and
 * nothing is ever sent but requests, so nobody can use this to flood others.
 */
export class StunProber {
  readonly #platform: Platform;
  readonly #send: (to: SocketAddress, bytes: Uint8Array) => void;
  /** By transaction id. */
  readonly #probes = new Map<string, Probe>();
  #isClosed = false;

  constructor({ platform, send }: StunProberOptions) {
    this.#platform = platform;
    this.#send = send;
  }

  /** Rejects with {@link StunProbeError}, or with the signal's reason. */
  async probe(to: SocketAddress, options: ProbeOptions = {}): Promise<StunAnswer> {
    const { signal, timeoutMs = defaultTimeoutMs } = options;
    signal?.throwIfAborted();
    const server = unmapped(to);
    const fault = this.#faultOf(server);
    if (fault !== undefined) {
      throw fault;
    }
    const id = new Uint8Array(transactionIdLength);
    this.#platform.randomFill(id);
    const key = encodeHex(id);
    return await new Promise<StunAnswer>((resolve, reject) => {
      const timers = new Set<Timer>();
      const leave = (): void => {
        stopListening();
        this.#probes.delete(key);
        for (const timer of timers) {
          this.#platform.clearTimer(timer);
        }
      };
      const stopListening = onAbort(signal, () => {
        leave();
        reject(signal?.reason);
      });
      const probe: Probe = {
        server,
        request: encodeStunRequest(id),
        startedAt: this.#platform.now(),
        end: (outcome) => {
          leave();
          outcome instanceof Error ? reject(outcome) : resolve(outcome);
        },
      };
      this.#probes.set(key, probe);
      for (const delayMs of requestTimes(timeoutMs)) {
        timers.add(this.#platform.setTimer(delayMs, () => this.#send(server, probe.request)));
      }
      const late = (): void =>
        probe.end(new StunProbeError("timeout", server, `no answer within ${timeoutMs} ms`));
      timers.add(this.#platform.setTimer(timeoutMs, late));
      this.#send(server, probe.request);
    });
  }

  /**
   * Takes what has arrived at the socket. False: it is no STUN, and for QUIC. Never throws: what was not asked for, or is
   * broken, goes unnoticed.
   */
  handle(from: SocketAddress, bytes: Uint8Array): boolean {
    if (!isStun(bytes)) {
      return false;
    }
    // Before anything else is read: what nobody asked for costs no more than this.
    const probe = this.#probes.get(encodeHex(bytes.subarray(8, 8 + transactionIdLength)));
    if (probe !== undefined && isSameSocketAddress(unmapped(from), probe.server)) {
      const outcome = this.#outcomeOf(probe, bytes);
      if (outcome !== undefined) {
        probe.end(outcome);
      }
    }
    return true;
  }

  /** Ends what is under way; later probes are refused. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const { server, end } of [...this.#probes.values()]) {
      end(new StunProbeError("closed", server, "the prober was closed"));
    }
  }

  #faultOf(server: SocketAddress): StunProbeError | undefined {
    if (this.#isClosed) {
      return new StunProbeError("closed", server, "the prober was closed");
    }
    if (!isUnicast(server) || server.port === 0) {
      return new StunProbeError("unusable-server", server, "no address of a server");
    }
    return this.#probes.size >= maxProbes
      ? new StunProbeError("too-many", server, `${maxProbes} probes are under way`)
      : undefined;
  }

  /** Undefined for what is to be ignored, so that the right answer can still come. */
  #outcomeOf(probe: Probe, bytes: Uint8Array): StunAnswer | StunProbeError | undefined {
    const { server, startedAt } = probe;
    let message: StunMessage;
    try {
      message = decodeStun(bytes);
    } catch (error) {
      return error instanceof StunError && error.code === "unknown-attribute"
        ? new StunProbeError("unusable-answer", server, error.message)
        : undefined;
    }
    switch (message.type) {
      case "request":
        return undefined;
      case "error": {
        const { status, reason } = message;
        const problem = `refused with ${status} ${JSON.stringify(reason.slice(0, 80))}`;
        return new StunProbeError("refused", server, problem);
      }
      case "success": {
        const { address } = message;
        if (address === undefined) {
          return new StunProbeError("unusable-answer", server, "the answer holds no address");
        }
        const observation = { observer: server, address };
        const latencyMs = this.#platform.now() - startedAt;
        return isPlausible(observation)
          ? { ...observation, latencyMs }
          : new StunProbeError(
              "unusable-answer",
              server,
              `it sees ${formatSocketAddress(address)}, where nobody can be`,
            );
      }
      default:
        return message satisfies never;
    }
  }
}

/** When to send again: each time after twice as long, and not when there is no time left for an answer. */
function requestTimes(timeoutMs: number): number[] {
  return Array.from(
    { length: maxRequests - 1 },
    (_, index) => retransmissionTimeoutMs * (2 ** (index + 1) - 1),
  ).filter((delayMs) => delayMs < timeoutMs);
}
