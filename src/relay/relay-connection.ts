import type { Platform, Timer } from "../base/platform.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import { ClientHandshake } from "./client-handshake.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { MessageChannel, OpenMessageChannel } from "./message-channel.ts";
import { authHeaderName, createAuthHeader, type ExportKeys } from "./relay-auth-header.ts";
import { RelayError } from "./relay-error.ts";
import {
  decodeRelayFrame,
  encodeClientFrame,
  type RelayFrame,
  type RelayNews,
  type RelayVersion,
} from "./relay-frame.ts";
import {
  maxRelayMessageBytes,
  relaySubprotocols,
  relayVersionOf,
  relayWebSocketUrl,
} from "./relay-subprotocol.ts";

/** From the first attempt to reach the relay until it has confirmed who we are. */
const connectTimeoutMs = 10_000;
const idleMs = 15_000;
/** Not iroh's: a relay that dies while it is needed is found out sooner. */
const unansweredMs = 3_000;
/** How long a probe waits, where nothing is known of the round-trip time. */
const maxProbeMs = 2_000;
/** Nothing more goes into a channel that holds so much. */
const maxChannelBytes = 131_072;

export interface RelayConnectionOptions {
  readonly url: RelayUrl;
  readonly secretKey: SecretKey;
  readonly platform: Platform;
  readonly openChannel: OpenMessageChannel;
  readonly authToken?: string | undefined;
  readonly authorities?: readonly Uint8Array[] | undefined;
  readonly handler: RelayConnectionHandler;
}

/** None of it is called within the constructor. */
export interface RelayConnectionHandler {
  /** The relay has let us in. */
  connected(): void;
  /** After `connected`, every frame but pings and pongs. */
  frame(frame: RelayNews): void;
  /** After `connected`, any frame: the relay works. */
  alive(): void;
  /** `canSend` may be true again. */
  drained(): void;
  /** Once and last, unless `close` was called. */
  ended(error: RelayError): void;
}

type State =
  | { readonly type: "opening" }
  | {
      readonly type: "authenticating";
      readonly handshake: ClientHandshake;
      readonly version: RelayVersion;
    }
  | { readonly type: "connected"; readonly keepAlive: KeepAlive; readonly version: RelayVersion }
  | { readonly type: "ended" };

/** One connection to a relay, from the first attempt to its end: handshake, keepalive, frames. */
export class RelayConnection {
  readonly #options: RelayConnectionOptions;
  readonly #channel: MessageChannel;
  readonly #startedAt: number;
  #state: State = { type: "opening" };
  #timer: { readonly timer: Timer; readonly at: number } | undefined;

  constructor(options: RelayConnectionOptions) {
    const { url, secretKey, platform, openChannel, authToken, authorities } = options;
    this.#options = options;
    this.#startedAt = platform.now();
    this.#channel = openChannel(
      relayWebSocketUrl(url),
      {
        subprotocols: relaySubprotocols,
        headers: authToken === undefined ? {} : { authorization: `Bearer ${authToken}` },
        headersOverTls: (exportKeys) => authHeaders(secretKey, exportKeys),
        authorities,
        timeoutMs: connectTimeoutMs,
        maxMessageBytes: maxRelayMessageBytes,
      },
      {
        opened: (subprotocol) => this.#handleOpened(subprotocol),
        message: (bytes) => this.#handleMessage(bytes),
        drained: () => this.#handleDrained(),
        closed: (error) => this.#end(lost(error, this.#state)),
      },
    );
    this.#wakeAt(this.#startedAt + connectTimeoutMs);
  }

  /** `Platform.now()` when it began to connect. */
  get startedAt(): number {
    return this.#startedAt;
  }

  /** When something was last heard of the relay; undefined while not connected. */
  get heardAt(): number | undefined {
    return this.#state.type === "connected" ? this.#state.keepAlive.receivedAt : undefined;
  }

  /** {@link MessageChannel.localHost}. */
  get localHost(): string | undefined {
    return this.#channel.localHost;
  }

  /** Round-trip time of the last ping. */
  get latencyMs(): number | undefined {
    return this.#state.type === "connected" ? this.#state.keepAlive.latencyMs : undefined;
  }

  /** Whether the relay and the network take more at present. */
  get canSend(): boolean {
    return this.#state.type === "connected" && this.#channel.bufferedBytes < maxChannelBytes;
  }

  /** Takes over an encoded frame with datagrams. Ask `canSend` first. */
  send(frame: Uint8Array): void {
    if (this.#state.type === "connected") {
      const { keepAlive } = this.#state;
      this.#channel.send(frame);
      keepAlive.handleSent(this.#now());
      this.#wakeAt(keepAlive.nextTimeout());
    }
  }

  /** Finds out soon whether the relay is still there. */
  probe(): void {
    if (this.#state.type === "connected") {
      this.#ping(this.#state.keepAlive, maxProbeMs);
    }
  }

  /** Idempotent. The handler hears nothing more. */
  close(): void {
    if (this.#state.type !== "ended") {
      this.#finish();
    }
  }

  #handleOpened(subprotocol: string): void {
    if (this.#state.type !== "opening") {
      return;
    }
    const version = relayVersionOf(subprotocol);
    if (version === undefined) {
      const problem = `the relay speaks ${JSON.stringify(subprotocol)}, not ${relaySubprotocols.join(" or ")}`;
      this.#end(new RelayError("unreachable", problem));
      return;
    }
    const handshake = new ClientHandshake(this.#options.secretKey);
    this.#state = { type: "authenticating", handshake, version };
  }

  #handleMessage(message: Uint8Array): void {
    try {
      switch (this.#state.type) {
        case "authenticating":
          this.#handleHandshake(this.#state.handshake, this.#state.version, message);
          return;
        case "connected":
          this.#handleFrame(this.#state.keepAlive, decodeRelayFrame(message, this.#state.version));
          return;
        case "opening":
        case "ended":
          return;
      }
    } catch (error) {
      if (!(error instanceof RelayError)) {
        throw error;
      }
      this.#end(error);
    }
  }

  #handleHandshake(handshake: ClientHandshake, version: RelayVersion, message: Uint8Array): void {
    const step = handshake.handleMessage(message);
    if (step.type === "answer") {
      this.#channel.send(step.message);
      return;
    }
    const keepAlive = new KeepAlive({ idleMs, unansweredMs }, this.#now());
    this.#state = { type: "connected", keepAlive, version };
    this.#ping(keepAlive);
    this.#options.handler.connected();
  }

  #handleFrame(keepAlive: KeepAlive, frame: RelayFrame): void {
    const { handler } = this.#options;
    keepAlive.handleReceived(this.#now());
    handler.alive();
    switch (frame.type) {
      case "ping":
        // A relay that does not read its answers gets no more of them than this.
        if (this.#channel.bufferedBytes < 2 * maxChannelBytes) {
          this.#channel.send(encodeClientFrame({ type: "pong", data: frame.data }));
        }
        return;
      case "pong":
        keepAlive.handlePong(frame.data, this.#now());
        return;
      default:
        handler.frame(frame);
    }
  }

  #handleDrained(): void {
    if (this.#state.type === "connected") {
      this.#options.handler.drained();
    }
  }

  #ping(keepAlive: KeepAlive, maxWaitMs?: number): void {
    const data = new Uint8Array(8);
    this.#options.platform.randomFill(data);
    this.#channel.send(encodeClientFrame({ type: "ping", data }));
    keepAlive.handlePing(data, this.#now(), maxWaitMs);
    this.#wakeAt(keepAlive.nextTimeout());
  }

  /** Makes sure that `#handleTimer` runs at that time or before it. */
  #wakeAt(at: number): void {
    if (this.#timer === undefined || at < this.#timer.at) {
      const { platform } = this.#options;
      this.#stopTimer();
      const timer = platform.setTimer(at - platform.now(), () => this.#handleTimer());
      this.#timer = { timer, at };
    }
  }

  #handleTimer(): void {
    this.#timer = undefined;
    if (this.#state.type !== "connected") {
      const seconds = connectTimeoutMs / 1_000;
      const doing = this.#state.type === "opening" ? "connect" : "end the handshake";
      this.#end(new RelayError("timeout", `the relay did not ${doing} within ${seconds} s`));
      return;
    }
    const { keepAlive } = this.#state;
    switch (keepAlive.handleTimeout(this.#now())) {
      case "ping":
        this.#ping(keepAlive);
        return;
      case "give-up":
        this.#end(new RelayError("timeout", "the relay does not answer any more"));
        return;
      case undefined:
        this.#wakeAt(keepAlive.nextTimeout());
    }
  }

  #end(error: RelayError): void {
    if (this.#state.type !== "ended") {
      this.#finish();
      this.#options.handler.ended(error);
    }
  }

  #finish(): void {
    this.#state = { type: "ended" };
    this.#stopTimer();
    this.#channel.close({ now: true });
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) {
      this.#options.platform.clearTimer(this.#timer.timer);
      this.#timer = undefined;
    }
  }

  #now(): number {
    return this.#options.platform.now();
  }
}

/** Saves a round trip with relays that know it. */
function authHeaders(secretKey: SecretKey, exportKeys: ExportKeys): Record<string, string> {
  const value = createAuthHeader(secretKey, exportKeys);
  return value === undefined ? {} : { [authHeaderName]: value };
}

function lost(cause: Error | undefined, state: State): RelayError {
  const why = cause === undefined ? "" : `: ${cause.message}`;
  return state.type === "opening"
    ? new RelayError("unreachable", `cannot connect to the relay${why}`, { cause })
    : new RelayError("lost", `the connection to the relay has ended${why}`, { cause });
}
