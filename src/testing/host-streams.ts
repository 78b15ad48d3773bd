import { onAbort } from "../base/on-abort.ts";
import type { SocketAddress } from "../base/socket-address.ts";
import type { HttpRequest, HttpResponse, Network } from "../net/network.ts";
import type { MessageChannelHandler, OpenMessageChannel } from "../relay/message-channel.ts";
import type { HostPlatform } from "./host-platform.ts";
import type { AcceptedChannel } from "./memory-channel.ts";
import type { ChannelRequest } from "./memory-relay.ts";
import type { Route } from "./segment.ts";
import type { VirtualPlatform } from "./virtual-platform.ts";
import { joinStream, StreamEnd } from "./virtual-stream.ts";

/** Answers what comes to a TCP port. */
export interface StreamServer {
  /** Throws for a WebSocket that is refused. */
  upgrade?(request: ChannelRequest): AcceptedChannel;
  request?(url: URL, request: Pick<HttpRequest, "method" | "headers" | "body">): HttpResponse;
}

export interface HostStreamsOptions {
  /** Clock and events of the host. */
  readonly platform: HostPlatform;
  readonly world: VirtualPlatform;
  /** Throws for a name that is not known. */
  readonly resolve: (hostname: string, port: number) => readonly SocketAddress[];
  /** The way to an address, and who is there; undefined: none. */
  readonly trace: (to: SocketAddress) => TracedRoute | undefined;
}

export interface TracedRoute {
  readonly streams: HostStreams;
  readonly route: Route;
}

/** When TCP asks for a connection again. Milliseconds. */
const synDelaysMs = [1_000, 2_000, 4_000, 8_000, 16_000];
/** HTTP connections are used again within this time. */
const keptMs = 5_000;

/** A server that was there a moment ago. */
interface Reached {
  readonly server: StreamServer;
  readonly streams: HostStreams;
  /** The way there now; undefined: there is none, or not for this connection. */
  readonly route: () => Route | undefined;
}

/** Where a URL leads: a host, and what listens there, unless nothing does. */
interface Place {
  readonly streams: HostStreams;
  readonly server: StreamServer | undefined;
  readonly route: () => Route | undefined;
}

interface ConnectOptions {
  /** Round trips before the one with the request: for TCP, and for TLS. */
  readonly setUpTrips: number;
  /** Whether a connection to the same origin serves as well, without setting up another. */
  readonly canShare: boolean;
  /** Whether anybody still waits for it. */
  readonly isWanted: () => boolean;
  readonly reached: (reached: Reached) => void;
  readonly failed: (error: Error) => void;
}

/** TCP of a host, as WebSockets and HTTP use it. */
export class HostStreams {
  readonly #options: HostStreamsOptions;
  readonly #servers = new Map<number, StreamServer>();
  /** Ends on the side of the server. */
  readonly #accepted = new Set<StreamEnd>();
  #isDown = false;
  /** By origin: HTTP connections, and when they were used last. */
  readonly #kept = new Map<string, { readonly place: Place; readonly usedAt: number }>();

  constructor(options: HostStreamsOptions) {
    this.#options = options;
  }

  /** Has `server` answer what comes to `port`. */
  listen(port: number, server: StreamServer): void {
    this.#isDown = false;
    this.#servers.set(port, server);
  }

  /** Ends what listens: "reset" tells those who are connected, as a process that dies; "silent" does not, as lost power. */
  shut(how: "reset" | "silent"): void {
    this.#isDown = how === "silent";
    this.#servers.clear();
    for (const end of this.#accepted) {
      how === "reset" ? end.close({ now: true }) : end.forget();
    }
    this.#accepted.clear();
  }

  readonly openMessageChannel: OpenMessageChannel = (url, options, handler) => {
    const { world, platform } = this.#options;
    const client = new StreamEnd(world, platform);
    let state: "opening" | "open" | "over" = "opening";
    client.handler = {
      ...forwarded(handler),
      closed: (error) => {
        state = "over";
        handler.closed(error);
      },
    };
    const failed = (error: Error): void => {
      if (state === "opening") {
        client.end(error);
      }
    };
    const late = new Error(`no answer within ${options.timeoutMs} ms`);
    platform.setTimer(options.timeoutMs, () => failed(late));
    this.#connect(url, {
      setUpTrips: url.protocol === "wss:" ? 2 : 1,
      canShare: false,
      isWanted: () => state === "opening",
      failed,
      reached: ({ server, streams, route }) => {
        const channel = new StreamEnd(world, streams.#options.platform);
        joinStream(client, channel, route);
        try {
          if (server.upgrade === undefined) {
            throw new Error("unexpected answer: 404");
          }
          const accepted = server.upgrade({ url, options, channel });
          streams.#adopt(channel, accepted.handler);
          state = "open";
          handler.opened(accepted.subprotocol);
          accepted.handler.opened(accepted.subprotocol);
        } catch (error) {
          channel.forget();
          failed(error instanceof Error ? error : new Error(String(error)));
        }
      },
    });
    return client;
  };

  readonly request: Network["request"] = (url, request) =>
    new Promise((resolve, reject) => {
      const { signal, maxBytes } = request;
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      let isOver = false;
      const end = (settle: () => void): void => {
        isOver = true;
        stopListening();
        settle();
      };
      const failed = (error: unknown): void => end(() => reject(error));
      const stopListening = onAbort(signal, () => failed(signal.reason));
      this.#connect(url, {
        setUpTrips: url.protocol === "https:" ? 2 : 1,
        canShare: true,
        isWanted: () => !isOver,
        failed,
        reached: ({ server }) => {
          const response = server.request?.(url, request) ?? notFound;
          if (response.body.length > maxBytes) {
            failed(new Error(`the answer is longer than ${maxBytes} bytes`));
          } else {
            end(() => resolve(response));
          }
        },
      });
    });

  /** Goes on asking as long as nobody answers, as TCP does. */
  #connect(url: URL, options: ConnectOptions): void {
    const { platform } = this.#options;
    let tries = 0;
    const attempt = (): void => {
      if (!options.isWanted()) {
        return;
      }
      try {
        this.#attempt(url, options);
      } catch (error) {
        options.failed(error instanceof Error ? error : new Error(String(error)));
      }
      const delayMs = synDelaysMs[tries];
      tries += 1;
      if (delayMs !== undefined) {
        platform.setTimer(delayMs, attempt);
      }
    };
    platform.setTimer(0, attempt);
  }

  /** Throws for a name that is not known. */
  #attempt(url: URL, options: ConnectOptions): void {
    const { setUpTrips, canShare, isWanted, reached, failed } = options;
    const { platform } = this.#options;
    const kept = canShare ? this.#keptFor(url) : undefined;
    const place = kept ?? this.#find(url);
    const rttMs = roundTripMs(place?.route());
    if (place === undefined || rttMs === undefined) {
      return;
    }
    const { streams, server } = place;
    const trips = kept !== undefined || server === undefined ? 1 : 1 + setUpTrips;
    platform.setTimer(trips * rttMs, () => {
      if (place.route() === undefined || !isWanted()) {
        return;
      }
      if (server === undefined || !streams.#isServing(server)) {
        failed(new Error(`connect ECONNREFUSED ${url.host}`));
        return;
      }
      // Whoever stands still keeps the other waiting.
      streams.#options.platform.event(() =>
        platform.event(() => {
          if (isWanted()) {
            if (canShare) {
              this.#kept.set(url.origin, { place, usedAt: platform.now() });
            }
            reached({ streams, server, route: place.route });
          }
        }),
      );
    });
  }

  #isServing(server: StreamServer): boolean {
    return [...this.#servers.values()].includes(server);
  }

  #keptFor({ origin }: URL): Place | undefined {
    const kept = this.#kept.get(origin);
    const isAlive =
      kept?.place.server !== undefined &&
      this.#options.platform.now() - kept.usedAt < keptMs &&
      kept.place.route() !== undefined &&
      kept.place.streams.#isServing(kept.place.server);
    return isAlive ? kept.place : undefined;
  }

  /** The first address at which a host is. */
  #find(url: URL): Place | undefined {
    const { resolve, trace } = this.#options;
    const port = Number(url.port) || (/^(?:https|wss):/.test(url.protocol) ? 443 : 80);
    for (const address of resolve(url.hostname, port)) {
      const traced = trace(address);
      if (traced !== undefined && !traced.streams.#isDown) {
        const { streams, route: first } = traced;
        const server = streams.#servers.get(port);
        const route = (): Route | undefined => {
          const now = trace(address);
          const isSame = now?.streams === streams && !streams.#isDown;
          return isSame && now.route.remembers(first) ? now.route : undefined;
        };
        return { streams, server, route };
      }
    }
    return undefined;
  }

  #adopt(end: StreamEnd, handler: MessageChannelHandler): void {
    this.#accepted.add(end);
    end.handler = {
      ...forwarded(handler),
      closed: (error) => {
        this.#accepted.delete(end);
        handler.closed(error);
      },
    };
  }
}

function forwarded(handler: MessageChannelHandler): MessageChannelHandler {
  return {
    opened: (subprotocol) => handler.opened(subprotocol),
    message: (bytes) => handler.message(bytes),
    drained: () => handler.drained(),
    closed: (error) => handler.closed(error),
  };
}

function roundTripMs(route: Route | undefined): number | undefined {
  const sumMs = [...(route?.forth ?? []), ...(route?.back ?? [])].reduce(
    (sum, link) => sum + link.transitMs(0),
    0,
  );
  return route === undefined || !Number.isFinite(sumMs) ? undefined : sumMs;
}

const notFound: HttpResponse = { status: 404, headers: {}, body: new Uint8Array(0) };
