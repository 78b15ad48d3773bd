import { deferred } from "../base/deferred.ts";
import type { Platform } from "../base/platform.ts";
import {
  formatSocketAddress,
  parseSocketAddress,
  type SocketAddress,
} from "../base/socket-address.ts";
import type {
  Engine,
  EngineConnection,
  EngineConnectOptions,
  EngineEndpoint,
  EngineOptions,
} from "../engine/engine.ts";
import { noq } from "../engine/noq/noq.ts";
import type { BindSocket, DatagramSocket } from "../net/datagram-socket.ts";
import { SpreadAddresses } from "../net/spread-addresses.ts";
import { bindUdp } from "../net/udp-socket.ts";
import { callEngine, endpointErrorOf } from "./call-engine.ts";
import { EndpointError } from "./endpoint-error.ts";
import { ProcessHold } from "./process-hold.ts";

export interface BoundEngineOptions
  extends Pick<
    EngineOptions,
    | "acceptEarlyData"
    | "alpns"
    | "credentials"
    | "incoming"
    | "keyLog"
    | "platform"
    | "shard"
    | "transport"
  > {
  /** `ip:port` or `[ip6]:port`, at most one a family. */
  readonly bind: string | readonly string[];
  /** Default: UDP. */
  readonly bindSocket?: BindSocket | undefined;
  /** Default: noq. */
  readonly engine?: Engine | undefined;
}

export interface BoundEngineHandler {
  /** A connection was dialed by another side. Sets its `handler`. */
  incoming(connection: EngineConnection): void;
  /** The engine or the socket is broken. Connections were closed already, or will find no network. */
  failed(error: unknown): void;
  /** A handler of a connection has thrown this. */
  handlerError(error: unknown): void;
}

/** How long {@link BoundEngine.drained} waits. */
const drainTimeoutMs = 500;
const drainPollMs = 5;

/** A QUIC engine on sockets of its own. What it is used for, and when it ends, is its owner's. */
export class BoundEngine {
  readonly engine: EngineEndpoint;
  /** What keeps the process alive as long as it is needed. */
  readonly hold: ProcessHold;
  /** Sees datagrams before the engine does; true: it was for somebody else. `bytes` is borrowed. */
  divert: ((from: SocketAddress, bytes: Uint8Array) => boolean) | undefined;
  readonly #platform: Platform;
  readonly #socket: DatagramSocket;
  readonly #spread: SpreadAddresses;
  #destroyed = false;

  /**
   * Opens the sockets. Rejects with {@link EndpointError} "bind-failed" when an address cannot be had, and with TypeError
   * or RangeError for options that cannot be.
   */
  static async bind(
    options: BoundEngineOptions,
    handler: BoundEngineHandler,
  ): Promise<BoundEngine> {
    const { bind, bindSocket = bindUdp } = options;
    const addresses = (typeof bind === "string" ? [bind] : bind).map(parseSocketAddress);
    // The socket comes before the engine; what arrives in between is lost, as on any network.
    let receive = (_from: SocketAddress, _bytes: Uint8Array): void => {};
    let broken: Error | undefined;
    let failed = (error: Error): void => {
      broken = error;
    };
    let socket: DatagramSocket;
    try {
      socket = await bindSocket(addresses, {
        datagram: (from, bytes) => receive(from, bytes),
        failed: (error) => failed(error),
      });
    } catch (error) {
      const where = addresses.map(formatSocketAddress).join(", ");
      const why = error instanceof Error ? error.message : String(error);
      throw new EndpointError("bind-failed", `cannot listen on ${where}: ${why}`, { cause: error });
    }
    const socketBroke = (cause: Error): EndpointError =>
      new EndpointError("bind-failed", "the UDP socket broke", { cause });
    try {
      if (broken !== undefined) {
        throw socketBroke(broken);
      }
      const bound = new BoundEngine(options, handler, socket);
      receive = (from, bytes) => bound.#receive(from, bytes);
      failed = (error) => handler.failed(socketBroke(error));
      return bound;
    } catch (error) {
      await socket.close();
      throw error;
    }
  }

  private constructor(
    options: BoundEngineOptions,
    handler: BoundEngineHandler,
    socket: DatagramSocket,
  ) {
    const { bind: _bind, bindSocket: _bindSocket, engine = noq, ...engineOptions } = options;
    this.#platform = options.platform;
    this.#socket = socket;
    this.#spread = new SpreadAddresses((into) => this.#platform.randomFill(into));
    this.hold = new ProcessHold((ref) => socket.setRef(ref));
    this.engine = callEngine(() =>
      engine.createEndpoint({
        ...engineOptions,
        transmit: (to, bytes, segmentSize) => this.#transmit(to, bytes, segmentSize),
        handler: {
          incoming: (connection) => handler.incoming(connection),
          failed: (error) => handler.failed(endpointErrorOf(error)),
        },
        handlerError: (error) => handler.handlerError(error),
      }),
    );
  }

  /** The addresses that the sockets are bound to. */
  get localAddresses(): readonly SocketAddress[] {
    return this.#socket.localAddresses;
  }

  /** Begins a handshake with whoever answers first at one of `addresses`. `over` is to be called when it has ended. */
  dial(
    addresses: readonly [SocketAddress, ...SocketAddress[]],
    options: Omit<EngineConnectOptions, "remote">,
  ): { readonly connection: EngineConnection; over(): void } {
    const remote = addresses.length === 1 ? addresses[0] : this.#spread.add(addresses);
    const over = (): void => this.#spread.remove(remote);
    try {
      return { connection: callEngine(() => this.engine.connect({ ...options, remote })), over };
    } catch (error) {
      over();
      throw error;
    }
  }

  /**
   * Resolves when all connections are gone, or after half a second. CONNECTION_CLOSE may be lost: the engine answers
   * stragglers with another one for a few round trips.
   */
  async drained(): Promise<void> {
    const deadline = this.#platform.now() + drainTimeoutMs;
    for (;;) {
      this.engine.flush();
      if (this.engine.stats().connections === 0 || this.#platform.now() >= deadline) {
        return;
      }
      const tick = deferred<void>();
      this.#platform.setTimer(drainPollMs, tick.resolve);
      await tick.promise;
    }
  }

  /** Frees everything. Connections that are left end without a word to the other side. */
  async destroy(): Promise<void> {
    this.#destroyed = true;
    this.engine.destroy();
    await this.#socket.close();
  }

  #receive(from: SocketAddress, bytes: Uint8Array): void {
    if (!this.#destroyed && this.divert?.(from, bytes) !== true) {
      this.engine.receive(from, bytes);
    }
  }

  #transmit(to: SocketAddress, bytes: Uint8Array, segmentSize: number): void {
    const members = this.#spread.membersOf(to);
    if (members === undefined) {
      this.#socket.send(to, bytes, segmentSize);
      return;
    }
    for (const member of members) {
      this.#socket.send(member, bytes, segmentSize);
    }
  }
}
