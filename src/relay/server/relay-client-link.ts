import type { Platform, Timer } from "../../base/platform.ts";
import type { EndpointId } from "../../identity/endpoint-id.ts";
import { KeepAlive } from "../keep-alive.ts";
import type { MessageChannel } from "../message-channel.ts";
import { RelayError } from "../relay-error.ts";
import {
  type DatagramsFrame,
  decodeClientFrame,
  encodeRelayFrame,
  isSendable,
  type RelayVersion,
  relayStatus,
} from "../relay-frame.ts";
import { TokenBucket } from "../token-bucket.ts";
import { FrameQueue } from "./frame-queue.ts";
import type { RelayLimits } from "./relay-limits.ts";
import type { RelayMetrics } from "./relay-metrics.ts";

/** Silence after which a client is pinged, and what is added to it by chance, so that not all are pinged at once. */
const idleMs = 15_000;
const idleSpreadMs = 5_000;
/** What a channel holds before frames wait here, where those that matter can overtake. */
const maxChannelBytes = 65_536;
/** Frames besides datagrams that wait for a client. More are dropped. */
const maxControlFrames = 512;
/** How often the clock is looked at for a client that is not read at present. */
const pausedCheckMs = 1_000;

export interface RelayClientLinkOptions {
  readonly id: EndpointId;
  readonly version: RelayVersion;
  readonly channel: MessageChannel;
  readonly platform: Platform;
  readonly limits: RelayLimits;
  readonly metrics: RelayMetrics;
  /** Bytes that wait in all links of the relay. */
  readonly total: { queuedBytes: number };
  /** Takes `message` over, from which `frame` was read. */
  readonly forward: (link: RelayClientLink, message: Uint8Array, frame: DatagramsFrame) => void;
}

/** A client that was let in: what it sends, what waits for it, whether it is still there. */
export class RelayClientLink {
  readonly id: EndpointId;
  readonly idBytes: Uint8Array;
  readonly #options: RelayClientLinkOptions;
  readonly #datagrams = new FrameQueue();
  readonly #control = new FrameQueue();
  readonly #keepAlive: KeepAlive;
  readonly #bucket: TokenBucket;
  /** Bytes that were given to the channel. */
  #sentBytes = 0;
  /** While the channel holds something: since when the client has taken nothing of it, and how much it had till then. */
  #stalled: { readonly since: number; readonly takenBytes: number } | undefined;
  #wasRateLimited = false;
  #resumeTimer: Timer | undefined;
  #timer: { readonly timer: Timer; readonly at: number } | undefined;
  #closed = false;

  constructor(options: RelayClientLinkOptions) {
    const { id, platform, limits } = options;
    const now = platform.now();
    const random = new Uint8Array(1);
    platform.randomFill(random);
    this.id = id;
    this.idBytes = id.bytes;
    this.#options = options;
    this.#keepAlive = new KeepAlive(
      { idleMs: idleMs + (idleSpreadMs * (random[0] ?? 0)) / 255 },
      now,
    );
    this.#bucket = new TokenBucket(limits.bytesPerSecond, limits.burstBytes, now);
    this.#wakeAt(this.#keepAlive.nextTimeout());
  }

  /** Throws {@link RelayError} `invalid-frame`, upon which the connection has to end. */
  handleMessage(message: Uint8Array): void {
    const { metrics, platform } = this.#options;
    const now = platform.now();
    this.#keepAlive.handleReceived(now);
    this.#slowDown(message.length, now);
    const frame = decodeClientFrame(message);
    switch (frame.type) {
      case "ping":
        metrics.pingsReceived += 1;
        metrics.pongsSent += this.#sendControl({ type: "pong", data: frame.data }) ? 1 : 0;
        return;
      case "pong":
        this.#keepAlive.handlePong(frame.data, now);
        return;
      case "datagrams":
        metrics.framesReceived += 1;
        metrics.bytesReceived += frame.contents.length;
        // What could not be sent on would end the receiver's connection.
        if (isSendable(frame)) {
          this.#options.forward(this, message, frame);
        } else {
          metrics.framesDropped += 1;
        }
    }
  }

  handleDrained(): void {
    this.#stalled = undefined;
    if (!this.#closed) {
      this.#flush();
    }
  }

  /** Sends datagrams, now or when the client has read what came before. Takes `frame` over. False: there is no room. */
  sendDatagrams(frame: Uint8Array, contentBytes: number): boolean {
    const { limits, metrics, total } = this.#options;
    const queue = this.#datagrams;
    if (queue.size === 0 && this.#canSend) {
      this.#send(frame);
    } else if (
      queue.size < limits.maxQueuedFrames &&
      queue.bytes + frame.length <= limits.maxQueuedBytes &&
      total.queuedBytes + frame.length <= limits.maxTotalQueuedBytes
    ) {
      queue.push(frame);
      total.queuedBytes += frame.length;
    } else {
      return false;
    }
    metrics.framesSent += 1;
    metrics.bytesSent += contentBytes;
    return true;
  }

  sendEndpointGone(peer: Uint8Array): void {
    this.#sendControl({ type: "endpoint-gone", peer });
  }

  /** Another connection of the same id receives in place of this one. */
  sendSameIdElsewhere(): void {
    this.#sendStatus(
      relayStatus.sameIdElsewhere,
      "Another endpoint connected with the same endpoint id. No more messages will be received.",
    );
  }

  /** This connection receives again. */
  sendHealthy(): void {
    this.#sendStatus(
      relayStatus.healthy,
      "The connection is healthy and has recovered from previous problems",
    );
  }

  sendRestarting(reconnectInMs: number, tryForMs: number): void {
    this.#sendControl({ type: "restarting", reconnectInMs, tryForMs });
  }

  /** Idempotent. What waits is dropped; what the channel holds still goes out, unless `now`. */
  close(options?: { readonly now?: boolean }): void {
    this.#options.channel.close(options);
    this.handleClosed();
  }

  /** The channel is over. Idempotent. */
  handleClosed(): void {
    const { platform, total } = this.#options;
    if (!this.#closed) {
      this.#closed = true;
      total.queuedBytes -= this.#datagrams.bytes;
      if (this.#timer !== undefined) {
        platform.clearTimer(this.#timer.timer);
      }
      if (this.#resumeTimer !== undefined) {
        platform.clearTimer(this.#resumeTimer);
      }
    }
  }

  get #canSend(): boolean {
    return this.#options.channel.bufferedBytes < maxChannelBytes;
  }

  #slowDown(bytes: number, now: number): void {
    const { channel, metrics, platform, version } = this.#options;
    const waitMs = this.#bucket.take(bytes, now);
    if (waitMs === 0) {
      return;
    }
    metrics.bytesRateLimited += bytes;
    if (!this.#wasRateLimited) {
      this.#wasRateLimited = true;
      metrics.connectionsRateLimited += 1;
      if (version === 2) {
        this.#sendControl({ type: "status", status: relayStatus.rateLimited });
      }
    }
    if (this.#resumeTimer === undefined) {
      channel.pause();
    } else {
      platform.clearTimer(this.#resumeTimer);
    }
    this.#resumeTimer = platform.setTimer(waitMs, () => {
      this.#resumeTimer = undefined;
      // We did not listen: silence so far means nothing.
      this.#keepAlive.handleReceived(platform.now());
      channel.resume();
    });
  }

  #sendStatus(status: number, text: string): void {
    const { version } = this.#options;
    this.#sendControl(version === 2 ? { type: "status", status } : { type: "health", text });
  }

  /** False: dropped. */
  #sendControl(frame: Parameters<typeof encodeRelayFrame>[0]): boolean {
    const bytes = encodeRelayFrame(frame);
    if (this.#control.size === 0 && this.#canSend) {
      this.#send(bytes);
    } else if (this.#control.size < maxControlFrames) {
      this.#control.push(bytes);
    } else {
      return false;
    }
    return true;
  }

  #flush(): void {
    while (this.#canSend) {
      const control = this.#control.take();
      const frame = control ?? this.#datagrams.take();
      if (frame === undefined) {
        return;
      }
      if (control === undefined) {
        this.#options.total.queuedBytes -= frame.length;
      }
      this.#send(frame);
    }
  }

  #send(frame: Uint8Array): void {
    const { channel, platform } = this.#options;
    channel.send(frame);
    this.#sentBytes += frame.length;
    if (this.#stalled === undefined) {
      this.#noteTaken(platform.now());
    }
  }

  /** Begins to wait anew for the client to take something. */
  #noteTaken(now: number): void {
    this.#stalled = { since: now, takenBytes: this.#takenBytes };
    this.#wakeAt(now + this.#options.limits.writeTimeoutMs);
  }

  get #takenBytes(): number {
    return this.#sentBytes - this.#options.channel.bufferedBytes;
  }

  /** Makes sure that `#handleTimer` runs at that time or before it. */
  #wakeAt(at: number): void {
    const { platform } = this.#options;
    if (!this.#closed && (this.#timer === undefined || at < this.#timer.at)) {
      if (this.#timer !== undefined) {
        platform.clearTimer(this.#timer.timer);
      }
      const timer = platform.setTimer(at - platform.now(), () => this.#handleTimer());
      this.#timer = { timer, at };
    }
  }

  #handleTimer(): void {
    const { channel, limits, platform } = this.#options;
    const now = platform.now();
    const stalled = this.#stalled;
    this.#timer = undefined;
    if (stalled !== undefined && now >= stalled.since + limits.writeTimeoutMs) {
      if (this.#takenBytes <= stalled.takenBytes) {
        channel.close({ now: true });
        return;
      }
      this.#noteTaken(now);
    }
    // While we do not read, silence says nothing.
    const paused = this.#resumeTimer !== undefined;
    switch (paused ? undefined : this.#keepAlive.handleTimeout(now)) {
      case "give-up":
        channel.close({ now: true });
        return;
      case "ping": {
        const data = new Uint8Array(8);
        platform.randomFill(data);
        this.#sendControl({ type: "ping", data });
        this.#keepAlive.handlePing(data, now);
        break;
      }
      case undefined:
        break;
    }
    const next = paused ? now + pausedCheckMs : this.#keepAlive.nextTimeout();
    this.#wakeAt(next);
    if (this.#stalled !== undefined) {
      this.#wakeAt(this.#stalled.since + limits.writeTimeoutMs);
    }
  }
}
