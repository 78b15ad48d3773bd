import type { MessageChannel, MessageChannelHandler } from "../relay/message-channel.ts";
import type { HostPlatform } from "./host-platform.ts";
import type { Route } from "./segment.ts";
import type { VirtualLink } from "./virtual-link.ts";
import type { VirtualPlatform } from "./virtual-platform.ts";

/** What TCP has on its way before it waits for the other side to read. Bytes. */
const window = 1 << 20;
/** Between attempts to get through, doubled each time. */
const firstRetryMs = 200;
const maxRetryMs = 10_000;
/** After so long without getting through, TCP gives up. */
const giveUpMs = 900_000;
/** Closing waits for so long until the other side has heard of it. */
const closeTimeoutMs = 2_000;

/**
 * Makes the two ends of a TCP connection out of `client` and `server`. `route`: the way between the two now; undefined:
 * there is none, and what was sent waits.
 */
export function joinStream(
  client: StreamEnd,
  server: StreamEnd,
  route: () => Route | undefined,
): void {
  client.join(server, () => route()?.forth);
  server.join(client, () => route()?.back);
}

/** What goes over: a message, or the news that there will be no more. */
type Item = Uint8Array | "end";

/** An end of a TCP connection with messages on it: in order, nothing lost, and silence where there is no way. */
export class StreamEnd implements MessageChannel {
  handler: MessageChannelHandler | undefined;
  readonly #world: VirtualPlatform;
  readonly #host: HostPlatform;
  #peer: StreamEnd | undefined;
  #links: () => readonly VirtualLink[] | undefined = () => undefined;
  readonly #unsent: Item[] = [];
  readonly #arrived: Item[] = [];
  #state: "open" | "closing" | "over" = "open";
  #paused = false;
  #unsentBytes = 0;
  /** Sent, and not read by the other side yet. */
  #inFlightBytes = 0;
  #lastArrival = 0;
  /** Since when nothing gets through, and when it is tried again. */
  #stall: { readonly since: number; retryMs: number } | undefined;

  /** `world` has the clock of the network, `host` that of the side that holds this end. */
  constructor(world: VirtualPlatform, host: HostPlatform) {
    this.#world = world;
    this.#host = host;
  }

  /** See {@link joinStream}. */
  join(peer: StreamEnd, links: () => readonly VirtualLink[] | undefined): void {
    this.#peer = peer;
    this.#links = links;
  }

  get bufferedBytes(): number {
    return this.#unsentBytes;
  }

  send(message: Uint8Array): void {
    if (this.#state === "open") {
      this.#unsentBytes += message.length;
      this.#unsent.push(message);
      this.#pump();
    }
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#host.setTimer(0, () => this.#deliver());
  }

  close(options?: { readonly now?: boolean }): void {
    if (options?.now === true) {
      this.#tell(() => this.#peer?.end(new Error("connection reset by peer")));
      this.#host.setTimer(0, () => this.end(undefined));
    } else if (this.#state === "open") {
      this.#state = "closing";
      this.#unsent.push("end");
      this.#host.setTimer(closeTimeoutMs, () => this.end(undefined));
      this.#pump();
    }
  }

  /** It is over on this side. Idempotent. */
  end(error: Error | undefined): void {
    if (this.#state !== "over") {
      this.#state = "over";
      this.#unsent.length = 0;
      this.#arrived.length = 0;
      this.#unsentBytes = 0;
      this.#host.event(() => this.handler?.closed(error));
    }
  }

  /** Ends it without a word to anybody, as when the host loses power. */
  forget(): void {
    this.#state = "over";
    this.#unsent.length = 0;
    this.#arrived.length = 0;
  }

  #pump(): void {
    while (this.#stall === undefined && this.#inFlightBytes < window) {
      const [item] = this.#unsent;
      if (item === undefined) {
        return;
      }
      const length = item === "end" ? 0 : item.length;
      const takesMs = this.#transitMs(length);
      if (takesMs === undefined) {
        this.#wait();
        return;
      }
      this.#unsent.shift();
      this.#inFlightBytes += length;
      if (length > 0) {
        this.#unsentBytes -= length;
        this.#tellDrained();
      }
      this.#lastArrival = Math.max(this.#lastArrival, this.#world.now() + takesMs);
      const peer = this.#peer;
      this.#world.setTimer(this.#lastArrival - this.#world.now(), () => peer?.arrive(item));
    }
  }

  /** Undefined: it does not get through. */
  #transitMs(length: number): number | undefined {
    const links = this.#links();
    if (links === undefined) {
      return undefined;
    }
    const takesMs = links.reduce((sum, link) => sum + link.transitMs(length), 0);
    return Number.isFinite(takesMs) ? takesMs : undefined;
  }

  #wait(): void {
    const stall = { since: this.#world.now(), retryMs: firstRetryMs };
    this.#stall = stall;
    const retry = (): void => {
      if (this.#state === "over" || this.#stall !== stall) {
        return;
      }
      if (this.#transitMs(0) !== undefined) {
        this.#stall = undefined;
        this.#pump();
      } else if (this.#world.now() - stall.since >= giveUpMs) {
        this.end(new Error("connection timed out"));
      } else {
        stall.retryMs = Math.min(stall.retryMs * 2, maxRetryMs);
        this.#world.setTimer(stall.retryMs, retry);
      }
    };
    this.#world.setTimer(stall.retryMs, retry);
  }

  /** Something has come from the other end. */
  arrive(item: Item): void {
    if (this.#state === "over") {
      this.#tell(() => this.#peer?.end(new Error("connection reset by peer")));
      return;
    }
    this.#arrived.push(item);
    this.#host.event(() => this.#deliver());
  }

  #deliver(): void {
    while (!this.#paused && this.#state !== "over") {
      const item = this.#arrived.shift();
      if (item === undefined) {
        return;
      }
      if (item === "end") {
        this.#tell(() => this.#peer?.end(undefined));
        this.end(undefined);
      } else {
        this.#peer?.handleRead(item.length);
        this.handler?.message(item);
      }
    }
  }

  /** The other end has read so many bytes. */
  handleRead(length: number): void {
    this.#inFlightBytes -= length;
    if (this.#state !== "over") {
      this.#pump();
    }
  }

  #tellDrained(): void {
    if (this.#unsentBytes === 0) {
      this.#host.setTimer(0, () => {
        if (this.#unsentBytes === 0 && this.#state === "open") {
          this.handler?.drained();
        }
      });
    }
  }

  /** Lets the other side know of something, if there is a way. */
  #tell(news: () => void): void {
    const takesMs = this.#transitMs(0);
    if (takesMs !== undefined) {
      this.#world.setTimer(takesMs, news);
    }
  }
}
