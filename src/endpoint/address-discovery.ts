import { deferred } from "../base/deferred.ts";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { EngineConnection, EngineConnectOptions } from "../engine/engine.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { DiscoverAddress } from "../net/address-observers.ts";
import type { Network } from "../net/network.ts";
import type { Observation } from "../net/observation.ts";
import { untilAborted } from "../net/until-aborted.ts";
import { describeClose } from "./endpoint-error.ts";
import { untilConnected } from "./until-connected.ts";

export interface AddressDiscoveryOptions {
  readonly network: Pick<Network, "resolveHost">;
  /** The UDP port at which a relay tells addresses; undefined for one that does not. */
  portOf(relay: RelayUrl): number | undefined;
  /** Begins a handshake from the socket whose address is to be learned. */
  connect(options: EngineConnectOptions): EngineConnection;
  /** A relay has told of an address unasked, because it is another one now. */
  observed(observation: Observation): void;
}

/** As iroh-relay names it. */
export const addressDiscoveryAlpn = "/iroh-qad/0";
/** Where relays tell addresses, unless something else is said. As iroh has it. */
export const defaultDiscoveryPort = 7_842;
/** Code and reason with which iroh's clients leave. */
const finished = { code: 1n, reason: "finished" } as const;
/** Keeps the NAT's mapping, and with it the address that was told. As iroh has it. */
const transport = {
  keepAliveIntervalMs: 25_000,
  idleTimeoutMs: 35_000,
  maxBidirectionalStreams: 0,
  maxUnidirectionalStreams: 0,
  maxMtu: 0,
  multipath: false,
  observeAddress: true,
} as const;

interface Observer {
  readonly connection: EngineConnection;
  readonly first: Promise<Observation>;
  /** What it has said last. */
  latest: Observation | undefined;
}

/**
 * QUIC address discovery (draft-ietf-quic-address-discovery, as iroh's relays have it): a connection to a relay that serves
 * no other purpose than being told from where our packets come. One is kept open for each relay and family.
 */
export class AddressDiscovery {
  readonly #options: AddressDiscoveryOptions;
  readonly #observers = new Map<string, Observer>();

  constructor(options: AddressDiscoveryOptions) {
    this.#options = options;
  }

  /** Rejects with what went wrong, and with the signal's reason. */
  readonly discover: DiscoverAddress = async (relay, { family, signal }) => {
    signal.throwIfAborted();
    const key = `${family} ${relay}`;
    const known = this.#observers.get(key);
    if (known !== undefined) {
      return known.latest ?? (await untilAborted(known.first, signal));
    }
    const { hostname } = new URL(relay);
    const port = this.#options.portOf(relay);
    if (port === undefined) {
      throw new Error("it does not tell addresses");
    }
    // Relays' names end with a dot, which no certificate has.
    const host = hostname.replace(/\.$/, "").replace(/^\[(.*)\]$/, "$1");
    const found = await untilAborted(this.#options.network.resolveHost(host, port), signal);
    const remote = found.find((address) => address.family === family);
    if (remote === undefined) {
      throw new Error(`${host} has no IPv${family} address`);
    }
    const observer = this.#observers.get(key) ?? this.#observe(key, remote, host);
    return await untilAborted(observer.first, signal);
  };

  /** Has relays show whether they still see us at the same address. */
  check(): void {
    for (const { connection } of this.#observers.values()) {
      connection.ping();
    }
  }

  /** The network is another one: what relays were told of before does not count. */
  networkChanged(): void {
    this.close();
  }

  close(): void {
    for (const { connection } of this.#observers.values()) {
      connection.close(finished.code, finished.reason);
    }
    this.#observers.clear();
  }

  #observe(key: string, remote: SocketAddress, serverName: string): Observer {
    const first = deferred<Observation>();
    // Nobody may be waiting any more.
    first.promise.catch(() => {});
    const connection = this.#options.connect({
      remote,
      expected: { type: "web", serverName },
      alpns: [addressDiscoveryAlpn],
      transport,
      handler: {
        ...untilConnected(
          () => {},
          (cause) => {
            if (this.#observers.get(key)?.connection === connection) {
              this.#observers.delete(key);
            }
            const where = formatSocketAddress(remote);
            first.reject(new Error(`cannot ask ${where}: ${describeClose(cause)}`));
          },
        ),
        addressObserved: (address) => {
          const observation = { observer: remote, address };
          first.resolve(observation);
          if (observer.latest !== undefined) {
            this.#options.observed(observation);
          }
          observer.latest = observation;
        },
      },
    });
    const observer: Observer = { connection, first: first.promise, latest: undefined };
    this.#observers.set(key, observer);
    return observer;
  }
}
