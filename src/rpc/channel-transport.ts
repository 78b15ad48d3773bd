import type { Transport } from "@connectrpc/connect";
import { deferred } from "../base/deferred.ts";
import { LinkedSet } from "../base/linked-set.ts";
import { onAbort } from "../base/on-abort.ts";
import { EndpointError } from "../endpoint/endpoint-error.ts";
import type { CallChannel, ChannelState } from "./channel.ts";
import { longestTimerMs } from "./check-options.ts";
import { ClientCall, type ClientCallContext } from "./client-call.ts";
import { callError } from "./connect-errors.ts";
import {
  createProtocolTransport,
  type KeyOf,
  type Protocol,
  type ProtocolTransportOptions,
} from "./protocol-transport.ts";
import type { HttpSession } from "./session.ts";
import type { BeginCall } from "./universal-call.ts";

/** What transports have in common, whoever is called. */
export interface CallTransport extends Transport, AsyncDisposable {
  /** What there is of a connection. "waiting": a dial failed a moment ago, the next one comes after a pause. */
  readonly state: ChannelState;
  /** Calls of this transport that are not over. */
  readonly activeCalls: number;
  /** Calls on the connection that wait because the other side allows no more at once. */
  readonly queuedCalls: number;
  /**
   * Takes no more calls, waits until those that run are over, at most `timeoutMs` (default 3000), and cancels the rest.
   * The last transport that uses a connection closes it. Idempotent.
   */
  close(options?: { readonly timeoutMs?: number }): Promise<void>;
}

export interface ChannelTransportOptions {
  readonly channel: CallChannel;
  readonly context: Omit<ClientCallContext, "channel">;
  readonly protocol: Protocol;
  readonly calls: ProtocolTransportOptions;
  /** What says which of several peers a call goes to. Default: nothing. */
  readonly keyOf?: KeyOf | undefined;
  /** The transport needs the channel no more. What is left of it may take `timeoutMs` to end. */
  readonly release: (options: { readonly timeoutMs: number }) => Promise<void>;
}

/** A Connect transport over a channel. */
export class ChannelTransport implements CallTransport {
  readonly unary: Transport["unary"];
  readonly stream: Transport["stream"];
  readonly #channel: CallChannel;
  readonly #context: ClientCallContext;
  readonly #release: ChannelTransportOptions["release"];
  readonly #calls = new LinkedSet<ClientCall>();
  #idle: (() => void) | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: ChannelTransportOptions) {
    this.#channel = options.channel;
    this.#context = { ...options.context, channel: options.channel };
    this.#release = options.release;
    const { calls, keyOf, protocol } = options;
    const transport = createProtocolTransport(protocol, calls, this.#begin, keyOf);
    this.unary = transport.unary;
    this.stream = transport.stream;
  }

  get state(): ChannelState {
    return this.#channel.state;
  }

  get activeCalls(): number {
    return this.#calls.size;
  }

  get queuedCalls(): number {
    return this.#channel.session?.queuedRequests ?? 0;
  }

  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(Math.min(options.timeoutMs ?? 3_000, longestTimerMs));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** The session in use; dials when there is none. Rejects with a ConnectError, or the signal's reason. */
  protected async session(signal: AbortSignal | undefined): Promise<HttpSession> {
    const channel = this.#channel;
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
      return channel.acquire(waiter, this.#context.dialTimeoutMs) ?? (await outcome.promise);
    } catch (error) {
      throw signal?.aborted === true ? error : callError(error, channel.peer);
    } finally {
      stopListening();
      release();
    }
  }

  /** The one place where a method call has become a request. */
  readonly #begin: BeginCall = (request, response) => {
    this.#throwIfClosed();
    const call = new ClientCall(this.#context, request, response, () => {
      this.#calls.delete(link);
      if (this.#calls.size === 0) {
        this.#idle?.();
      }
    });
    const link = this.#calls.add(call);
    call.start();
  };

  async #close(timeoutMs: number): Promise<void> {
    const { platform } = this.#context;
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
      for (const call of this.#calls.values()) {
        call.cancel(this.#closedError());
      }
      // Closing overtakes what has not been sent: with a turn between, the other side learns that it was cancelled.
      await new Promise<void>((resolve) => {
        platform.soon(resolve);
      });
    }
    await this.#release({ timeoutMs: Math.max(0, deadlineMs - platform.now()) });
    release();
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) {
      throw callError(this.#closedError(), this.#channel.peer);
    }
  }

  #closedError(): EndpointError {
    return new EndpointError(
      "endpoint-closed",
      `cannot call ${this.#channel.peer}: the transport is closed`,
    );
  }
}
