import { type Deferred, deferred } from "../base/deferred.ts";
import type { Platform } from "../base/platform.ts";
import type { SocketAddress } from "../base/socket-address.ts";
import type {
  CertifiedKey,
  EndpointStats,
  Engine,
  EngineConnection,
  IncomingLimits,
  TransportOptions,
  WebCredentials,
} from "../engine/engine.ts";
import type { BindSocket } from "../net/datagram-socket.ts";
import { BoundEngine } from "./bound-engine.ts";
import { callEngine } from "./call-engine.ts";
import { untilConnected } from "./until-connected.ts";
import { webTransportOptions } from "./web-transport.ts";

/** A connection of somebody who has no key of a peer, and perhaps a certificate. */
export interface WebConnection {
  readonly engine: EngineConnection;
  /** Where it came from. */
  readonly remoteAddress: SocketAddress;
  /** Verified, DER, the leaf first. Empty when none was shown. */
  readonly certificates: readonly Uint8Array[];
}

export interface WebListenerOptions {
  readonly bind: string | readonly string[];
  readonly certificate: CertifiedKey;
  readonly clientCertificates?: WebCredentials["clientCertificates"];
  /** What connections may speak. */
  readonly alpns: readonly string[];
  readonly transport?: Partial<TransportOptions> | undefined;
  readonly incoming?: Partial<IncomingLimits> | undefined;
  readonly keyLog?: ((line: string) => void) | undefined;
  readonly engine?: Engine | undefined;
  readonly bindSocket?: BindSocket | undefined;
  readonly platform: Platform;
  /** Takes a connection, whose `handler` it sets, and answers for its end. */
  readonly onConnection: (connection: WebConnection) => void;
  /** Gets what no caller can be told of. */
  readonly onError: (error: unknown) => void;
}

/**
 * Takes connections of whoever comes, and shows a certificate to them. While it is open it keeps the process alive.
 * Who gets the connections closes them, before the listener.
 */
export class WebListener {
  readonly #bound: BoundEngine;
  readonly #release: () => void;
  readonly #closed: Deferred<void> = deferred();
  readonly #onError: (error: unknown) => void;
  #failed = false;
  #closing = false;

  /** Resolves when the listener is closed, by {@link close} or because its engine or socket broke. */
  readonly closed: Promise<void> = this.#closed.promise;

  /**
   * Rejects with `EndpointError` "bind-failed" when an address cannot be had, and with TypeError or RangeError for options
   * that cannot be.
   */
  static async bind(options: WebListenerOptions): Promise<WebListener> {
    const { certificate, clientCertificates, incoming, keyLog } = options;
    const bound = await BoundEngine.bind(
      {
        credentials: {
          type: "web",
          certificate,
          ...(clientCertificates === undefined ? {} : { clientCertificates }),
        },
        alpns: options.alpns,
        transport: { ...webTransportOptions, ...options.transport },
        platform: options.platform,
        bind: options.bind,
        bindSocket: options.bindSocket,
        engine: options.engine,
        ...(incoming === undefined ? {} : { incoming }),
        ...(keyLog === undefined ? {} : { keyLog }),
      },
      {
        incoming: (connection) => {
          connection.handler = untilConnected(({ identity }) => {
            options.onConnection({
              engine: connection,
              remoteAddress: connection.remoteAddress,
              certificates: identity.type === "web" ? identity.chain : [],
            });
          });
        },
        failed: (error) => listener.#fail(error),
        handlerError: options.onError,
      },
    );
    const listener = new WebListener(bound, options.onError);
    return listener;
  }

  private constructor(bound: BoundEngine, onError: (error: unknown) => void) {
    this.#bound = bound;
    this.#release = bound.hold.take();
    this.#onError = onError;
  }

  get localAddresses(): readonly SocketAddress[] {
    return this.#bound.localAddresses;
  }

  /** Counters of the engine; undefined once the listener is closed. */
  stats(): EndpointStats | undefined {
    return this.#closing ? undefined : callEngine(() => this.#bound.engine.stats());
  }

  /** Shows another certificate to those who come from now on. */
  setCertificate(certificate: CertifiedKey): void {
    if (!this.#closing) {
      callEngine(() => this.#bound.engine.setCertificate(certificate));
    }
  }

  /** Takes no more connections: who dials is told so. */
  refuse(): void {
    if (!this.#closing && !this.#failed) {
      callEngine(() => this.#bound.engine.setAlpns([]));
    }
  }

  /** Waits a little for the last words of connections, and closes the sockets. Never rejects. Idempotent. */
  close(): Promise<void> {
    if (!this.#closing) {
      this.#closing = true;
      void this.#close();
    }
    return this.closed;
  }

  async #close(): Promise<void> {
    try {
      if (!this.#failed) {
        await this.#bound.drained();
      }
    } catch (error) {
      this.#fail(error);
    }
    try {
      await this.#bound.destroy();
    } catch (error) {
      this.#onError(error);
    } finally {
      this.#release();
      this.#closed.resolve();
    }
  }

  #fail(error: unknown): void {
    if (!this.#failed) {
      this.#failed = true;
      this.#onError(error);
      void this.close();
    }
  }
}
