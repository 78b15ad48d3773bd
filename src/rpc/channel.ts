import type { Platform, Timer } from "../base/platform.ts";
import { EndpointError } from "../endpoint/endpoint-error.ts";
import { longestTimerMs } from "./check-options.ts";
import {
  type BackoffOptions,
  RedialPlan,
  type RedialState,
  type RedialStep,
} from "./redial-plan.ts";
import type { HttpSession, SessionEvents, SessionWaiter } from "./session.ts";

/** Opens a connection to the peer. Rejects with `signal`'s reason when that fires first. */
export type Dial = (
  events: SessionEvents,
  options: { readonly signal: AbortSignal; readonly timeoutMs: number },
) => Promise<HttpSession>;

export interface ChannelOptions {
  /** The peer's short id, for messages. */
  readonly peer: string;
  readonly dial: Dial;
  readonly platform: Platform;
  readonly backoff?: BackoffOptions;
}

/** "waiting": a dial failed a moment ago, the next one comes after a pause. */
export type ChannelState = RedialState["type"];

/** What calls, and transports, need of the way to a peer. */
export type CallChannel = Pick<
  Channel,
  "acquire" | "answered" | "forget" | "nameOf" | "peer" | "session" | "state"
>;

/**
 * A call whose time is up waits this much longer for a dial whose time is up as well: the dial's error tells what was tried
 * and what came of it. Milliseconds.
 */
const lastWordMs = 20;

/**
 * A connection that was kept open is dialed again within this time of its loss, unless a call wants it sooner. A hub that
 * ends loses all of its devices in the same moment, and so many first packets at once would be too many for its socket, now
 * and whenever they are repeated. Milliseconds.
 */
const returnWithinMs = 1_000;

/** What has come of a dial. */
interface Dialed {
  session: HttpSession | undefined;
  lost: EndpointError | undefined;
}

interface Waiting {
  timer: Timer;
  readonly timeoutMs: number;
  /** A dial was begun since it waits. */
  dialed: boolean;
}

/**
 * The way to a peer: the connection that calls to it share. There is none until a call wants one, and when it is lost
 * the next call brings another. Calls that find none wait for it, each for its own time at most.
 */
export class Channel {
  /** Who is called, for messages. */
  readonly peer: string;
  readonly #dial: Dial;
  readonly #platform: Platform;
  readonly #plan: RedialPlan;
  readonly #waiters = new Map<SessionWaiter, Waiting>();
  /** Sessions that take no new calls and are still busy with old ones. */
  readonly #draining = new Set<HttpSession>();
  #session: HttpSession | undefined;
  /** That of the dial under way, for early data. */
  #early: { readonly session: HttpSession; proven: boolean } | undefined;
  /** There is to be a connection without calls, too; a dial for that may take this long. */
  #keptOpenMs: number | undefined;
  #dialing: AbortController | undefined;
  #dialEndsAt = 0;
  #backoffTimer: Timer | undefined;
  #returnTimer: Timer | undefined;
  #lastError: unknown;

  constructor(options: ChannelOptions) {
    this.peer = options.peer;
    this.#dial = options.dial;
    this.#platform = options.platform;
    this.#plan = new RedialPlan(options.backoff);
  }

  get state(): ChannelState {
    return this.#plan.state.type;
  }

  /** The session that new calls go to. */
  get session(): HttpSession | undefined {
    return this.#session?.state === "open" ? this.#session : undefined;
  }

  /**
   * The session for a new request. When there is none it is undefined, and `waiter` hears of it later: `unreachable`
   * when the dial fails, or after `timeoutMs` (hardly more).
   */
  acquire(waiter: SessionWaiter, timeoutMs: number): HttpSession | undefined {
    const session = this.session;
    if (session !== undefined) {
      return session;
    }
    const timer = this.#platform.setTimer(timeoutMs, () => this.#timeUp(waiter));
    this.#waiters.set(waiter, { timer, timeoutMs, dialed: false });
    this.#take(this.#plan.wanted(this.#platform.now()));
    if (this.#early !== undefined) {
      waiter.early?.(this.#early.session);
    }
    return undefined;
  }

  /** Who is called on a session, or where there is none yet, for messages. */
  nameOf(_session: HttpSession | undefined): string {
    return this.peer;
  }

  /** The waiter wants no session any more. */
  forget(waiter: SessionWaiter): void {
    const waiting = this.#waiters.get(waiter);
    if (waiting !== undefined) {
      this.#platform.clearTimer(waiting.timer);
      this.#waiters.delete(waiter);
      this.#checkWanted();
    }
  }

  /**
   * Connects now, and again whenever the connection is lost, until {@link letGo} or the end of the endpoint. A dial may
   * take `dialTimeoutMs`.
   */
  keepOpen(dialTimeoutMs: number): void {
    this.#keptOpenMs = Math.max(dialTimeoutMs, this.#keptOpenMs ?? 0);
    this.#dialIfWanted();
  }

  /** Without calls, no connection is wanted any more; one that there is stays. */
  letGo(): void {
    this.#keptOpenMs = undefined;
    this.#clearReturn();
    this.#checkWanted();
  }

  /** New calls go to a new connection; those that run stay where they are. */
  renew(): void {
    if (this.#session !== undefined) {
      this.#drain(this.#session);
    }
  }

  /** The peer has answered a request on this session. */
  answered(session: HttpSession): void {
    if (session === this.#session) {
      this.#plan.proven();
    } else if (session === this.#early?.session) {
      this.#early.proven = true;
    }
  }

  /**
   * Closes the connection, after its calls have ended or `timeoutMs` has passed; waiting calls get `endpoint-closed`.
   * A later call dials again.
   */
  async disconnect(options: { readonly timeoutMs: number }): Promise<void> {
    this.#dialing?.abort(
      new EndpointError("endpoint-closed", `no longer connecting to ${this.peer}`),
    );
    this.#failWaiters(
      new EndpointError("endpoint-closed", `cannot call ${this.peer}: the transport is closed`),
    );
    const sessions = [...this.#draining];
    if (this.#early !== undefined) {
      sessions.push(this.#early.session);
    }
    if (this.#session !== undefined) {
      sessions.push(this.#session);
      this.#retire(this.#session);
    }
    await Promise.all(sessions.map((session) => session.shutdown(options)));
  }

  #timeUp(waiter: SessionWaiter): void {
    const waiting = this.#waiters.get(waiter);
    if (waiting === undefined) {
      return;
    }
    const giveUp = (): void => {
      this.forget(waiter);
      waiter.unreachable(this.#timeoutError(waiting.timeoutMs));
    };
    const dialEnds = this.#dialEndsAt - this.#platform.now() < lastWordMs;
    if (waiting.dialed && this.#dialing !== undefined && dialEnds) {
      waiting.timer = this.#platform.setTimer(lastWordMs, giveUp);
    } else {
      giveUp();
    }
  }

  #take(step: RedialStep): void {
    switch (step.type) {
      case "none":
        return;
      case "dial":
        this.#connect();
        return;
      case "wait":
        this.#backoffTimer = this.#platform.setTimer(step.untilMs - this.#platform.now(), () => {
          this.#backoffTimer = undefined;
          this.#take(this.#plan.timeUp());
        });
        return;
    }
  }

  #connect(): void {
    const dialing = new AbortController();
    this.#dialing = dialing;
    const dial: Dialed = { session: undefined, lost: undefined };
    const events = this.#eventsOf(dial);
    let timeoutMs = this.#keptOpenMs ?? 0;
    for (const waiting of this.#waiters.values()) {
      waiting.dialed = true;
      timeoutMs = Math.max(timeoutMs, waiting.timeoutMs);
    }
    this.#dialEndsAt = this.#platform.now() + timeoutMs;
    this.#dial(events, { signal: dialing.signal, timeoutMs }).then(
      (opened) => {
        this.#dialing = undefined;
        if (dialing.signal.aborted) {
          this.#cameTooLate(opened);
        } else {
          dial.session = opened;
          this.#connected(opened, dial.lost);
        }
      },
      (error: unknown) => {
        this.#dialing = undefined;
        this.#early = undefined;
        this.#dialFailed(error, dialing.signal.aborted);
      },
    );
  }

  /** Apart from what a dial needs, because a session keeps these as long as it lives. */
  #eventsOf(dial: Dialed): SessionEvents {
    return {
      early: (opened) => {
        this.#early = { session: opened, proven: false };
        for (const waiter of [...this.#waiters.keys()]) {
          waiter.early?.(opened);
        }
      },
      goingAway: () => {
        if (dial.session !== undefined && dial.session === this.#session) {
          this.#drain(dial.session);
        }
      },
      closed: (error) => {
        dial.lost = error;
        if (dial.session !== undefined) {
          this.#closed(dial.session);
        }
      },
    };
  }

  /** The dial was called off in the moment in which it had come to its end. */
  #cameTooLate(session: HttpSession): void {
    if (session !== this.#early?.session) {
      void session.shutdown({ timeoutMs: 0 });
    }
    this.#early = undefined;
    this.#plan.dialAborted();
    this.#dialIfWanted();
  }

  #connected(session: HttpSession, lost: EndpointError | undefined): void {
    this.#plan.connected();
    if (this.#early?.session === session && this.#early.proven) {
      this.#plan.proven();
    }
    this.#early = undefined;
    this.#clearReturn();
    this.#session = session;
    if (session.state === "open") {
      this.#lastError = undefined;
      for (const waiter of this.#takeWaiters()) {
        waiter.ready(session);
      }
      return;
    }
    // It ended before anybody could use it.
    const error =
      lost ?? new EndpointError("connection-lost", `${this.peer} takes no calls at the moment`);
    this.#lastError = error;
    this.#failWaiters(error);
    if (session.state === "draining") {
      this.#retire(session);
      void session.shutdown({ timeoutMs: 0 });
    } else {
      this.#closed(session);
    }
  }

  #dialFailed(error: unknown, aborted: boolean): void {
    if (aborted) {
      this.#plan.dialAborted();
    } else {
      this.#lastError = error;
      this.#plan.dialFailed(this.#platform.now(), this.#random());
    }
    // Who came while the dial was under way has not had an attempt of its own: it may be more patient, or luckier.
    this.#failWaiters(error, (waiting) => waiting.dialed);
    if (isFinal(error) && !aborted) {
      this.#keptOpenMs = undefined;
    }
    this.#dialIfWanted();
  }

  /** New calls go elsewhere, and what is still running there may go on for as long as it takes. */
  #drain(session: HttpSession): void {
    this.#retire(session);
    void session.shutdown({ timeoutMs: longestTimerMs });
  }

  /** New calls go elsewhere. */
  #retire(session: HttpSession): void {
    this.#session = undefined;
    this.#draining.add(session);
    this.#lost();
  }

  #closed(session: HttpSession): void {
    this.#draining.delete(session);
    if (session === this.#session) {
      this.#session = undefined;
      this.#lost();
    }
  }

  #lost(): void {
    this.#plan.lost(this.#platform.now(), this.#random());
    if (this.#waiters.size > 0) {
      // Somebody has come between the end of the session and the news of it.
      this.#dialIfWanted();
    } else if (this.#keptOpenMs !== undefined) {
      this.#clearReturn();
      const delayMs = this.#random() * returnWithinMs;
      this.#returnTimer = this.#platform.setTimer(delayMs, () => this.#dialIfWanted());
    }
  }

  get #wanted(): boolean {
    return this.#waiters.size > 0 || this.#keptOpenMs !== undefined;
  }

  #dialIfWanted(): void {
    if (this.#wanted) {
      this.#take(this.#plan.wanted(this.#platform.now()));
    }
  }

  #checkWanted(): void {
    if (!this.#wanted) {
      this.#clearBackoff();
      this.#plan.unwanted();
    }
  }

  #failWaiters(error: unknown, which: (waiting: Waiting) => boolean = () => true): void {
    for (const waiter of this.#takeWaiters(which)) {
      waiter.unreachable(error);
    }
  }

  #takeWaiters(which: (waiting: Waiting) => boolean = () => true): SessionWaiter[] {
    const waiters = [...this.#waiters].filter(([, waiting]) => which(waiting));
    return waiters.map(([waiter]) => {
      this.forget(waiter);
      return waiter;
    });
  }

  #clearReturn(): void {
    if (this.#returnTimer !== undefined) {
      this.#platform.clearTimer(this.#returnTimer);
      this.#returnTimer = undefined;
    }
  }

  #clearBackoff(): void {
    if (this.#backoffTimer !== undefined) {
      this.#platform.clearTimer(this.#backoffTimer);
      this.#backoffTimer = undefined;
    }
  }

  #timeoutError(timeoutMs: number): EndpointError {
    return new EndpointError(
      "dial-timeout",
      `cannot connect to ${this.peer} within ${timeoutMs} ms`,
      this.#lastError === undefined ? {} : { cause: this.#lastError },
    );
  }

  #random(): number {
    const bytes = new Uint32Array(1);
    this.#platform.randomFill(new Uint8Array(bytes.buffer));
    return (bytes[0] ?? 0) / 2 ** 32;
  }
}

/** Whether no dial can succeed any more. */
function isFinal(error: unknown): boolean {
  return (
    error instanceof EndpointError &&
    (error.code === "endpoint-closed" || error.code === "engine-failed")
  );
}
