// What happened to each call on the serving side, and the gates that hold handlers where a test wants them. It stands in for
// sleeping: a test waits for an event, never for time to pass.

import { ConnectError } from "@connectrpc/connect";

export interface JournalEvent {
  readonly name: string;
  readonly reason?: { readonly code: number; readonly message: string };
}

/** One call, as its handler notes it. */
export interface CallRecord {
  readonly events: readonly JournalEvent[];
  /** Says how many messages the handler has received. */
  received: () => number;
  /** Messages that the handler has handed over to be sent. */
  sent: number;
  /** Adds an event; `reason` is an error, or the reason of a signal. */
  note(name: string, reason?: unknown): void;
}

/** Records live as long as the journal: as many as there are names of calls. */
export class Journal {
  readonly #calls = new Map<string, Call>();
  readonly #gates = new Map<string, Gate>();

  /** The record of the call with this name; made on the first question. Without a name it is nobody else's. */
  call(name: string): CallRecord {
    return this.#call(name);
  }

  /** Resolves with the first event of this name, when there is one. */
  awaitEvent(callName: string, eventName: string): Promise<JournalEvent> {
    return this.#call(callName).awaitEvent(eventName);
  }

  /** Resolves when the gate is open. */
  passGate(name: string): Promise<void> {
    return this.#gate(name).opened;
  }

  openGate(name: string): void {
    this.#gate(name).open();
  }

  #call(name: string): Call {
    if (name === "") {
      return new Call();
    }
    const call = this.#calls.get(name) ?? new Call();
    this.#calls.set(name, call);
    return call;
  }

  #gate(name: string): Gate {
    const gate = this.#gates.get(name) ?? new Gate();
    this.#gates.set(name, gate);
    return gate;
  }
}

class Call implements CallRecord {
  readonly events: JournalEvent[] = [];
  received: () => number = () => 0;
  sent = 0;
  #waiting: { eventName: string; resolve: (event: JournalEvent) => void }[] = [];

  note(name: string, reason?: unknown): void {
    const event = reason === undefined ? { name } : { name, reason: describeReason(reason) };
    this.events.push(event);
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ eventName }) => eventName !== name);
    for (const waiter of waiting) {
      if (waiter.eventName === name) {
        waiter.resolve(event);
      }
    }
  }

  awaitEvent(eventName: string): Promise<JournalEvent> {
    const past = this.events.find(({ name }) => name === eventName);
    return past === undefined
      ? new Promise((resolve) => this.#waiting.push({ eventName, resolve }))
      : Promise.resolve(past);
  }
}

class Gate {
  open: () => void = () => {};
  readonly opened: Promise<void> = new Promise((resolve) => {
    this.open = resolve;
  });
}

function describeReason(reason: unknown): { code: number; message: string } {
  return reason instanceof ConnectError
    ? { code: reason.code, message: reason.rawMessage }
    : { code: 0, message: String(reason) };
}
