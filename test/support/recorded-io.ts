import { type Deferred, deferred } from "../../src/base/deferred.ts";
import { nodePlatform } from "../../src/base/node-platform.ts";
import type { Platform } from "../../src/base/platform.ts";
import { Signal } from "../../src/base/signal.ts";
import type { CommandIo } from "../../src/cli/command.ts";
import { Endpoint, type EndpointOptions } from "../../src/endpoint/endpoint.ts";

/** What a command of `connect-quic` is given by a test, and what it has printed. Its endpoints are on loopback. */
export class RecordedIo implements CommandIo {
  readonly platform: Platform = nodePlatform;
  readonly printed: string[] = [];
  readonly notes: string[] = [];
  readonly #interrupt = new AbortController();
  readonly #endpoint: EndpointOptions;
  readonly #news = new Signal();
  readonly #bound: Deferred<void> = deferred();

  /** `endpoint`: for the endpoints of the command, over what it wants itself. */
  constructor(endpoint: EndpointOptions = {}) {
    this.#endpoint = endpoint;
  }

  get signal(): AbortSignal {
    return this.#interrupt.signal;
  }

  readonly print = (text: string): void => {
    this.printed.push(text);
    this.#news.notify();
  };

  readonly note = (text: string): void => {
    this.notes.push(text);
  };

  readonly bindEndpoint = async (options: EndpointOptions): Promise<Endpoint> => {
    const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0", ...options, ...this.#endpoint });
    this.#bound.resolve();
    return endpoint;
  };

  /** Resolves when the command has an endpoint. */
  get endpointBound(): Promise<void> {
    return this.#bound.promise;
  }

  /** Resolves when another line is printed. */
  nextLine(): Promise<void> {
    return this.#news.wait();
  }

  /** The first line that fits, now or later: the first group of the pattern, or else all of it. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      for (const text of this.printed) {
        const found = pattern.exec(text);
        if (found !== null) {
          return found[1] ?? text;
        }
      }
      await this.#news.wait();
    }
  }

  /** Ctrl-C. */
  interrupt(): void {
    this.#interrupt.abort();
  }
}
