import { Code, ConnectError } from "@connectrpc/connect";
import type { Platform, Timer } from "../base/platform.ts";
import { EndpointError } from "../endpoint/endpoint-error.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { CallChannel, Channel, ChannelState } from "./channel.ts";
import { type LivePeer, type PeerRegistry, takesRequests } from "./live-peers.ts";
import type { HttpSession, SessionWaiter } from "./session.ts";

export interface LiveChannelOptions {
  readonly id: EndpointId;
  readonly peers: Pick<PeerRegistry, "watch"> & {
    sessionOf(id: EndpointId): HttpSession | undefined;
  };
  /** The connection that is used before others of the peer, as long as it lives. */
  readonly preferred?: Pick<LivePeer, "session"> | undefined;
  /** Dials where there is no connection. */
  readonly dialed?: Channel | undefined;
  /** Calls that find no connection wait for one, dialed or not, instead of failing at once. */
  readonly waitForReady: boolean;
  readonly platform: Pick<Platform, "clearTimer" | "now" | "setTimer">;
}

interface Waiting {
  readonly endsAt: number;
  readonly timer: Timer | undefined;
  /** Waits for a dial in its place. */
  readonly dialing: SessionWaiter;
}

/** The way to a peer over the connections that there are, whoever dialed them; and by dialing it where that is given. */
export class LiveChannel implements CallChannel {
  readonly peer: string;
  readonly #options: LiveChannelOptions;
  readonly #waiters = new Map<SessionWaiter, Waiting>();
  #stopWatching: () => void = () => {};

  constructor(options: LiveChannelOptions) {
    this.peer = options.id.short;
    this.#options = options;
  }

  get state(): ChannelState {
    return this.session === undefined ? (this.#options.dialed?.state ?? "idle") : "connected";
  }

  get session(): HttpSession | undefined {
    const { dialed, id, peers, preferred } = this.#options;
    return preferred !== undefined && takesRequests(preferred.session)
      ? preferred.session
      : (peers.sessionOf(id) ?? dialed?.session);
  }

  nameOf(): string {
    return this.peer;
  }

  acquire(waiter: SessionWaiter, timeoutMs: number): HttpSession | undefined {
    const { session } = this;
    if (session !== undefined) {
      return session;
    }
    const obstacle = this.#obstacle();
    if (obstacle === undefined) {
      this.#wait(waiter, timeoutMs);
    } else {
      waiter.unreachable(obstacle);
    }
    return undefined;
  }

  forget(waiter: SessionWaiter): void {
    const waiting = this.#waiters.get(waiter);
    if (waiting === undefined) {
      return;
    }
    const { dialed, platform } = this.#options;
    if (waiting.timer !== undefined) {
      platform.clearTimer(waiting.timer);
    }
    dialed?.forget(waiting.dialing);
    this.#waiters.delete(waiter);
    if (this.#waiters.size === 0) {
      this.#stopWatching();
    }
  }

  answered(session: HttpSession): void {
    this.#options.dialed?.answered(session);
  }

  #wait(waiter: SessionWaiter, timeoutMs: number): void {
    const { dialed, id, peers, platform } = this.#options;
    const timeUp = (): void => {
      const problem = `${this.peer} did not connect within ${timeoutMs} ms`;
      this.#fail(waiter, new EndpointError("dial-timeout", problem));
    };
    // The channel that dials has a timer of its own.
    const timer = dialed === undefined ? platform.setTimer(timeoutMs, timeUp) : undefined;
    const dialing: SessionWaiter = {
      early: (session) => waiter.early?.(session),
      ready: (session) => this.#ready(waiter, session),
      unreachable: (error) => this.#dialFailed(waiter, error),
    };
    if (this.#waiters.size === 0) {
      this.#stopWatching = peers.watch(id, () => this.#look());
    }
    this.#waiters.set(waiter, { endsAt: platform.now() + timeoutMs, timer, dialing });
    dialed?.acquire(dialing, timeoutMs);
  }

  /** Something has happened to a connection of the peer. */
  #look(): void {
    for (const waiter of [...this.#waiters.keys()]) {
      const { session } = this;
      const obstacle = session === undefined ? this.#obstacle() : undefined;
      if (session !== undefined) {
        this.#ready(waiter, session);
      } else if (obstacle !== undefined) {
        this.#fail(waiter, obstacle);
      }
    }
  }

  /** Why nothing is to be waited for. */
  #obstacle(): Error | undefined {
    const { dialed, preferred, waitForReady } = this.#options;
    if (dialed !== undefined) {
      return undefined;
    }
    if (preferred?.session.state === "open") {
      return preferred.session.sendsRequests === undefined
        ? undefined
        : new ConnectError(`${this.peer} serves nothing on its connection`, Code.Unimplemented);
    }
    return waitForReady
      ? undefined
      : new EndpointError("connection-lost", `cannot call ${this.peer}: it is not connected`);
  }

  #dialFailed(waiter: SessionWaiter, error: unknown): void {
    const waiting = this.#waiters.get(waiter);
    if (waiting === undefined) {
      return;
    }
    const { dialed, platform, waitForReady } = this.#options;
    const leftMs = waiting.endsAt - platform.now();
    if (waitForReady && leftMs > 0) {
      dialed?.acquire(waiting.dialing, leftMs);
    } else {
      this.#fail(waiter, error);
    }
  }

  #ready(waiter: SessionWaiter, session: HttpSession): void {
    if (this.#waiters.has(waiter)) {
      this.forget(waiter);
      waiter.ready(session);
    }
  }

  #fail(waiter: SessionWaiter, error: unknown): void {
    if (this.#waiters.has(waiter)) {
      this.forget(waiter);
      waiter.unreachable(error);
    }
  }
}
