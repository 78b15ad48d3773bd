import type { Platform, Timer } from "../base/platform.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { Network } from "./network.ts";
import type { RelayAccess, RelayConnections } from "./relay-connections.ts";

export interface HomeRelayOptions {
  /** Those to choose from. */
  readonly relays: ReadonlyMap<RelayUrl, RelayAccess>;
  readonly connections: RelayConnections;
  readonly network: Network;
  readonly platform: Platform;
  /** Another relay is the home relay, or it has been reached or lost. */
  readonly changed: () => void;
}

/** The relay at which peers find this endpoint. */
export class HomeRelay {
  readonly #options: HomeRelayOptions;
  #timer: Timer | undefined;

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
    return (
      relays.size === 0 ||
      (connections.home !== undefined && connections.state(connections.home)?.type === "connected")
    );
  }

  start(): void {
    const [first] = this.#options.relays.keys();
    if (first !== undefined) {
      this.#options.connections.setHome(first);
      this.#options.changed();
    }
  }

  networkChanged(): void {}

  stop(): void {
    if (this.#timer !== undefined) {
      this.#options.platform.clearTimer(this.#timer);
    }
  }
}
