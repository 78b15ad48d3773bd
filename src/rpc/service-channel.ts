import { Code, ConnectError } from "@connectrpc/connect";
import { pause } from "../base/pause.ts";
import type { Timer } from "../base/platform.ts";
import { RetryDelays, randomFraction } from "../base/retry-delays.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { EndpointError } from "../endpoint/endpoint-error.ts";
import type { Peer } from "./caller.ts";
import type { CallChannel, ChannelState } from "./channel.ts";
import { PeerLink, type PeerLinkOptions } from "./peer-link.ts";
import { PeerPool, type PeerPoolOptions, type PooledPeer } from "./peer-pool.ts";
import type { PeerSource, PeerSourceChange } from "./peer-source.ts";
import type { HttpSession, SessionWaiter } from "./session.ts";

export interface ServiceChannelOptions
  extends Pick<PeerPoolOptions, "maxConnections" | "maxPeers" | "policy">,
    Pick<PeerLinkOptions, "calls" | "service"> {
  readonly endpoint: Endpoint;
  readonly source: PeerSource;
  /** How long a peer has to be connected and to tell its health. Milliseconds. */
  readonly peerTimeoutMs: number;
}

/** How old a latency may be by which a peer is picked. Milliseconds. */
const measureMs = 1_000;

/**
 * The way to the peers of a service: each call gets a session with one of them. The source is followed, and peers are
 * dialed, from the first call on.
 */
export class ServiceChannel implements CallChannel {
  readonly peer: string;
  readonly #options: ServiceChannelOptions;
  readonly #pool: PeerPool;
  readonly #links = new Map<PooledPeer, PeerLink>();
  readonly #owners = new WeakMap<
    HttpSession,
    { readonly peer: PooledPeer; readonly link: PeerLink }
  >();
  readonly #waiters = new Map<SessionWaiter, Timer>();
  /** Who got a call, which asks again when they have refused it. */
  readonly #given = new WeakMap<SessionWaiter, Set<PooledPeer>>();
  /** Links whose calls run on, and which take no new ones. */
  readonly #ending = new Set<PeerLink>();
  readonly #closed = new AbortController();
  #sourceError: unknown;
  #isFollowing = false;
  #isUpdating = false;
  #timer: Timer | undefined;
  #measuredAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: ServiceChannelOptions) {
    const { endpoint, maxConnections, maxPeers, peerTimeoutMs, policy, service } = options;
    this.peer = service;
    this.#options = options;
    this.#pool = new PeerPool({
      policy,
      maxConnections,
      maxPeers,
      self: endpoint.id.toString(),
      patienceMs: peerTimeoutMs / 5,
      isBusy: (peer) => this.#links.get(peer)?.isBusy === true,
    });
    // An endpoint may live longer than many transports.
    const reference = new WeakRef(this);
    void endpoint.closed.then(() => reference.deref()?.close({ timeoutMs: 0 }));
  }

  get state(): ChannelState {
    if (this.#closed.signal.aborted) {
      return "idle";
    }
    const states = new Set(Array.from(this.#pool.peers, ({ state }) => state.type));
    if (states.has("ready")) {
      return "connected";
    }
    return states.has("connecting") ? "connecting" : this.#isFollowing ? "waiting" : "idle";
  }

  /** None that all calls go to. */
  get session(): undefined {
    return undefined;
  }

  get peers(): Iterable<PooledPeer> {
    this.#measure();
    return this.#closed.signal.aborted ? [] : this.#pool.peers;
  }

  get links(): Iterable<PeerLink> {
    return this.#links.values();
  }

  nameOf(session: HttpSession | undefined): string {
    const owner = session === undefined ? undefined : this.#owners.get(session);
    return owner?.peer.id.short ?? this.peer;
  }

  /** Who is at the other end of a session. */
  peerOn(session: HttpSession): Peer | undefined {
    return this.#owners.get(session)?.link.peerOn(session);
  }

  acquire(waiter: SessionWaiter, timeoutMs: number): HttpSession | undefined {
    if (this.#closed.signal.aborted) {
      waiter.unreachable(this.#closed.signal.reason);
      return undefined;
    }
    this.#follow();
    const session = this.#sessionFor(waiter);
    if (session === undefined) {
      const { platform } = this.#options.endpoint;
      const timer = platform.setTimer(timeoutMs, () => {
        this.forget(waiter);
        waiter.unreachable(this.#nobody(timeoutMs));
      });
      this.#waiters.set(waiter, timer);
    }
    if (session === undefined || this.#options.policy === "sticky") {
      // A key may want another peer connected, though the call has one.
      this.#update();
    }
    return session;
  }

  forget(waiter: SessionWaiter): void {
    const timer = this.#waiters.get(waiter);
    if (timer !== undefined) {
      this.#options.endpoint.platform.clearTimer(timer);
      this.#waiters.delete(waiter);
    }
  }

  answered(session: HttpSession): void {
    this.#owners.get(session)?.link.channel.answered(session);
  }

  /** Ends all that it has; calls that run have `timeoutMs` to end. Those that wait get `endpoint-closed`. Idempotent. */
  async close({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    if (!this.#closed.signal.aborted) {
      const problem = `cannot call ${this.peer}: the transport is closed`;
      this.#closed.abort(new EndpointError("endpoint-closed", problem));
      this.#clearTimer();
      for (const waiter of [...this.#waiters.keys()]) {
        this.forget(waiter);
        waiter.unreachable(this.#closed.signal.reason);
      }
      for (const peer of [...this.#links.keys()]) {
        this.#disconnect(peer, timeoutMs);
      }
    }
    await Promise.all([...this.#ending].map((link) => link.close({ timeoutMs })));
  }

  /** Picks a peer for whoever waits. */
  #sessionFor(waiter: SessionWaiter): HttpSession | undefined {
    const { platform } = this.#options.endpoint;
    if (this.#options.policy === "nearest") {
      this.#measure();
    }
    for (;;) {
      const refused = this.#given.get(waiter);
      const peer = this.#pool.pick(platform.now(), { key: waiter.key, refused });
      if (peer === undefined) {
        return undefined;
      }
      const session = this.#links.get(peer)?.session;
      if (session !== undefined) {
        this.#given.set(waiter, new Set(refused).add(peer));
        return session;
      }
      // It takes no more calls on this connection.
      const problem = `${peer.id.short} takes no calls at the moment`;
      this.#failed(peer, new EndpointError("connection-lost", problem));
    }
  }

  #follow(): void {
    if (!this.#isFollowing) {
      this.#isFollowing = true;
      void this.#followSource();
    }
  }

  /** Never rejects. */
  async #followSource(): Promise<void> {
    const { endpoint, service, source } = this.#options;
    const { platform } = endpoint;
    const { signal } = this.#closed;
    const delays = new RetryDelays(platform);
    const onError = (error: Error): void => {
      this.#sourceError = error;
    };
    while (!signal.aborted) {
      this.#pool.begin();
      try {
        for await (const change of source.watch({ service }, { signal, onError })) {
          if (signal.aborted) {
            return;
          }
          delays.succeeded();
          this.#sourceError = undefined;
          this.#apply(change);
        }
      } catch (error) {
        this.#sourceError = error;
      }
      await pause(platform, delays.failed(), signal).catch(() => {});
    }
  }

  #apply(change: PeerSourceChange): void {
    switch (change.type) {
      case "put":
        this.#pool.put(change.peer);
        break;
      case "gone":
        this.#pool.gone(change.id);
        break;
      case "complete":
        this.#pool.complete();
        break;
      default:
        change satisfies never;
    }
    this.#update();
  }

  /** Does what the pool wants, once for all that happens in a turn of the event loop. */
  #update(): void {
    if (!this.#isUpdating) {
      this.#isUpdating = true;
      this.#options.endpoint.platform.soon(() => {
        this.#isUpdating = false;
        if (!this.#closed.signal.aborted) {
          this.#serveWaiters();
          this.#step();
        }
      });
    }
  }

  #serveWaiters(): void {
    for (const waiter of [...this.#waiters.keys()]) {
      const session = this.#waiters.has(waiter) ? this.#sessionFor(waiter) : undefined;
      if (session !== undefined) {
        this.forget(waiter);
        waiter.ready(session);
      }
    }
  }

  #step(): void {
    const { platform } = this.#options.endpoint;
    const now = platform.now();
    const { connect, disconnect, nextMs } = this.#pool.step(now, randomFraction(platform));
    for (const peer of disconnect) {
      this.#disconnect(peer);
    }
    for (const peer of connect) {
      this.#connect(peer);
    }
    this.#clearTimer();
    if (nextMs !== undefined) {
      this.#timer = platform.setTimer(Math.max(0, nextMs - now), () => this.#update());
    }
  }

  #connect(peer: PooledPeer): void {
    const { calls, endpoint, peerTimeoutMs, service } = this.#options;
    const link: PeerLink = new PeerLink({
      endpoint,
      addr: peer.addr,
      service,
      calls,
      timeoutMs: peerTimeoutMs,
      onHealth: (isServing) => {
        if (this.#links.get(peer) !== link) {
          return;
        }
        if (link.session !== undefined) {
          this.#owners.set(link.session, { peer, link });
        }
        if (isServing) {
          peer.latencyMs = link.latencyMs;
          this.#pool.ready(peer);
        } else {
          this.#pool.unhealthy(peer);
        }
        this.#update();
      },
      onFailed: (error) => {
        if (this.#links.get(peer) === link) {
          this.#failed(peer, error);
        }
      },
    });
    this.#links.set(peer, link);
  }

  #failed(peer: PooledPeer, error: unknown): void {
    const { platform } = this.#options.endpoint;
    this.#disconnect(peer);
    this.#pool.failed(peer, error, platform.now(), randomFraction(platform));
    this.#update();
  }

  #disconnect(peer: PooledPeer, timeoutMs?: number): void {
    const link = this.#links.get(peer);
    if (link !== undefined) {
      this.#links.delete(peer);
      this.#ending.add(link);
      const options = timeoutMs === undefined ? {} : { timeoutMs };
      void link.close(options).finally(() => this.#ending.delete(link));
    }
  }

  #measure(): void {
    const now = this.#options.endpoint.platform.now();
    if (now - this.#measuredAtMs >= measureMs) {
      this.#measuredAtMs = now;
      for (const [peer, link] of this.#links) {
        peer.latencyMs = link.latencyMs;
      }
    }
  }

  #clearTimer(): void {
    if (this.#timer !== undefined) {
      this.#options.endpoint.platform.clearTimer(this.#timer);
      this.#timer = undefined;
    }
  }

  /** Why a call found nobody within its time. */
  #nobody(timeoutMs: number): ConnectError {
    const { name = "its source" } = this.#options.source;
    const counts = new Map<string, number>();
    let cause = this.#sourceError;
    let example: string | undefined;
    for (const { id, problem, state } of this.#pool.peers) {
      const what = problem?.type ?? state.type;
      counts.set(what, (counts.get(what) ?? 0) + 1);
      if (example === undefined && problem?.type === "unreachable") {
        cause = problem.error;
        example = `${id.short}: ${messageOf(problem.error)}`;
      }
    }
    const known = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const parts = [...counts].map(([what, count]) =>
      what === "unreachable" ? `${count} unreachable (${example})` : `${count} ${what}`,
    );
    const told =
      known > 0
        ? `${name} knows ${known}: ${parts.join(", ")}`
        : `${name} ${this.#pool.isComplete ? "knows none" : "has not told any"}`;
    const problem = this.#sourceError === undefined ? "" : ` (${messageOf(this.#sourceError)})`;
    return new ConnectError(
      `no peer took a call of ${this.peer} within ${timeoutMs} ms; ${told}${problem}`,
      Code.Unavailable,
      undefined,
      undefined,
      cause,
    );
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
