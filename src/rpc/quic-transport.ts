import type { Transport } from "@connectrpc/connect";
import { deferred } from "../base/deferred.ts";
import { onAbort } from "../base/on-abort.ts";
import type { Connection } from "../endpoint/connection.ts";
import { EndpointError } from "../endpoint/endpoint-error.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { parseTarget } from "../identity/target.ts";
import type { ChannelState } from "./channel.ts";
import { longestTimerMs } from "./check-options.ts";
import { ClientCall, type ClientCallContext } from "./client-call.ts";
import { callError } from "./connect-errors.ts";
import { PeerChannel } from "./peer-channel.ts";
import { createProtocolTransport } from "./protocol-transport.ts";
import { type QuicTransportOptions, resolveTransportOptions } from "./quic-transport-options.ts";
import type { HttpSession } from "./session.ts";
import type { BeginCall } from "./universal-call.ts";

/** A Connect transport to one peer. */
export interface QuicTransport extends Transport, AsyncDisposable {
  /** Whom it calls. */
  readonly peer: EndpointId;
  /** What there is of a connection. "waiting": a dial failed a moment ago, the next one comes after a pause. */
  readonly state: ChannelState;
  /** Calls of this transport that are not over. */
  readonly activeCalls: number;
  /** Calls on the shared connection that wait because the peer allows no more at once. */
  readonly queuedCalls: number;
  /** The connection in use; dials when there is none, which calls do by themselves. Rejects with a ConnectError. */
  connect(options?: { readonly signal?: AbortSignal }): Promise<Connection>;
  /**
   * Takes no more calls, waits until those that run are over, at most `timeoutMs` (default 3000), and cancels the rest.
   * The last transport of an endpoint to a peer closes the connection. Idempotent.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

/**
 * Creates a transport for Connect clients that calls the peer `to`, which serves with a {@link PeerRouter}.
 *
 * ```ts
 * await using transport = createQuicTransport({ endpoint, to: ticket });
 * const eliza = createClient(ElizaService, transport);
 * ```
 *
 * Nothing is sent before the first call. Transports of one endpoint to one peer share a connection; when it is lost, the
 * next call dials again. A call keeps the process alive, a transport does not.
 *
 * Throws a ConnectError InvalidArgument when `to` is malformed, and TypeError or RangeError for other options.
 */
export function createQuicTransport(options: QuicTransportOptions): QuicTransport {
  return new PeerTransport(options);
}

class PeerTransport implements QuicTransport {
  readonly peer: EndpointId;
  readonly unary: Transport["unary"];
  readonly stream: Transport["stream"];
  readonly #shared: PeerChannel;
  readonly #calls = new Set<ClientCall>();
  readonly #context: ClientCallContext;
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: QuicTransportOptions) {
    const resolved = resolveTransportOptions(options);
    const { endpoint, dialTimeoutMs, protocol, common } = resolved;
    const addr = parseAddr(options.to);
    this.peer = addr.id;
    this.#shared = PeerChannel.acquire(endpoint, addr);
    this.#shared.keepAlive(resolved);
    this.#context = {
      channel: this.#shared.channel,
      dialTimeoutMs,
      platform: endpoint.platform,
      hold: () => endpoint.hold(),
    };
    const transport = createProtocolTransport(
      protocol,
      { ...common, baseUrl: `https://${addr.id.toBase32()}.iroh.invalid` },
      this.#begin,
    );
    this.unary = transport.unary;
    this.stream = transport.stream;
  }

  get state(): ChannelState {
    return this.#shared.channel.state;
  }

  get activeCalls(): number {
    return this.#calls.size;
  }

  get queuedCalls(): number {
    return this.#shared.channel.session?.queuedRequests ?? 0;
  }

  async connect(options: { readonly signal?: AbortSignal } = {}): Promise<Connection> {
    const { signal } = options;
    const { channel } = this.#shared;
    signal?.throwIfAborted();
    this.#throwIfClosed();
    const outcome = deferred<HttpSession>();
    const waiter = { ready: outcome.resolve, unreachable: outcome.reject };
    const stopListening = onAbort(signal, () => {
      channel.forget(waiter);
      outcome.reject(signal?.reason);
    });
    const release = this.#context.hold();
    try {
      const session =
        channel.acquire(waiter, this.#context.dialTimeoutMs) ?? (await outcome.promise);
      const connection = this.#shared.connectionOf(session);
      if (connection === undefined) {
        throw new EndpointError("connection-lost", `connection to ${channel.peer} lost`);
      }
      return connection;
    } catch (error) {
      throw signal?.aborted === true ? error : callError(error, channel.peer);
    } finally {
      stopListening();
      release();
    }
  }

  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(Math.min(options.timeoutMs ?? 3_000, longestTimerMs));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The one place where a method call has become a request. */
  readonly #begin: BeginCall = (request, response) => {
    this.#throwIfClosed();
    const call = new ClientCall(this.#context, request, response, () => {
      this.#calls.delete(call);
      if (this.#calls.size === 0) {
        this.#idle?.();
      }
    });
    this.#calls.add(call);
    call.start();
  };

  async #close(timeoutMs: number): Promise<void> {
    const { platform } = this.#shared.endpoint;
    const deadlineMs = platform.now() + timeoutMs;
    const release = this.#context.hold();
    if (this.#calls.size > 0 && timeoutMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = platform.setTimer(timeoutMs, resolve);
        this.#idle = () => {
          platform.clearTimer(timer);
          resolve();
        };
      });
    }
    if (this.#calls.size > 0) {
      for (const call of this.#calls) {
        call.cancel(this.#closedError());
      }
      // Closing overtakes what has not been sent: with a turn between, the peer learns that it was cancelled.
      await new Promise<void>((resolve) => {
        platform.soon(resolve);
      });
    }
    await this.#shared.release({ timeoutMs: Math.max(0, deadlineMs - platform.now()) });
    release();
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) {
      throw callError(this.#closedError(), this.peer.short);
    }
  }

  #closedError(): EndpointError {
    return new EndpointError(
      "endpoint-closed",
      `cannot call ${this.peer.short}: the transport is closed`,
    );
  }
}

function parseAddr(to: QuicTransportOptions["to"]): EndpointAddr {
  try {
    return parseTarget(to);
  } catch (error) {
    throw callError(error, "peer");
  }
}
