import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { Signal } from "../base/signal.ts";

/** A transport over several tunnels, which take turns call by call. Calls fail with Unavailable while there is none. */
export interface TunnelPool extends Transport {
  /** There is a tunnel. */
  readonly ready: boolean;
  /** Resolves when there is a tunnel; rejects with the signal's reason. */
  waitForReady(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

/** A pool that tunnels are put into, and leave when they close. */
export interface OpenTunnelPool<T extends PooledTunnel> extends TunnelPool {
  /** Those that calls may go through. */
  readonly tunnels: readonly T[];
  /** The tunnel takes part from the moment that it is open until it is closed. */
  add(tunnel: T): void;
}

/** What a pool has to know of a tunnel. */
export interface PooledTunnel extends Transport {
  readonly opened: Promise<void>;
  readonly closed: Promise<void>;
  readonly closeCause: ConnectError | undefined;
}

/** Makes a pool, for instance of several tunnels to the same service that reach different processes. */
export function createTunnelPool<T extends PooledTunnel>(
  tunnels: Iterable<T> = [],
): OpenTunnelPool<T> {
  const ring = new TunnelRing<T>();
  const added = new Signal();
  const pool = new RingPool(() => ring, added);
  const { unary, stream, waitForReady } = pool.as({
    unary: async (...args) => await pool.next().unary(...args),
    stream: async (...args) => await pool.next().stream(...args),
  });
  const add = (tunnel: T): void => {
    const opened = (): void => {
      ring.add(tunnel);
      added.notify();
      void tunnel.closed.then(() => ring.delete(tunnel));
    };
    tunnel.opened.then(opened, () => {});
  };
  for (const tunnel of tunnels) {
    add(tunnel);
  }
  return {
    unary,
    stream,
    waitForReady,
    add,
    get ready() {
      return ring.size > 0;
    },
    get tunnels() {
      return ring.values();
    },
  };
}

/** Some tunnels, by turns. */
export class TunnelRing<T extends PooledTunnel> {
  readonly #tunnels = new Set<T>();

  get size(): number {
    return this.#tunnels.size;
  }

  values(): T[] {
    return [...this.#tunnels];
  }

  add(tunnel: T): void {
    this.#tunnels.add(tunnel);
  }

  delete(tunnel: T): void {
    this.#tunnels.delete(tunnel);
  }

  /** The tunnel whose turn it is. One that is about to close has no more turns. */
  next(): T | undefined {
    for (const tunnel of this.#tunnels) {
      this.#tunnels.delete(tunnel);
      if (tunnel.closeCause === undefined) {
        this.#tunnels.add(tunnel);
        return tunnel;
      }
    }
    return undefined;
  }
}

/** A pool over whichever ring there is at the moment. */
export class RingPool<T extends PooledTunnel> {
  readonly #ring: () => TunnelRing<T> | undefined;
  readonly #added: Signal;

  /** @param added notified when a tunnel was added to any ring */
  constructor(ring: () => TunnelRing<T> | undefined, added: Signal) {
    this.#ring = ring;
    this.#added = added;
  }

  /** The tunnel for the next call. Throws ConnectError when there is none. */
  next(): T {
    const tunnel = this.#ring()?.next();
    if (tunnel === undefined) {
      throw new ConnectError("no tunnel is open", Code.Unavailable);
    }
    return tunnel;
  }

  /** The pool as `transport`, which calls {@link next} for each call. */
  as(transport: Transport): TunnelPool {
    const isReady = (): boolean => (this.#ring()?.size ?? 0) > 0;
    return {
      unary: (...args) => transport.unary(...args),
      stream: (...args) => transport.stream(...args),
      get ready() {
        return isReady();
      },
      waitForReady: async (options = {}) => {
        options.signal?.throwIfAborted();
        while (!isReady()) {
          await this.#added.wait(options);
        }
      },
    };
  }
}
