import type { Platform } from "../base/platform.ts";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import { unmapped } from "./dialable-addresses.ts";
import type { Network } from "./network.ts";
import { isPlausible, type Observation } from "./observation.ts";
import type { StunAnswer } from "./stun-prober.ts";
import { parseStunServer, type StunServer } from "./stun-server.ts";
import { untilAborted } from "./until-aborted.ts";

/** Asks a relay by QUIC address discovery from our own socket, over IPv4 or IPv6. */
export type DiscoverAddress = (
  relay: RelayUrl,
  options: { readonly family: 4 | 6; readonly signal: AbortSignal },
) => Promise<Observation>;

export interface AddressObserversOptions {
  readonly platform: Platform;
  /** {@link Network.resolveHost}. */
  readonly resolveHost: Network["resolveHost"];
  /** The families of the sockets that are bound. */
  readonly families: () => readonly (4 | 6)[];
  /** As {@link parseStunServer} reads them; the first {@link maxServers} are asked. Default none. */
  readonly stunServers?: readonly string[];
  /** {@link StunProber.probe}. */
  readonly probe?: (
    server: SocketAddress,
    options: { readonly signal: AbortSignal },
  ) => Promise<StunAnswer>;
  /** The relays of now, the nearest first; the first {@link maxServers} are asked. Default none. */
  readonly relays?: () => readonly RelayUrl[];
  readonly discover?: DiscoverAddress;
}

/** What came of asking one server over one family. */
export type ObserverOutcome = AskedObserver & ObserverAnswer;

export interface AskedObserver {
  readonly kind: "stun" | "relay";
  /** The STUN server as it was configured, or the relay's URL. */
  readonly server: string;
  /** Undefined where the name of the server was not found. */
  readonly family: 4 | 6 | undefined;
}

export type ObserverAnswer =
  | { readonly type: "answered"; readonly observation: Observation; readonly latencyMs: number }
  | { readonly type: "failed"; readonly error: string };

export interface AskOptions {
  /** False: names that were resolved before are not resolved again. */
  readonly full: boolean;
  /** Ends the asking: what has not answered by then has failed. */
  readonly signal: AbortSignal;
  /** Told of each answer as it comes. */
  readonly observed?: (observation: Observation) => void;
}

/** Servers of each kind that are asked, each over both families: two would do to know a NAT. */
export const maxServers = 5;

/** All who can be asked where they see us: STUN servers, and relays with QUIC address discovery. */
export class AddressObservers {
  readonly #options: AddressObserversOptions;
  readonly #stunServers: readonly { readonly text: string; readonly server: StunServer }[];
  /** By server: at most one address a family. */
  readonly #resolved = new Map<string, readonly SocketAddress[]>();

  /** Throws TypeError or RangeError for a STUN server that cannot be. */
  constructor(options: AddressObserversOptions) {
    this.#options = options;
    this.#stunServers = (options.stunServers ?? [])
      .slice(0, maxServers)
      .map((text) => ({ text, server: parseStunServer(text) }));
  }

  /** Asks all at once, and resolves when each has answered or failed. Never rejects. */
  async ask(options: AskOptions): Promise<ObserverOutcome[]> {
    const relays = this.#options.relays?.().slice(0, maxServers) ?? [];
    const outcomes = await Promise.all([
      ...this.#stunServers.map(({ text, server }) => this.#askStun(text, server, options)),
      ...relays.map((relay) => this.#askRelay(relay, options)),
    ]);
    return outcomes.flat();
  }

  async #askStun(
    text: string,
    server: StunServer,
    options: AskOptions,
  ): Promise<ObserverOutcome[]> {
    const { probe } = this.#options;
    if (probe === undefined) {
      return [];
    }
    const about = { kind: "stun", server: text } as const;
    let addresses: readonly SocketAddress[];
    try {
      addresses = await this.#resolve(text, server, options);
    } catch (error) {
      return [{ ...about, family: undefined, type: "failed", error: messageOf(error) }];
    }
    return await Promise.all(
      addresses.map(async (address) => ({
        ...about,
        family: address.family,
        ...(await answerOf(options, () => probe(address, { signal: options.signal }))),
      })),
    );
  }

  async #askRelay(relay: RelayUrl, options: AskOptions): Promise<ObserverOutcome[]> {
    const { discover, families, platform } = this.#options;
    if (discover === undefined) {
      return [];
    }
    return await Promise.all(
      families().map(async (family) => ({
        kind: "relay" as const,
        server: relay,
        family,
        ...(await answerOf(options, async () => {
          const start = platform.now();
          const observation = await discover(relay, { family, signal: options.signal });
          return { ...observation, latencyMs: platform.now() - start };
        })),
      })),
    );
  }

  async #resolve(
    text: string,
    { host, port }: StunServer,
    { full, signal }: AskOptions,
  ): Promise<readonly SocketAddress[]> {
    const known = this.#resolved.get(text);
    if (known !== undefined && !full) {
      return known;
    }
    let found: readonly SocketAddress[];
    try {
      found = await untilAborted(this.#options.resolveHost(host, port), signal);
    } catch (error) {
      if (known !== undefined) {
        return known;
      }
      throw error;
    }
    const plain = found.map(unmapped);
    const usable = this.#options
      .families()
      .map((family) => plain.find((address) => address.family === family))
      .filter((address) => address !== undefined);
    if (usable.length === 0) {
      throw new Error(`no address of ${host} is of a family that is bound here`);
    }
    this.#resolved.set(text, usable);
    return usable;
  }
}

/** Never rejects. */
async function answerOf(
  { signal, observed }: AskOptions,
  ask: () => Promise<StunAnswer>,
): Promise<ObserverAnswer> {
  try {
    const { observer, address, latencyMs } = await untilAborted(ask(), signal);
    const observation = { observer: unmapped(observer), address: unmapped(address) };
    if (!isPlausible(observation)) {
      const text = formatSocketAddress(observation.address);
      throw new Error(`it sees ${text}, where nobody can be`);
    }
    observed?.(observation);
    return { type: "answered", observation, latencyMs };
  } catch (error) {
    return { type: "failed", error: messageOf(error) };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
