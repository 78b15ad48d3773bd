import { deferred } from "../base/deferred.ts";
import type { Connection } from "./connection.ts";
import type { Endpoint } from "./endpoint.ts";
import { closeCode } from "./endpoint-error.ts";
import type { ProtocolHandler } from "./protocol-handler.ts";

/**
 * Gives each incoming connection of an endpoint to the handler of its protocol, as iroh's Router does. Several routers
 * may share an endpoint, with different protocols. While a router serves anything, it keeps the process alive.
 *
 * ```ts
 * const router = new Router(endpoint);
 * router.accept("my-app/1", { accept: async (connection) => { … } });
 * ```
 */
export class Router implements AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly #protocols = new Map<string, Protocol>();
  #release: (() => void) | undefined;
  readonly #forget: () => void;
  #closing: Promise<void> | undefined;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
    void endpoint.closed.then(() => this.close({ timeoutMs: 0 }));
    this.#forget = endpoint.serves((timeoutMs) => this.close({ timeoutMs }));
  }

  /** Serves `alpn` from now on. Throws when the endpoint serves that protocol already. */
  accept(alpn: string, handler: ProtocolHandler): this {
    if (this.#closing !== undefined) {
      throw new TypeError("cannot serve a protocol: the router is closed");
    }
    const protocol = new Protocol(handler);
    protocol.unregister = this.endpoint.handle(alpn, protocol);
    this.#protocols.set(alpn, protocol);
    this.#release ??= this.endpoint.hold();
    return this;
  }

  /**
   * Takes no more connections, lets the handlers shut down, and closes the connections that are left; at the latest
   * after `timeoutMs` (default 3000). The endpoint stays open. Idempotent.
   */
  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(options: { readonly timeoutMs?: number }): Promise<void> {
    await Promise.all(
      [...this.#protocols.values()].map((protocol) => protocol.close(this.endpoint, options)),
    );
    this.#release?.();
    this.#forget();
  }
}

/** One protocol on a router and its connections. */
class Protocol implements ProtocolHandler {
  unregister: () => void = () => {};
  readonly earlyData: boolean;
  readonly #handler: ProtocolHandler;
  readonly #connections = new Set<Connection>();

  constructor(handler: ProtocolHandler) {
    this.#handler = handler;
    this.earlyData = handler.earlyData ?? false;
  }

  accept(connection: Connection): void | Promise<void> {
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    return this.#handler.accept(connection);
  }

  async close(endpoint: Endpoint, options: { readonly timeoutMs?: number }): Promise<void> {
    this.unregister();
    const { timeoutMs = 3_000 } = options;
    const until = endpoint.platform.now() + timeoutMs;
    const timeUp = deferred<void>();
    const timer = endpoint.platform.setTimer(timeoutMs, timeUp.resolve);
    try {
      await Promise.race([this.#handler.shutdown?.(), timeUp.promise]);
    } catch (error) {
      endpoint.report(error);
    } finally {
      endpoint.platform.clearTimer(timer);
    }
    const leftMs = Math.max(0, until - endpoint.platform.now());
    await Promise.all(
      [...this.#connections].map((connection) =>
        connection.close({ code: closeCode.none, reason: "closing", timeoutMs: leftMs }),
      ),
    );
  }
}
