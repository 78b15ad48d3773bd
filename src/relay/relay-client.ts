import type { Platform, Timer } from "../base/platform.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import { DatagramBacklog } from "./datagram-backlog.ts";
import { type EncodedDatagrams, encodeDatagramFrames } from "./datagram-frames.ts";
import type { OpenMessageChannel } from "./message-channel.ts";
import { ReconnectPlan } from "./reconnect-plan.ts";
import { RelayConnection } from "./relay-connection.ts";
import type { RelayError } from "./relay-error.ts";
import { type DatagramsFrame, type RelayNews, relayStatus } from "./relay-frame.ts";
import { SenderIds } from "./sender-ids.ts";

/** A network change leaves an attempt to connect alone that is younger than this. */
const minAttemptMs = 1_000;

export interface RelayClientOptions {
  readonly url: RelayUrl;
  /** Who to be at the relay. */
  readonly secretKey: SecretKey;
  readonly platform: Platform;
  readonly openChannel: OpenMessageChannel;
  /** For relays that want one. Sent as a Bearer token. */
  readonly authToken?: string | undefined;
  /** Authorities in place of the system's, certificates in DER. */
  readonly authorities?: readonly Uint8Array[] | undefined;
  readonly handler: RelayClientHandler;
}

/** None of it is called within the constructor. */
export interface RelayClientHandler {
  /**
   * One datagram, or several of `segmentSize` one behind the other, the last possibly shorter. The handler owns `bytes`.
   */
  datagrams(from: EndpointId, bytes: Uint8Array, segmentSize: number): void;
  /** The relay says that this peer has left it. */
  endpointGone(id: EndpointId): void;
  stateChanged(state: RelayClientState): void;
}

/**
 * What a relay says of a connection that works: another client with our id gets what is meant for us, or it slows us down.
 */
export type RelayHealth = "healthy" | "same-id-elsewhere" | "rate-limited";

/** `attempt` counts from 1 since the last connection that was good for something; while waiting it is the next one. */
export type RelayClientState =
  | { readonly type: "connecting"; readonly attempt: number }
  | { readonly type: "connected"; readonly health: RelayHealth }
  | {
      readonly type: "waiting";
      readonly attempt: number;
      /** The whole wait for it. */
      readonly delayMs: number;
      /** Why the last one failed, or the connection ended. */
      readonly error: RelayError;
    }
  | { readonly type: "closed" };

/** What went to and came from peers, without the frames around it. */
export interface RelayClientStats {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly datagramsSent: number;
  readonly datagramsReceived: number;
  /** Datagrams that could not be sent: too large, too many at once, or too old before a connection was there. */
  readonly dropped: number;
}

/**
 * Stays connected to a relay: reconnects when the connection is lost, and finds out when it is dead. Sends and receives
 * datagrams to and from any peer that is connected to the same relay. Does not keep the process alive by itself.
 */
export class RelayClient {
  readonly url: RelayUrl;
  readonly #options: RelayClientOptions;
  readonly #plan = new ReconnectPlan();
  readonly #backlog = new DatagramBacklog();
  readonly #senders: SenderIds;
  readonly #stats = {
    bytesSent: 0,
    bytesReceived: 0,
    datagramsSent: 0,
    datagramsReceived: 0,
    dropped: 0,
  };
  #connection: RelayConnection | undefined;
  #timer: Timer | undefined;
  #state: RelayClientState;

  /** Begins to connect. */
  constructor(options: RelayClientOptions) {
    this.url = options.url;
    this.#options = options;
    this.#senders = new SenderIds(options.platform.now());
    this.#state = { type: "connecting", attempt: this.#plan.attempt };
    this.#connect();
  }

  get state(): RelayClientState {
    return this.#state;
  }

  /** Round-trip time of the last ping, in milliseconds; undefined before the first, and when not connected. */
  get latencyMs(): number | undefined {
    return this.#connection?.latencyMs;
  }

  /** When something was last heard of the relay, by the platform's clock; undefined while not connected. */
  get heardAt(): number | undefined {
    return this.#connection?.heardAt;
  }

  stats(): RelayClientStats {
    return { ...this.#stats };
  }

  /**
   * Sends datagrams of `segmentSize`, one behind the other, the last possibly shorter. Borrows `bytes`. They wait while the
   * client is not connected, 3 s and 384 KiB at most; what does not fit or cannot be sent is dropped. Never throws.
   */
  send(to: EndpointId, bytes: Uint8Array, segmentSize: number): void {
    if (this.#state.type === "closed") {
      return;
    }
    let left = segmentSize > 0 ? Math.ceil(bytes.length / segmentSize) : 1;
    for (const encoded of encodeDatagramFrames(to.bytes, bytes, segmentSize)) {
      if (this.#sendOrKeep(encoded)) {
        left -= encoded.datagrams;
      }
    }
    this.#stats.dropped += left;
  }

  /**
   * The network has changed: finds out at once whether the connection still works, or connects without waiting further.
   *
   * @param hosts the addresses of this host now: a connection over another one is dead
   */
  networkChanged(hosts?: ReadonlySet<string>): void {
    switch (this.#state.type) {
      case "connected": {
        const host = this.#connection?.localHost;
        if (host === undefined || hosts === undefined || hosts.has(host)) {
          this.#connection?.probe();
          return;
        }
        this.#connection?.close();
        this.#connect();
        this.#setState({ type: "connecting", attempt: this.#plan.attempt });
        return;
      }
      case "waiting":
        this.#connect();
        this.#setState({ type: "connecting", attempt: this.#plan.attempt });
        return;
      case "connecting":
        // It may have begun on a network that is no more.
        if (this.#now() - (this.#connection?.startedAt ?? 0) >= minAttemptMs) {
          this.#connection?.close();
          this.#connect();
        }
        return;
      case "closed":
        return;
    }
  }

  /** Finds out soon whether the connection works, and gives it up when not. */
  probe(): void {
    this.#connection?.probe();
  }

  /** Idempotent. The last that the handler hears is the state `closed`. */
  close(): void {
    if (this.#state.type !== "closed") {
      this.#setState({ type: "closed" });
      this.#connection = undefined;
    }
  }

  #connect(): void {
    const { url, secretKey, platform, openChannel, authToken, authorities } = this.#options;
    this.#connection = new RelayConnection({
      url,
      secretKey,
      platform,
      openChannel,
      authToken,
      authorities,
      handler: {
        connected: () => this.#handleConnected(),
        alive: () => this.#plan.handleFrame(),
        frame: (frame) => this.#handleFrame(frame),
        drained: () => this.#flush(),
        ended: (error) => this.#handleEnded(error),
      },
    });
  }

  #handleConnected(): void {
    this.#plan.handleConnected(this.#now());
    this.#setState({ type: "connected", health: "healthy" });
    this.#flush();
  }

  #handleFrame(frame: RelayNews): void {
    switch (frame.type) {
      case "datagrams":
        this.#handleDatagrams(frame);
        return;
      case "endpoint-gone":
        this.#handleGone(this.#senders.get(frame.peer, this.#now()));
        return;
      case "status":
        this.#setHealth(healthOfStatus(frame.status));
        return;
      case "health":
        this.#setHealth(healthOfText(frame.text));
        return;
      case "restarting":
        this.#plan.handleRestarting(frame.reconnectInMs, frame.tryForMs, this.#now());
        return;
    }
  }

  #handleDatagrams({ peer, contents, segmentSize = contents.length }: DatagramsFrame): void {
    const from = this.#senders.get(peer, this.#now());
    if (from === undefined || contents.length === 0) {
      return;
    }
    this.#stats.bytesReceived += contents.length;
    this.#stats.datagramsReceived += Math.ceil(contents.length / segmentSize);
    this.#options.handler.datagrams(from, contents, segmentSize);
  }

  #handleGone(id: EndpointId | undefined): void {
    if (id !== undefined) {
      this.#options.handler.endpointGone(id);
    }
  }

  /** @param health undefined: nothing that we know */
  #setHealth(health: RelayHealth | undefined): void {
    if (health !== undefined && this.#state.type === "connected" && this.#state.health !== health) {
      this.#setState({ type: "connected", health });
    }
  }

  #handleEnded(error: RelayError): void {
    this.#connection = undefined;
    const delayMs = this.#plan.handleLost(error.code, this.#now(), this.#random());
    this.#setState({ type: "waiting", attempt: this.#plan.attempt, delayMs, error });
  }

  /** False: dropped. */
  #sendOrKeep(encoded: EncodedDatagrams): boolean {
    if (this.#backlog.isEmpty && this.#connection?.canSend === true) {
      this.#send(this.#connection, encoded);
      return true;
    }
    this.#expireBacklog();
    return this.#backlog.push(encoded, this.#now());
  }

  #flush(): void {
    this.#expireBacklog();
    while (this.#connection?.canSend === true) {
      const encoded = this.#backlog.take();
      if (encoded === undefined) {
        return;
      }
      this.#send(this.#connection, encoded);
    }
  }

  #send(connection: RelayConnection, { frame, datagrams, bytes }: EncodedDatagrams): void {
    connection.send(frame);
    this.#stats.datagramsSent += datagrams;
    this.#stats.bytesSent += bytes;
  }

  #expireBacklog(): void {
    this.#stats.dropped += this.#backlog.expire(this.#now());
  }

  /** Leaves the present state and tells of the new one; what the handler then does finds it in place. */
  #setState(state: RelayClientState): void {
    const { platform, handler } = this.#options;
    if (this.#timer !== undefined) {
      platform.clearTimer(this.#timer);
      this.#timer = undefined;
    }
    this.#state = state;
    if (state.type === "waiting") {
      this.#timer = platform.setTimer(state.delayMs, () => {
        this.#connect();
        this.#setState({ type: "connecting", attempt: this.#plan.attempt });
      });
    } else if (state.type === "closed") {
      this.#connection?.close();
    }
    handler.stateChanged(state);
  }

  #now(): number {
    return this.#options.platform.now();
  }

  /** From 0 up to 1. */
  #random(): number {
    const bytes = new Uint16Array(1);
    this.#options.platform.randomFill(new Uint8Array(bytes.buffer));
    return (bytes[0] ?? 0) / 0x1_0000;
  }
}

function healthOfStatus(status: number): RelayHealth | undefined {
  switch (status) {
    case relayStatus.healthy:
      return "healthy";
    case relayStatus.sameIdElsewhere:
      return "same-id-elsewhere";
    case relayStatus.rateLimited:
      return "rate-limited";
    default:
      return undefined;
  }
}

/** Version 1 has only iroh's texts for people. */
function healthOfText(text: string): RelayHealth | undefined {
  if (text.includes("same endpoint id")) {
    return "same-id-elsewhere";
  }
  return text.includes("is healthy") ? "healthy" : undefined;
}
