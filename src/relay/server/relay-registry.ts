import { encodeHex } from "../../base/hex.ts";
import type { EndpointId } from "../../identity/endpoint-id.ts";
import type { RelayClientLink } from "./relay-client-link.ts";
import type { RelayMetrics } from "./relay-metrics.ts";

/** Peers of a client that hear when it is gone. To more it may send, but they are not told. */
const maxNotified = 1_024;

/** All connections of one id. */
interface Registration {
  active: RelayClientLink;
  /** Those that an other took over from, oldest first. They may still send. */
  readonly inactive: RelayClientLink[];
  /** Whom this id has sent something, in hex. */
  readonly sentTo: Set<string>;
}

/** Who is connected, and which connection of an id receives: the newest. */
export class RelayRegistry {
  readonly #byId = new Map<string, Registration>();
  readonly #metrics: RelayMetrics;
  readonly #maxPerId: number;

  constructor(metrics: RelayMetrics, maxConnectionsPerId: number) {
    this.#metrics = metrics;
    this.#maxPerId = maxConnectionsPerId;
  }

  /** Ids. */
  get size(): number {
    return this.#byId.size;
  }

  /** The connections of an id. */
  linksOf(id: EndpointId): RelayClientLink[] {
    const registration = this.#byId.get(id.toString());
    return registration === undefined ? [] : [...registration.inactive, registration.active];
  }

  /** A connection that receives from now on. Returns one that has to be closed, because its id has too many. */
  add(link: RelayClientLink): RelayClientLink | undefined {
    const key = link.id.toString();
    const registration = this.#byId.get(key);
    if (registration === undefined) {
      this.#byId.set(key, { active: link, inactive: [], sentTo: new Set() });
      return undefined;
    }
    registration.active.sendSameIdElsewhere();
    registration.inactive.push(registration.active);
    registration.active = link;
    this.#metrics.inactiveAdded += 1;
    return registration.inactive.length < this.#maxPerId ? undefined : registration.inactive[0];
  }

  /** A connection that is over, or will be. Does nothing where it is not there. */
  remove(link: RelayClientLink): void {
    const key = link.id.toString();
    const registration = this.#byId.get(key);
    if (registration === undefined) {
      return;
    }
    const index = registration.inactive.indexOf(link);
    if (index >= 0) {
      registration.inactive.splice(index, 1);
      this.#metrics.inactiveRemoved += 1;
    } else if (registration.active === link) {
      const next = registration.inactive.pop();
      if (next === undefined) {
        this.#byId.delete(key);
        this.#tellGone(link, registration.sentTo);
      } else {
        registration.active = next;
        this.#metrics.inactiveRemoved += 1;
        next.sendHealthy();
      }
    }
  }

  /** The connection that receives what is sent to these 32 bytes. */
  receiver(id: Uint8Array): RelayClientLink | undefined {
    return this.#byId.get(encodeHex(id))?.active;
  }

  /** Notes that `from` has sent something to `to`, which then hears when the former is gone. */
  noteSent(from: RelayClientLink, to: RelayClientLink): void {
    const sentTo = this.#byId.get(from.id.toString())?.sentTo;
    if (sentTo !== undefined && sentTo.size < maxNotified) {
      sentTo.add(to.id.toString());
    }
  }

  #tellGone(gone: RelayClientLink, sentTo: ReadonlySet<string>): void {
    for (const key of sentTo) {
      this.#byId.get(key)?.active.sendEndpointGone(gone.idBytes);
    }
  }
}
