import type { EndpointAddr } from "connect-quic";

/** Somebody of a room besides oneself. */
interface Contact {
  readonly id: string;
  addr: EndpointAddr;
  state: "waiting" | "calling" | "present";
  /** When it is called again, while it is waiting. */
  atMs: number;
  /** Calls without success in a row. */
  failures: number;
  /** It came after this member. */
  readonly isNew: boolean;
  /** What it called itself when it was there last. */
  nick: string | undefined;
}

export interface Presence {
  readonly id: string;
  readonly nick: string;
}

/** How long until a member is called again that could not be reached, each time; then it is forgotten. */
const retryDelaysMs = [500, 1_000, 2_000, 4_000, 8_000];

/**
 * Who is in a room, and who is to be called when: whoever was heard of, a member that is lost again a few times. Knows no
 * clock: times are arguments, milliseconds of one clock.
 */
export class Membership {
  readonly #self: string;
  readonly #maxContacts: number;
  readonly #contacts = new Map<string, Contact>();

  constructor(options: { readonly self: string; readonly maxContacts: number }) {
    this.#self = options.self;
    this.#maxContacts = options.maxContacts;
  }

  /** Those who are there. */
  *present(): Iterable<Presence> {
    for (const { id, state, nick } of this.#contacts.values()) {
      if (state === "present" && nick !== undefined) {
        yield { id, nick };
      }
    }
  }

  /**
   * Somebody is said to be in the room, by another member or by itself: that goes before what others say. `isNew`: it came
   * after this member.
   */
  heard(
    addr: EndpointAddr,
    { from, isNew, now }: { from: "itself" | "another"; isNew: boolean; now: number },
  ): void {
    const id = addr.id.toString();
    const contact = this.#contacts.get(id);
    if (id === this.#self) {
      return;
    }
    if (contact === undefined) {
      if (this.#contacts.size >= this.#maxContacts && !(from === "itself" && this.#makeRoom())) {
        return;
      }
      const state = { state: "waiting", atMs: now, failures: 0, nick: undefined } as const;
      this.#contacts.set(id, { id, addr, isNew, ...state });
    } else if (from === "itself") {
      contact.addr = addr;
      contact.failures = 0;
      contact.atMs = Math.min(contact.atMs, now);
    }
  }

  /** Those who are to be called now, each once. */
  takeDue(now: number): EndpointAddr[] {
    const due = [...this.#contacts.values()].filter(
      ({ state, atMs }) => state === "waiting" && atMs <= now,
    );
    for (const contact of due) {
      contact.state = "calling";
    }
    return due.map(({ addr }) => addr);
  }

  /** When somebody is to be called next; undefined when nobody is. */
  nextCall(): number | undefined {
    const times = [...this.#contacts.values()].flatMap(({ state, atMs }) =>
      state === "waiting" ? [atMs] : [],
    );
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** A call was answered. Says what that means to those who look on; undefined when it was not called. */
  answered(id: string, nick: string): "here" | "joined" | "back" | undefined {
    const contact = this.#contacts.get(id);
    if (contact?.state !== "calling") {
      return undefined;
    }
    const news = contact.nick !== undefined ? "back" : contact.isNew ? "joined" : "here";
    contact.state = "present";
    contact.failures = 0;
    contact.nick = nick;
    return news;
  }

  /** A call failed or broke. The member is lost if it was there; otherwise undefined. */
  failed(id: string, now: number): Presence | undefined {
    const contact = this.#contacts.get(id);
    if (contact === undefined || contact.state === "waiting") {
      return undefined;
    }
    const { state, nick } = contact;
    const delayMs = retryDelaysMs[contact.failures];
    if (delayMs === undefined) {
      this.#contacts.delete(id);
    } else {
      contact.state = "waiting";
      contact.failures += 1;
      contact.atMs = now + delayMs;
    }
    return state === "present" && nick !== undefined ? { id, nick } : undefined;
  }

  /** It has left, or is not to be called any more. The member if it was there; otherwise undefined. */
  gone(id: string): Presence | undefined {
    const contact = this.#contacts.get(id);
    this.#contacts.delete(id);
    return contact?.state === "present" && contact.nick !== undefined
      ? { id, nick: contact.nick }
      : undefined;
  }

  /** Forgets somebody who is only known by hearsay; false when there is nobody. */
  #makeRoom(): boolean {
    for (const { id, state, nick } of this.#contacts.values()) {
      if (state === "waiting" && nick === undefined) {
        return this.#contacts.delete(id);
      }
    }
    return false;
  }
}
