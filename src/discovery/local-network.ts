import { pause } from "../base/pause.ts";
import type { Timer } from "../base/platform.ts";
import { Signal } from "../base/signal.ts";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type {
  DiscoveredAddr,
  Discovery,
  DiscoveryContext,
  DiscoverySource,
  OwnAddr,
} from "./discovery.ts";
import { DiscoveryError } from "./discovery-error.ts";
import type { MulticastSocket } from "./discovery-network.ts";
import { type DnsMessage, decodeDnsMessage } from "./dns-message.ts";
import type { EndpointInfo } from "./endpoint-info.ts";
import {
  encodeLocalPeer,
  isLocalQuery,
  localName,
  localQuery,
  readLocalPeers,
} from "./local-peer-message.ts";

/** The groups and the port of multicast DNS (RFC 6762 §3). */
const groups: readonly SocketAddress[] = [
  socketAddress("224.0.0.251", 5353),
  socketAddress("ff02::fb", 5353),
];
/** RFC 6762 §11. */
const multicastTtl = 255;
/** When those who look for a peer ask, from the start on. Milliseconds. */
const queryDelaysMs = [0, 250, 1_000, 2_500, 5_000, 8_000];
/** How long they wait after the last time. Milliseconds. */
const patienceMs = 1_000;
/** Least time between two queries, however many peers are looked for: all peers answer each. Milliseconds. */
const queryGapMs = 200;
/** An answer waits so long at random, so that not all come at once (RFC 6762 §6). Milliseconds. */
const answerDelayMs = { least: 20, most: 120 };
/** Least time between two answers: whoever asks on and on gets no more. Milliseconds. */
const answerGapMs = 500;
/** For how long a heard answer counts; peers answer each other's queries, so it is renewed all the time. Milliseconds. */
const rememberMs = 10_000;
/** Heard peers that are remembered. The one heard of first goes first. */
const maxHeard = 1_024;
/** How long those who look for a peer may think that it is there. Milliseconds. */
const ttlMs = 10_000;
/** How soon the socket is opened anew for others to find us, where it could not be opened or broke. Milliseconds. */
const reopenMs = 30_000;

/**
 * Finds peers in the local network by multicast DNS, and lets them find this one, real iroh with its local discovery
 * included. No server is needed. What is found is not signed: anybody in the network can name other addresses, where
 * nobody can prove to be the peer.
 */
export function localNetwork(): DiscoverySource {
  return (context) => new LocalNetwork(context);
}

interface Heard {
  readonly info: EndpointInfo;
  readonly untilMs: number;
}

class LocalNetwork implements Discovery {
  readonly name = "local network";
  readonly #context: DiscoveryContext;
  readonly #ownName: string;
  readonly #heard = new Map<string, Heard>();
  readonly #news = new Signal();
  readonly #closed = new AbortController();
  #socket: Promise<MulticastSocket> | undefined;
  /** What we answer with. */
  #answer: Uint8Array | undefined;
  /** The answer that is about to be sent. */
  #answering: Timer | undefined;
  #queriedAtMs = Number.NEGATIVE_INFINITY;
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  #reopening: Timer | undefined;

  constructor(context: DiscoveryContext) {
    this.#context = context;
    this.#ownName = localName(context.secretKey.publicKey);
  }

  async *resolve(
    id: EndpointId,
    { signal }: { readonly signal: AbortSignal },
  ): AsyncGenerator<DiscoveredAddr, void, undefined> {
    const name = localName(id);
    let heard = this.#recall(name);
    if (heard === undefined) {
      const done = new AbortController();
      try {
        heard = await this.#ask(name, signal, done.signal);
      } finally {
        done.abort();
      }
    }
    if (heard !== undefined) {
      const { addrs, userData } = heard;
      const addr = new EndpointAddr(id, addrs);
      yield { addr, ...(userData === undefined ? {} : { userData }), ttlMs, source: this.name };
    }
  }

  publish({ addr, userData }: OwnAddr): void {
    if (this.#closed.signal.aborted) {
      return;
    }
    this.#answer = encodeLocalPeer(addr.id, {
      addrs: addr.addrs,
      ...(userData === undefined ? {} : { userData }),
    });
    if (this.#answer !== undefined) {
      // Also unasked: those who know other addresses of us learn the new ones.
      this.#answerSoon();
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    const { platform } = this.#context;
    for (const timer of [this.#answering, this.#reopening]) {
      if (timer !== undefined) {
        platform.clearTimer(timer);
      }
    }
    this.#news.notify();
    const socket = await this.#socket?.catch(() => undefined);
    await socket?.close();
  }

  /** Asks until the peer has answered; undefined where it does not. */
  async #ask(
    name: string,
    signal: AbortSignal,
    done: AbortSignal,
  ): Promise<EndpointInfo | undefined> {
    const socket = await this.#open();
    let gaveUp = false;
    void this.#query(socket, signal, done).finally(() => {
      gaveUp = true;
      this.#news.notify();
    });
    for (;;) {
      signal.throwIfAborted();
      const heard = this.#recall(name);
      if (heard !== undefined || gaveUp) {
        return heard;
      }
      await this.#news.wait({ signal });
    }
  }

  /** Asks all peers again and again. Never rejects: a signal just ends it. */
  async #query(socket: MulticastSocket, ...signals: readonly AbortSignal[]): Promise<void> {
    const { platform } = this.#context;
    const startMs = platform.now();
    try {
      for (const delayMs of queryDelaysMs) {
        const waitMs = startMs + delayMs - platform.now();
        await pause(platform, waitMs, ...signals, this.#closed.signal);
        if (platform.now() >= this.#queriedAtMs + queryGapMs) {
          this.#queriedAtMs = platform.now();
          socket.send(localQuery);
        }
      }
      await pause(platform, patienceMs, ...signals, this.#closed.signal);
    } catch {
      // It is over.
    }
  }

  #recall(name: string): EndpointInfo | undefined {
    const heard = this.#heard.get(name);
    return heard !== undefined && heard.untilMs > this.#context.platform.now()
      ? heard.info
      : undefined;
  }

  /** One socket for all. Rejects with DiscoveryError `unavailable`. */
  #open(): Promise<MulticastSocket> {
    if (this.#closed.signal.aborted) {
      return Promise.reject(unavailable(new Error("the endpoint is closed")));
    }
    if (this.#socket === undefined) {
      const socket = this.#openSocket();
      this.#socket = socket;
      socket.catch(() => this.#forget(socket));
    }
    return this.#socket;
  }

  async #openSocket(): Promise<MulticastSocket> {
    try {
      const { openMulticast } = this.#context.network;
      const socket = await openMulticast(
        { groups, ttl: multicastTtl },
        {
          datagram: (_from, bytes) => this.#received(bytes),
          failed: (error) => {
            this.#forget(this.#socket);
            void socket.close();
            this.#context.report(unavailable(error));
            this.#reopenLater();
          },
        },
      );
      return socket;
    } catch (error) {
      throw unavailable(error);
    }
  }

  /** The next who needs a socket opens another. */
  #forget(socket: Promise<MulticastSocket> | undefined): void {
    if (this.#socket === socket) {
      this.#socket = undefined;
    }
  }

  #received(bytes: Uint8Array): void {
    let message: DnsMessage;
    try {
      message = decodeDnsMessage(bytes);
    } catch {
      // Whatever others send in this network is no fault of anybody here.
      return;
    }
    if (isLocalQuery(message)) {
      this.#answerSoon();
      return;
    }
    const untilMs = this.#context.platform.now() + rememberMs;
    for (const [name, info] of readLocalPeers(message)) {
      if (name !== this.#ownName) {
        this.#heard.delete(name);
        this.#heard.set(name, { info, untilMs });
      }
    }
    while (this.#heard.size > maxHeard) {
      const [oldest = ""] = this.#heard.keys();
      this.#heard.delete(oldest);
    }
    this.#news.notify();
  }

  /** Answers, unless that is about to happen. Queries that come meanwhile are answered by that too. */
  #answerSoon(): void {
    const { platform } = this.#context;
    if (
      this.#answer === undefined ||
      this.#answering !== undefined ||
      this.#closed.signal.aborted
    ) {
      return;
    }
    const dice = new Uint8Array(1);
    platform.randomFill(dice);
    const { least, most } = answerDelayMs;
    const delayMs = least + ((most - least) * (dice[0] ?? 0)) / 255;
    const gapMs = this.#answeredAtMs + answerGapMs - platform.now();
    this.#answering = platform.setTimer(Math.max(delayMs, gapMs), () => {
      this.#answering = undefined;
      this.#answeredAtMs = platform.now();
      this.#open().then(
        (socket) => {
          if (this.#answer !== undefined && !this.#closed.signal.aborted) {
            socket.send(this.#answer);
          }
        },
        (error: unknown) => {
          this.#context.report(error);
          this.#reopenLater();
        },
      );
    });
  }

  #reopenLater(): void {
    if (!this.#closed.signal.aborted) {
      this.#reopening ??= this.#context.platform.setTimer(reopenMs, () => {
        this.#reopening = undefined;
        this.#answerSoon();
      });
    }
  }
}

function unavailable(error: unknown): DiscoveryError {
  const problem = error instanceof Error ? error.message : String(error);
  return new DiscoveryError("unavailable", `no multicast in the local network: ${problem}`, {
    cause: error,
  });
}
