import type { Platform } from "../base/platform.ts";
import {
  formatSocketAddress,
  isSameSocketAddress,
  type SocketAddress,
} from "../base/socket-address.ts";
import { candidateAddresses, type OwnAddress } from "./candidate-addresses.ts";
import { unmapped } from "./dialable-addresses.ts";
import type { InterfaceChange } from "./interface-watch.ts";
import { socketAddresses } from "./local-addresses.ts";
import { type NatMapping, natMapping } from "./nat-mapping.ts";
import type { InterfaceAddress } from "./network.ts";
import { isPlausible, type Observation } from "./observation.ts";
import { type FinishedCheck, RecheckSchedule } from "./recheck-schedule.ts";

export interface ObserveOptions {
  /** True: ask whoever can be asked; false: a few, to keep NATs from forgetting and to notice another address. */
  readonly full: boolean;
  /** Fires when the answers are of no use any more. */
  readonly signal: AbortSignal;
  /** Takes an answer. Those that cannot be true are ignored. */
  observed(observation: Observation): void;
}

export interface OwnAddressesOptions {
  readonly platform: Platform;
  /** Where the sockets are bound, at most one a family. */
  readonly bound: () => readonly SocketAddress[];
  /** {@link Network.interfaces}. */
  readonly interfaces: () => readonly InterfaceAddress[];
  /** What the user knows: a port that is forwarded by hand. Port 0 stands for the port that is bound. */
  readonly configured?: readonly SocketAddress[];
  /**
   * Asks servers (STUN, QUIC address discovery) where they see us, and resolves when all have answered or had their
   * chance. What it rejects with is ignored. Default: nobody is asked, and then nothing here runs by itself.
   */
  readonly observe?: (options: ObserveOptions) => Promise<void>;
  /** The set has changed: another address, or one less. Its order does not count. */
  readonly changed: (addresses: readonly OwnAddress[]) => void;
}

/** An observation that was not repeated for so long is forgotten: two checks in a row may lose their answers. */
const observationLifeMs = 70_000;
/** Observers remembered; the one heard least recently makes room. */
const maxObservers = 64;
/** Other addresses that one observer may come up with from one full check to the next; a NAT needs a few. */
const maxAddressChanges = 16;

interface Observer {
  readonly observation: Observation;
  /** When it said so last. */
  readonly heardAt: number;
  /** How often it has said something else. */
  readonly changes: number;
}

/**
 * Knows the addresses at which others may reach this endpoint: of the interfaces, as servers see them, as the gateway
 * forwards them, and as configured. Servers are asked at {@link start}, then every 20 to 26 s, everybody every 5 min, and
 * at once when the network has changed.
 */
export class OwnAddresses {
  readonly #options: OwnAddressesOptions;
  readonly #platform: Platform;
  /** By observer, the one that has told its address first in front. */
  readonly #observers = new Map<string, Observer>();
  readonly #schedule: RecheckSchedule | undefined;
  #natMappings: Readonly<Record<4 | 6, NatMapping>> = { 4: "unknown", 6: "unknown" };
  #mapped: SocketAddress | undefined;
  #current: readonly OwnAddress[];
  #isRunning = false;
  /** What was observed before is of another network, if no check since then says the same. */
  #networkSince = Number.NEGATIVE_INFINITY;
  #judgedAt = Number.NEGATIVE_INFINITY;

  constructor(options: OwnAddressesOptions) {
    const { platform, observe } = options;
    this.#options = options;
    this.#platform = platform;
    this.#current = this.#gather();
    this.#schedule =
      observe &&
      new RecheckSchedule({
        platform,
        check: ({ full, signal }) =>
          observe({
            full,
            signal,
            observed: (observation) => {
              if (!signal.aborted) {
                this.observed(observation);
              }
            },
          }),
        checked: (check) => this.#checked(check),
      });
  }

  /** The most promising first. */
  get current(): readonly OwnAddress[] {
    return this.#current;
  }

  /** What stands between us and the network of this family, as the last checks have found. */
  natMapping(family: 4 | 6): NatMapping {
    return this.#natMappings[family];
  }

  /** Asks for the first time, and from then on at intervals. Idempotent. */
  start(): void {
    this.#isRunning = true;
    this.#update();
    this.#schedule?.start();
  }

  /** Forgets all timers; `changed` is not called any more. Idempotent. */
  stop(): void {
    this.#isRunning = false;
    this.#schedule?.stop();
  }

  /** For {@link InterfaceWatch}: brings the set up to date and asks again. */
  networkChanged({ major }: InterfaceChange): void {
    if (major) {
      this.#networkSince = this.#platform.now();
    }
    this.#update();
    this.#schedule?.hurry({ full: major });
  }

  /** For answers that come unasked, as QUIC address discovery has them. */
  observed(observation: Observation): void {
    const plain = {
      observer: unmapped(observation.observer),
      address: unmapped(observation.address),
    };
    if (!isPlausible(plain)) {
      return;
    }
    const key = formatSocketAddress(plain.observer);
    const heardAt = this.#platform.now();
    const known = this.#observers.get(key);
    if (known !== undefined && isSameSocketAddress(known.observation.address, plain.address)) {
      this.#observers.set(key, { ...known, heardAt });
      return;
    }
    const changes = known === undefined ? 0 : known.changes + 1;
    if (changes > maxAddressChanges) {
      return;
    }
    // To the end: what it says now was seen later than what others say.
    this.#observers.delete(key);
    this.#observers.set(key, { observation: plain, heardAt, changes });
    const [eldest] = this.#observers.keys();
    if (this.#observers.size > maxObservers && eldest !== undefined) {
      this.#observers.delete(eldest);
    }
    this.#update();
  }

  /** For the port mapper: what the gateway forwards to us, or undefined when that is over. */
  setMapped(address: SocketAddress | undefined): void {
    this.#mapped = address;
    this.#update();
  }

  #gather(): OwnAddress[] {
    const { bound, interfaces, configured = [] } = this.#options;
    return candidateAddresses({
      bound: bound(),
      interfaces: interfaces(),
      observations: [...this.#observers.values()].map(({ observation }) => observation),
      natMapping: this.#natMappings[4],
      mapped: this.#mapped,
      configured,
    });
  }

  #checked({ startedAt, full }: FinishedCheck): void {
    // What nobody has confirmed goes now and not before, so that addresses do not go and come back with every change.
    const deadline = Math.max(this.#networkSince, this.#platform.now() - observationLifeMs);
    for (const [key, observer] of this.#observers) {
      if (observer.heardAt < deadline) {
        this.#observers.delete(key);
      } else if (full) {
        this.#observers.set(key, { ...observer, changes: 0 });
      }
    }
    this.#natMappings = { 4: this.#judge(4, startedAt), 6: this.#judge(6, startedAt) };
    this.#judgedAt = this.#platform.now();
    this.#update();
  }

  /** By what was heard since then, because a NAT may have had another address for us before. */
  #judge(family: 4 | 6, since: number): NatMapping {
    const observers = [...this.#observers.values()].filter(
      ({ observation }) => observation.address.family === family,
    );
    const heard = observers.filter(({ heardAt }) => heardAt >= since);
    const { bound, interfaces } = this.#options;
    const verdict = natMapping(
      heard.map(({ observation }) => observation),
      socketAddresses(bound(), interfaces()),
    );
    const isStillTrue = observers.length > 0 && this.#judgedAt >= this.#networkSince;
    return verdict === "unknown" && isStillTrue ? this.#natMappings[family] : verdict;
  }

  #update(): void {
    const before = this.#current;
    this.#current = this.#gather();
    if (this.#isRunning && !isSameSet(before, this.#current)) {
      this.#options.changed(this.#current);
    }
  }
}

function isSameSet(before: readonly OwnAddress[], after: readonly OwnAddress[]): boolean {
  const known = new Set(before.map(({ address }) => formatSocketAddress(address)));
  return (
    before.length === after.length &&
    after.every(({ address }) => known.has(formatSocketAddress(address)))
  );
}
