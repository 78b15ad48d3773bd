import type { Platform } from "../base/platform.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { Network } from "./network.ts";
import type { RelayAccess, Relays } from "./relay-connections.ts";
import { measureRelayLatency } from "./relay-latency.ts";

export interface HomeRelayOptions {
  /** Those to choose from. */
  readonly relays: ReadonlyMap<RelayUrl, RelayAccess>;
  readonly connections: Relays;
  readonly network: Pick<Network, "request">;
  readonly platform: Platform;
  /** Another relay is the home relay. */
  readonly changed: () => void;
}

/**
 * The relay at which peers find this endpoint. At first the one that answers first, so that nobody waits for a measurement;
 * then what `chooseHomeRelay` finds.
 */
export class HomeRelay {
  readonly #options: HomeRelayOptions;
  readonly #stopped = new AbortController();

  constructor(options: HomeRelayOptions) {
    this.#options = options;
  }

  /** Undefined until one is chosen. */
  get url(): RelayUrl | undefined {
    return this.#options.connections.home;
  }

  /** Whether it is connected to; also where there is none to be had. */
  get isOnline(): boolean {
    const { relays, connections } = this.#options;
    const { home } = connections;
    return (
      relays.size === 0 || (home !== undefined && connections.state(home)?.type === "connected")
    );
  }

  start(): void {
    const [first, ...others] = this.#options.relays.keys();
    if (first !== undefined && others.length === 0) {
      this.moveTo(first);
    } else if (first !== undefined) {
      void this.#takeFirst([first, ...others]);
    }
  }

  /** Makes `url` the home relay. */
  moveTo(url: RelayUrl | undefined): void {
    if (url !== undefined && url !== this.url && !this.#stopped.signal.aborted) {
      this.#options.connections.setHome(url);
      this.#options.changed();
    }
  }

  stop(): void {
    this.#stopped.abort(new Error("the endpoint is closed"));
  }

  async #takeFirst(relays: readonly RelayUrl[]): Promise<void> {
    const { network, platform, relays: access } = this.#options;
    const { signal } = this.#stopped;
    const { request } = network;
    try {
      const first = await Promise.any(
        relays.map(async (url) => {
          const { authorities } = access.get(url) ?? {};
          await measureRelayLatency(url, { platform, request, signal, authorities });
          return url;
        }),
      );
      if (this.url === undefined) {
        this.moveTo(first);
      }
    } catch {
      // None is there now; the checks of the network go on looking.
    }
  }
}
