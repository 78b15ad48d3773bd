import { deferred } from "../base/deferred.ts";
import { onAbort } from "../base/on-abort.ts";
import type { Platform } from "../base/platform.ts";
import { Signal } from "../base/signal.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { AdmittedAddrs } from "./admitted-addrs.ts";
import type { DiscoveredAddr, Discovery } from "./discovery.ts";
import { asDiscoveryError, DiscoveryError } from "./discovery-error.ts";
import { maxUserDataBytes } from "./endpoint-info.ts";
import type { KnownPeer } from "./known-peer.ts";

/** Answers of one source to one question that are looked at. */
const maxAnswers = 64;
/** However long a source says that its answer holds. */
const maxTtlMs = 86_400_000;

/** A source with its place in the endpoint's list, which is its name in {@link KnownPeer}. */
export interface AskedSource {
  readonly index: number;
  readonly discovery: Discovery;
}

export interface PeerLookupOptions {
  readonly platform: Platform;
  /** After that a source is no longer listened to. */
  readonly timeoutMs: number;
  /** Sources whose remembered answer still holds are asked nevertheless. */
  readonly fresh: boolean;
  /** No source is being asked any more: whoever asks now needs another lookup. */
  readonly ended: () => void;
}

/**
 * Asks all sources for one peer, at once and once. Whoever wants to know reads along; who comes late gets everything from
 * the start. When nobody reads any more, the sources are no longer asked.
 */
export class PeerLookup {
  readonly #id: EndpointId;
  readonly #known: KnownPeer;
  readonly #sources: readonly AskedSource[];
  readonly #options: PeerLookupOptions;
  readonly #admitted: AdmittedAddrs;
  readonly #found: DiscoveredAddr[] = [];
  readonly #changed = new Signal();
  readonly #stop = new AbortController();
  #asking: number;
  #readers = 0;

  constructor(
    id: EndpointId,
    sources: readonly AskedSource[],
    known: KnownPeer,
    options: PeerLookupOptions,
  ) {
    this.#id = id;
    this.#known = known;
    this.#sources = sources;
    this.#options = options;
    this.#admitted = new AdmittedAddrs(sources.length);
    this.#asking = sources.length;
  }

  /** Asks. To be called once. */
  start(): void {
    for (const source of this.#sources) {
      void this.#consult(source);
    }
    if (this.#asking === 0) {
      this.stop();
    }
  }

  /** Everything that is found. Throws the signal's reason. */
  async *results(signal: AbortSignal): AsyncGenerator<DiscoveredAddr, void, undefined> {
    this.#readers += 1;
    try {
      for (let next = 0; ; ) {
        signal.throwIfAborted();
        const result = this.#found[next];
        if (result !== undefined) {
          next += 1;
          yield result;
        } else if (this.#asking > 0) {
          await this.#changed.wait({ signal });
        } else {
          return;
        }
      }
    } finally {
      this.#readers -= 1;
      if (this.#readers === 0) {
        this.stop();
      }
    }
  }

  /** Ends it for all readers with what has been found. Idempotent. */
  stop(): void {
    if (!this.#stop.signal.aborted) {
      this.#stop.abort();
      this.#options.ended();
    }
  }

  /** Never rejects. */
  async #consult({ index, discovery }: AskedSource): Promise<void> {
    const { platform, fresh } = this.#options;
    const remembered = fresh ? [] : this.#known.remembered(index, platform.now());
    if (remembered.length > 0) {
      for (const result of remembered) {
        this.#give(index, result);
      }
    } else {
      this.#known.begin(index);
      try {
        await this.#ask(index, discovery);
        this.#known.ended(index);
      } catch (error) {
        // Who was not given the time to answer has not failed.
        if (!this.#stop.signal.aborted) {
          this.#known.failed(index, asDiscoveryError(error));
        }
      }
    }
    this.#asking -= 1;
    if (this.#asking === 0) {
      this.stop();
    }
    this.#changed.notify();
  }

  async #ask(index: number, discovery: Discovery): Promise<void> {
    const { platform, timeoutMs } = this.#options;
    const given = new AbortController();
    const over = deferred<never>();
    const timer = platform.setTimer(timeoutMs, () => {
      over.reject(new DiscoveryError("timeout", `no end of answers within ${timeoutMs} ms`));
    });
    const stopListening = onAbort(this.#stop.signal, () => over.reject(this.#stop.signal.reason));
    // Nobody awaits it where the source throws at once.
    over.promise.catch(() => {});
    let answers: AsyncIterator<DiscoveredAddr> | undefined;
    try {
      answers = discovery.resolve?.(this.#id, { signal: given.signal })[Symbol.asyncIterator]();
      for (let count = 0; answers !== undefined; count += 1) {
        const answer = await Promise.race([answers.next(), over.promise]);
        if (answer.done === true) {
          answers = undefined;
          return;
        }
        if (count === maxAnswers) {
          throw new DiscoveryError("flood", `more than ${maxAnswers} answers for one peer`);
        }
        this.#take(index, { ...answer.value, source: discovery.name });
      }
    } finally {
      platform.clearTimer(timer);
      stopListening();
      given.abort();
      abandon(answers);
    }
  }

  #take(index: number, answer: DiscoveredAddr): void {
    try {
      this.#known.check(index, answer);
    } catch (error) {
      this.#known.failed(index, asDiscoveryError(error));
      return;
    }
    const { userData, ...rest } = answer;
    const fitting: DiscoveredAddr = {
      ...rest,
      ttlMs: Math.min(answer.ttlMs, maxTtlMs),
      ...(isUserData(userData) ? { userData } : {}),
    };
    this.#give(index, fitting);
    // Also what another source has said before: it may be the first to forget it.
    const addrs = answer.addr.addrs.filter((addr) => this.#admitted.has(addr));
    if (addrs.length > 0 || fitting.userData !== undefined) {
      const kept = { ...fitting, addr: new EndpointAddr(this.#id, addrs) };
      this.#known.remember(index, kept, this.#options.platform.now());
    }
  }

  /** Shows readers what is new in an answer. */
  #give(index: number, answer: DiscoveredAddr): void {
    const addrs = this.#admitted.admit(index, answer.addr.addrs);
    if (addrs.length > 0 || answer.userData !== undefined) {
      this.#found.push({ ...answer, addr: new EndpointAddr(this.#id, addrs) });
      this.#changed.notify();
    }
  }
}

function isUserData(text: string | undefined): text is string {
  return text !== undefined && new TextEncoder().encode(text).length <= maxUserDataBytes;
}

/** Lets a source clean up. It may never come to it, so nobody waits. */
function abandon(answers: AsyncIterator<DiscoveredAddr> | undefined): void {
  try {
    void answers?.return?.().catch(() => {});
  } catch {
    // It is of no use to us any more, with or without a fault.
  }
}
