import { pause } from "../base/pause.ts";
import type { Platform } from "../base/platform.ts";
import { asDiscoveryError } from "./discovery-error.ts";
import { type EndpointInfo, formatEndpointInfo } from "./endpoint-info.ts";

/** Least time between two times, however often what is to be published changes. Milliseconds. */
const gapMs = 1_000;
/** After so many failures in a row the time to the next try grows no more; each adds a second. */
const maxFailures = 60;

export interface RepublisherOptions {
  readonly platform: Platform;
  /** Time between two times that the same is published. Milliseconds. */
  readonly intervalMs: number;
  /**
   * Publishes. `changed`: this has not been published before. What it rejects with is reported, and it is tried again after
   * as many seconds as it has failed in a row.
   */
  put(
    info: EndpointInfo,
    options: { readonly changed: boolean; readonly signal: AbortSignal },
  ): Promise<void>;
  /** Takes the first error after each success, and each that reads differently. */
  readonly report: (error: unknown) => void;
}

/**
 * Keeps a place up to date: publishes what it is given at once, again at intervals, and again soon where that failed. What
 * changes while something is being published follows a second later at the earliest, without what lay between.
 */
export class Republisher {
  readonly #options: RepublisherOptions;
  readonly #closed = new AbortController();
  #wanted: { readonly info: EndpointInfo; readonly content: string } | undefined;
  #running: Promise<void> | undefined;
  /** Ends the wait for the next time. */
  #changed = new AbortController();

  constructor(options: RepublisherOptions) {
    this.#options = options;
  }

  /** To be called whenever there may be something new. Never throws: what does not fit a record is reported. */
  publish(info: EndpointInfo): void {
    if (this.#closed.signal.aborted) {
      return;
    }
    let content: string;
    try {
      content = formatEndpointInfo(info).join("\n");
    } catch (error) {
      this.#options.report(asDiscoveryError(error));
      return;
    }
    // With nothing to say and nothing said: what a former run has published may still be right.
    if (content === (this.#wanted?.content ?? "")) {
      return;
    }
    this.#wanted = { info, content };
    this.#changed.abort();
    this.#running ??= this.#run();
  }

  /** Ends what is under way. Idempotent. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { platform, intervalMs } = this.#options;
    const closed = this.#closed.signal;
    let published: unknown;
    let failures = 0;
    let reported: string | undefined;
    while (this.#wanted !== undefined && !closed.aborted) {
      this.#changed = new AbortController();
      const wanted = this.#wanted;
      try {
        await this.#options.put(wanted.info, { changed: wanted !== published, signal: closed });
        published = wanted;
        failures = 0;
        reported = undefined;
      } catch (error) {
        if (closed.aborted) {
          return;
        }
        failures = Math.min(failures + 1, maxFailures);
        const problem = asDiscoveryError(error);
        if (problem.message !== reported) {
          reported = problem.message;
          this.#options.report(problem);
        }
      }
      const delayMs = failures === 0 ? intervalMs : failures * 1_000;
      try {
        await pause(platform, gapMs, closed);
        await pause(platform, delayMs - gapMs, this.#changed.signal, closed);
      } catch {
        // There is something new to publish, or nothing any more.
      }
    }
  }
}
