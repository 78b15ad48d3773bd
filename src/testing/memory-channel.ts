import type { Platform } from "../base/platform.ts";
import type {
  MessageChannel,
  MessageChannelHandler,
  MessageChannelOptions,
  OpenMessageChannel,
} from "../relay/message-channel.ts";

export interface MemoryChannelOptions {
  readonly platform: Platform;
  /** One way. Default 1. */
  readonly latencyMs?: number;
  /** Default: no limit. */
  readonly bytesPerMs?: number;
  /**
   * The other side: takes its end and says how it hears, or refuses by throwing. Told anew for each connection, and asked
   * after one round trip.
   */
  readonly accept: (request: MemoryChannelRequest) => AcceptedChannel;
}

export interface MemoryChannelRequest {
  readonly url: URL;
  readonly options: MessageChannelOptions;
  /** The end of the other side. */
  readonly channel: MemoryChannel;
}

export interface AcceptedChannel {
  readonly subprotocol: string;
  readonly handler: MessageChannelHandler;
}

/** WebSockets within this process, over the clock of a {@link Platform}. */
export class MemoryChannels {
  readonly #options: MemoryChannelOptions;
  /** Pairs that are open, the client's end first. */
  readonly links: Set<MemoryLink> = new Set();
  /** While false, nothing answers. */
  reachable = true;

  constructor(options: MemoryChannelOptions) {
    this.#options = options;
  }

  readonly open: OpenMessageChannel = (url, options, handler) => {
    const { platform, latencyMs = 1, bytesPerMs = Number.POSITIVE_INFINITY } = this.#options;
    const link = new MemoryLink(platform, { latencyMs, bytesPerMs }, () => this.links.delete(link));
    link.client.handler = handler;
    this.links.add(link);
    link.later(2 * latencyMs, "opening", () => {
      if (this.reachable) {
        try {
          const accepted = this.#options.accept({ url, options, channel: link.server });
          link.server.handler = accepted.handler;
          link.opened();
          accepted.handler.opened(accepted.subprotocol);
          handler.opened(accepted.subprotocol);
        } catch (error) {
          link.break(error instanceof Error ? error : new Error(String(error)));
        }
      }
    });
    link.later(options.timeoutMs, "opening", () =>
      link.break(new Error(`no answer within ${options.timeoutMs} ms`)),
    );
    return link.client;
  };
}

/** Two ends that hear each other. */
export class MemoryLink {
  readonly client: MemoryChannel;
  readonly server: MemoryChannel;
  readonly #platform: Platform;
  readonly #forget: () => void;
  #phase: "opening" | "open" | "cut" | "over" = "opening";

  constructor(platform: Platform, pace: Pace, forget: () => void) {
    this.#platform = platform;
    this.#forget = forget;
    this.client = new MemoryChannel(this, platform, pace);
    this.server = new MemoryChannel(this, platform, pace);
  }

  get phase(): "opening" | "open" | "cut" | "over" {
    return this.#phase;
  }

  other(end: MemoryChannel): MemoryChannel {
    return end === this.client ? this.server : this.client;
  }

  /** From now on nothing gets through, and nobody is told. */
  cut(): void {
    if (this.#phase !== "over") {
      this.#phase = "cut";
    }
  }

  /** Both ends hear that the connection is lost, or with undefined that it is closed. */
  break(error: Error | undefined): void {
    if (this.#phase !== "over") {
      this.#phase = "over";
      this.#forget();
      this.#platform.setTimer(0, () => {
        this.client.handler?.closed(error);
        this.server.handler?.closed(error);
      });
    }
  }

  /** Runs `callback` then, if by then the link is what it has to be. */
  later(delayMs: number, phase: "opening" | "open", callback: () => void): void {
    this.#platform.setTimer(delayMs, () => {
      if (this.#phase === phase) {
        callback();
      }
    });
  }

  opened(): void {
    this.#phase = "open";
  }
}

interface Pace {
  readonly latencyMs: number;
  readonly bytesPerMs: number;
}

/** One end. What the other end has not read yet counts as buffered. */
export class MemoryChannel implements MessageChannel {
  handler: MessageChannelHandler | undefined;
  readonly #link: MemoryLink;
  readonly #platform: Platform;
  readonly #pace: Pace;
  readonly #arrived: Uint8Array[] = [];
  #paused = false;
  #buffered = 0;
  /** When all that was sent has left. */
  #freeAt = 0;

  constructor(link: MemoryLink, platform: Platform, pace: Pace) {
    this.#link = link;
    this.#platform = platform;
    this.#pace = pace;
  }

  get bufferedBytes(): number {
    return this.#buffered;
  }

  send(message: Uint8Array): void {
    if (this.#link.phase === "over") {
      return;
    }
    const now = this.#platform.now();
    this.#buffered += message.length;
    this.#freeAt = Math.max(this.#freeAt, now) + message.length / this.#pace.bytesPerMs;
    this.#link.later(this.#freeAt - now + this.#pace.latencyMs, "open", () => {
      const other = this.#link.other(this);
      other.#arrived.push(message);
      other.#deliver();
    });
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#link.later(0, "open", () => this.#deliver());
  }

  close(options?: { readonly now?: boolean }): void {
    if (this.#link.phase === "cut") {
      // The other end does not hear of it.
      const { handler } = this;
      this.handler = undefined;
      this.#platform.setTimer(0, () => handler?.closed(undefined));
      return;
    }
    const unsentMs = Math.max(this.#freeAt - this.#platform.now(), 0);
    const waitMs = options?.now === true ? 0 : unsentMs + this.#pace.latencyMs;
    this.#platform.setTimer(waitMs, () => this.#link.break(undefined));
  }

  #deliver(): void {
    while (!this.#paused && this.#link.phase === "open") {
      const message = this.#arrived.shift();
      if (message === undefined) {
        return;
      }
      const other = this.#link.other(this);
      other.#buffered -= message.length;
      this.handler?.message(message);
      if (other.#buffered === 0) {
        this.#link.later(0, "open", () => other.handler?.drained());
      }
    }
  }
}
