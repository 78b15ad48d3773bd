import type { Platform } from "../../base/platform.ts";
import { RendezvousError } from "../rendezvous-error.ts";

/** How long Redis may take to answer. Milliseconds. */
const answerTimeoutMs = 2_000;
/** How long is waited between attempts to connect. Milliseconds. */
const reconnectMs = { first: 50, last: 1_000 };

/** What we use of a client of `@redis/client`. */
interface RedisClient {
  readonly isReady: boolean;
  connect(): Promise<unknown>;
  sendCommand(args: readonly string[]): Promise<unknown>;
  on(event: "error", listener: (error: unknown) => void): unknown;
  destroy(): void;
}

/** A connection to Redis that comes back by itself. Questions fail while it is not there, and wait for nothing. */
export class RedisConnection {
  readonly #url: string;
  readonly #platform: Platform;
  readonly #shas = new Map<string, string>();
  #client: Promise<RedisClient> | undefined;
  /** Why it is not there. */
  #problem: unknown;
  #isClosed = false;

  constructor(url: string, platform: Platform) {
    this.#url = url;
    this.#platform = platform;
  }

  /** Rejects with an Error, also when there is no answer within `timeoutMs`. */
  async command(args: readonly string[], timeoutMs: number = answerTimeoutMs): Promise<unknown> {
    this.#client ??= this.#open();
    const client = await this.#client;
    if (!client.isReady) {
      throw new Error(`Redis cannot be reached: ${messageOf(this.#problem)}`);
    }
    const answer = client.sendCommand(args);
    return await new Promise((resolve, reject) => {
      const timer = this.#platform.setTimer(timeoutMs, () =>
        reject(new Error(`Redis has not answered within ${timeoutMs} ms`)),
      );
      answer.then(resolve, reject).finally(() => this.#platform.clearTimer(timer));
    });
  }

  /** Runs a script, of which Redis is told once. Its answer is a list that begins with a text. */
  async script(text: string, args: readonly string[]): Promise<readonly unknown[]> {
    const sha = this.#shas.get(text) ?? (await this.#load(text));
    try {
      return (await this.command(["EVALSHA", sha, "0", ...args])) as readonly unknown[];
    } catch (error) {
      if (!messageOf(error).startsWith("NOSCRIPT")) {
        throw error;
      }
      const again = await this.#load(text);
      return (await this.command(["EVALSHA", again, "0", ...args])) as readonly unknown[];
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const client = await this.#client?.catch(() => undefined);
    client?.destroy();
  }

  async #load(text: string): Promise<string> {
    const sha = String(await this.command(["SCRIPT", "LOAD", text]));
    this.#shas.set(text, sha);
    return sha;
  }

  async #open(): Promise<RedisClient> {
    const { createClient } = await import("@redis/client").catch((error: unknown) => {
      throw new RendezvousError(
        "missing-package",
        "a rendezvous with Redis needs the package @redis/client: npm install @redis/client",
        { cause: error },
      );
    });
    const client: RedisClient = createClient({
      url: this.#url,
      RESP: 2,
      disableOfflineQueue: true,
      socket: {
        connectTimeout: answerTimeoutMs,
        reconnectStrategy: (retries) =>
          !this.#isClosed && Math.min(reconnectMs.first * 2 ** retries, reconnectMs.last),
      },
    }) as RedisClient;
    client.on("error", (error) => {
      this.#problem = error;
    });
    // Goes on until it succeeds or is closed; who asks meanwhile is told.
    await new Promise<void>((resolve) => {
      client.connect().then(
        () => resolve(),
        (error: unknown) => {
          this.#problem = error;
          resolve();
        },
      );
      client.on("error", () => resolve());
    });
    return client;
  }
}

export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") {
    return error.errors.map(messageOf).join(", ");
  }
  return error instanceof Error ? error.message : String(error);
}
