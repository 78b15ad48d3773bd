import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { connectionLost, EndpointError } from "../endpoint/endpoint-error.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { Peer } from "./caller.ts";
import type { CallChannel } from "./channel.ts";
import { ChannelTransport } from "./channel-transport.ts";
import { longestTimerMs } from "./check-options.ts";
import { dialedPeer } from "./dialed-peer.ts";
import { watchHealth } from "./health-watch.ts";
import { PeerChannel } from "./peer-channel.ts";
import { peerBaseUrl } from "./peer-url.ts";
import {
  type ResolvedTransportOptions,
  resolveTransportOptions,
} from "./quic-transport-options.ts";
import type { HttpSession, SessionWaiter } from "./session.ts";

export interface PeerLinkOptions {
  readonly endpoint: Endpoint;
  readonly addr: EndpointAddr;
  /** Whose health is watched. */
  readonly service: string;
  readonly calls: Pick<ResolvedTransportOptions, "keepAliveIntervalMs" | "protocol">;
  /** How long the dial may take, and the first word of the peer's health. Milliseconds. */
  readonly timeoutMs: number;
  /** It is connected, and says whether it serves. */
  readonly onHealth: (isServing: boolean) => void;
  /** It cannot be reached, or the connection is lost. Nothing follows. */
  readonly onFailed: (error: unknown) => void;
}

/** The largest message of a health service that is looked at. Bytes. */
const maxHealthBytes = 1_024;

/** The connection to one peer of a service, shared with other transports to it; and what the peer says of its health. */
export class PeerLink {
  readonly #options: PeerLinkOptions;
  readonly #shared: PeerChannel;
  readonly #watching = new AbortController();
  readonly #waiter: SessionWaiter;
  #session: HttpSession | undefined;
  #connection: Connection | undefined;
  #health: ChannelTransport | undefined;
  #isClosed = false;

  /** Dials at once. */
  constructor(options: PeerLinkOptions) {
    const { addr, calls, endpoint } = options;
    this.#options = options;
    this.#shared = PeerChannel.acquire(endpoint, addr);
    this.#shared.keepAlive({ ...calls, keepAlive: "active" });
    this.#waiter = {
      ready: (session) => this.#connected(session),
      unreachable: (error) => this.#failed(error),
    };
    // Whoever made this has to know it before it hears of it.
    endpoint.platform.soon(() => this.#dial());
  }

  /** The session for calls; undefined when it takes none. */
  get session(): HttpSession | undefined {
    return this.#session?.state === "open" ? this.#session : undefined;
  }

  get channel(): PeerChannel["channel"] {
    return this.#shared.channel;
  }

  peerOn(session: HttpSession): Peer | undefined {
    const { endpoint } = this.#options;
    const connection = this.#shared.connectionOf(session);
    return connection && dialedPeer({ endpoint, connection, session });
  }

  /** Round trip on the path in use. Milliseconds. */
  get latencyMs(): number | undefined {
    return this.#connection?.paths().find(({ active }) => active)?.rttMs;
  }

  /** Whether calls run on the connection. */
  get isBusy(): boolean {
    return (this.#session?.activeRequests ?? 0) > (this.#health?.activeCalls ?? 0);
  }

  /**
   * Ends what it does itself at once. Calls that run have `timeoutMs` to end, by default as long as they take; a second call
   * can only shorten the time.
   */
  async close({ timeoutMs = longestTimerMs }: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.#isClosed) {
      await this.#shared.hurry({ timeoutMs });
      return;
    }
    this.#isClosed = true;
    this.#shared.channel.forget(this.#waiter);
    this.#watching.abort();
    await this.#shared.release({ timeoutMs });
  }

  #dial(): void {
    if (!this.#isClosed) {
      const session = this.#shared.channel.acquire(this.#waiter, this.#options.timeoutMs);
      if (session !== undefined) {
        this.#connected(session);
      }
    }
  }

  #connected(session: HttpSession): void {
    const { addr, calls, endpoint, onHealth, service, timeoutMs } = this.#options;
    const { platform } = endpoint;
    const { short } = addr.id;
    const connection = this.#shared.connectionOf(session);
    this.#session = session;
    this.#connection = connection;
    // Others may use the connection for much longer.
    const reference = new WeakRef(this);
    void connection?.closed.then((cause) => {
      const link = reference.deref();
      if (link !== undefined) {
        link.#failed(connectionLost(cause, short));
      }
    });
    const timer = platform.setTimer(timeoutMs, () => {
      const problem = `${short} has not told its health within ${timeoutMs} ms`;
      this.#failed(new EndpointError("dial-timeout", problem));
    });
    const { signal } = this.#watching;
    signal.addEventListener("abort", () => platform.clearTimer(timer), { once: true });
    this.#health = this.#healthTransport(session, calls.protocol);
    void watchHealth({
      transport: this.#health,
      service,
      signal,
      platform,
      onStatus: (isServing) => {
        platform.clearTimer(timer);
        if (!this.#isClosed) {
          onHealth(isServing);
        }
      },
    });
  }

  /** Calls on this session and no other, which keep no process alive. */
  #healthTransport(
    session: HttpSession,
    protocol: ResolvedTransportOptions["protocol"],
  ): ChannelTransport {
    const { addr, endpoint, timeoutMs } = this.#options;
    const { common } = resolveTransportOptions({ readMaxBytes: maxHealthBytes });
    const { channel } = this.#shared;
    return new ChannelTransport({
      channel: sessionChannel(channel, session),
      context: { dialTimeoutMs: timeoutMs, platform: endpoint.platform, hold: () => () => {} },
      protocol,
      calls: { ...common, baseUrl: peerBaseUrl(addr.id) },
      release: async () => {},
    });
  }

  #failed(error: unknown): void {
    if (!this.#isClosed) {
      void this.close();
      this.#options.onFailed(error);
    }
  }
}

/** A channel as it is with one session, open or not. */
function sessionChannel(channel: CallChannel, session: HttpSession): CallChannel {
  return {
    peer: channel.peer,
    state: "connected",
    session,
    nameOf: () => channel.peer,
    acquire: () => session,
    answered: () => channel.answered(session),
    forget: () => {},
  };
}
