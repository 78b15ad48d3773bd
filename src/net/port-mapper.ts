import { onAbort } from "../base/on-abort.ts";
import type { Platform, Timer } from "../base/platform.ts";
import { isSameSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { isLoopback, isUnicast } from "./observation.ts";
import { untilAborted } from "./until-aborted.ts";

/** A UDP port of a gateway that it forwards to us. */
export interface PortMapping {
  readonly address: SocketAddress;
  /** For how long. */
  readonly lifetimeMs: number;
}

export interface MapPortOptions {
  /** What was mapped before, and is wanted again. */
  readonly previous: SocketAddress | undefined;
  readonly signal: AbortSignal;
}

/** A way to have a gateway forward a port: NAT-PMP, or what others bring along (UPnP). */
export interface PortMappingMethod {
  /** Maps `localPort`, or renews its mapping. Rejects when the gateway does not, or there is none. */
  map(localPort: number, options: MapPortOptions): Promise<PortMapping>;
  /** Ends a mapping that {@link map} has made. */
  unmap(localPort: number, options: { readonly signal: AbortSignal }): Promise<void>;
}

export interface PortMapperOptions {
  readonly platform: Platform;
  /** Tried one after the other; the first that works is the one. */
  readonly methods: readonly PortMappingMethod[];
  /** {@link PortMapper.current} is another. */
  readonly changed: (address: SocketAddress | undefined) => void;
}

/** For one method to map. */
const mapTimeoutMs = 5_000;
/** For unmapping, within which {@link PortMapper.close} resolves. */
const unmapTimeoutMs = 1_000;
/** Where nothing works: from one try to the next, doubling up to the second. */
const firstRetryMs = 60_000;
const lastRetryMs = 1_800_000;
/** Renewals come no closer to each other, however short a lifetime the gateway grants. */
const minRenewalMs = 30_000;
/** And no further apart, however long: a gateway that was restarted has forgotten. */
const maxRenewalMs = 3_600_000;

interface Mapped {
  readonly method: PortMappingMethod;
  readonly address: SocketAddress;
  /** Monotonic milliseconds. */
  readonly endsAt: number;
}

/**
 * Keeps a UDP port mapped at the gateway: maps, renews at half of the lifetime (RFC 6886 §3.3), tries again now and then
 * where it does not work, and unmaps at the end. All of it beside everything else: nothing waits for it but `close`, which
 * takes a second at most, and it never throws.
 *
 * To be used only when asked for: it opens this host to the world past a gateway whose owner may not want that.
 */
export class PortMapper implements AsyncDisposable {
  readonly #options: PortMapperOptions;
  readonly #platform: Platform;
  #localPort: number | undefined;
  #mapped: Mapped | undefined;
  #timer: Timer | undefined;
  /** Of what is under way. */
  #abort = new AbortController();
  #retryMs = firstRetryMs;
  #closing: Promise<void> | undefined;

  constructor(options: PortMapperOptions) {
    this.#options = options;
    this.#platform = options.platform;
  }

  /** Where the gateway forwards to us. */
  get current(): SocketAddress | undefined {
    return this.#mapped?.address;
  }

  /** Begins to map `localPort`, or another one from now on. Does nothing once closed. */
  start(localPort: number): void {
    if (this.#closing === undefined) {
      if (localPort !== this.#localPort) {
        void this.#unmap();
        this.#localPort = localPort;
      }
      this.networkChanged();
    }
  }

  /** Maps at once: there may be another gateway, or one that has forgotten. */
  networkChanged(): void {
    if (this.#closing === undefined && this.#localPort !== undefined) {
      this.#cancel();
      this.#retryMs = firstRetryMs;
      this.#schedule(0);
    }
  }

  /** Unmaps. Idempotent; never rejects. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#cancel();
      this.#closing = this.#unmap();
    }
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Never rejects. */
  async #unmap(): Promise<void> {
    const mapped = this.#mapped;
    const localPort = this.#localPort;
    this.#set(undefined);
    if (mapped !== undefined && localPort !== undefined) {
      const limit = this.#limit(unmapTimeoutMs);
      try {
        const unmapped = mapped.method.unmap(localPort, { signal: limit.signal });
        await untilAborted(unmapped, limit.signal);
      } catch {
        // The gateway forgets by itself when the lifetime is over.
      } finally {
        limit.over();
      }
    }
  }

  #schedule(delayMs: number): void {
    const { signal } = this.#abort;
    this.#timer = this.#platform.setTimer(delayMs, () => {
      void this.#refresh().then((nextMs) => {
        if (!signal.aborted) {
          this.#schedule(nextMs);
        }
      });
    });
  }

  #cancel(): void {
    if (this.#timer !== undefined) {
      this.#platform.clearTimer(this.#timer);
      this.#timer = undefined;
    }
    this.#abort.abort(new Error("not wanted any more"));
    this.#abort = new AbortController();
  }

  /** Maps or renews; says when to do so again, in milliseconds. Never rejects. */
  async #refresh(): Promise<number> {
    const { signal } = this.#abort;
    const known = this.#mapped;
    const methods = known === undefined ? this.#options.methods : [known.method];
    for (const method of methods) {
      const mapping = await this.#map(method);
      if (signal.aborted) {
        return 0;
      }
      if (mapping !== undefined) {
        const endsAt = this.#platform.now() + mapping.lifetimeMs;
        this.#retryMs = firstRetryMs;
        this.#set({ method, address: mapping.address, endsAt });
        return Math.min(Math.max(mapping.lifetimeMs / 2, minRenewalMs), maxRenewalMs);
      }
    }
    const leftMs = known === undefined ? 0 : known.endsAt - this.#platform.now();
    if (leftMs > minRenewalMs) {
      return Math.max(leftMs / 2, minRenewalMs);
    }
    this.#set(undefined);
    if (known !== undefined) {
      // Another method may do.
      return 0;
    }
    const retryMs = this.#retryMs;
    this.#retryMs = Math.min(2 * retryMs, lastRetryMs);
    return retryMs;
  }

  /** Undefined where that did not work. */
  async #map(method: PortMappingMethod): Promise<PortMapping | undefined> {
    const { signal } = this.#abort;
    const limit = this.#limit(mapTimeoutMs, signal);
    try {
      const asked = method.map(this.#localPort ?? 0, {
        previous: this.current,
        signal: limit.signal,
      });
      const mapping = await untilAborted(asked, limit.signal);
      const { address, lifetimeMs } = mapping;
      const isUsable =
        isUnicast(address) && !isLoopback(address) && address.port !== 0 && lifetimeMs > 0;
      return isUsable ? mapping : undefined;
    } catch {
      return undefined;
    } finally {
      limit.over();
    }
  }

  /** A signal that fires after this time, or with `other`, or when it is over. */
  #limit(limitMs: number, other?: AbortSignal): { signal: AbortSignal; over: () => void } {
    const limit = new AbortController();
    const stopListening = onAbort(other, () => limit.abort(other?.reason));
    const timer = this.#platform.setTimer(limitMs, () =>
      limit.abort(new Error(`no answer within ${limitMs} ms`)),
    );
    const over = (): void => {
      stopListening();
      this.#platform.clearTimer(timer);
      limit.abort(new Error("it is over"));
    };
    return { signal: limit.signal, over };
  }

  #set(mapped: Mapped | undefined): void {
    const before = this.#mapped?.address;
    const after = mapped?.address;
    this.#mapped = mapped;
    const isSame =
      before === undefined || after === undefined
        ? before === after
        : isSameSocketAddress(before, after);
    if (!isSame) {
      this.#options.changed(after);
    }
  }
}
