import { availableParallelism } from "node:os";
import { MessageChannel, Worker, type WorkerOptions } from "node:worker_threads";
import { type Deferred, deferred } from "../base/deferred.ts";
import { onAbort } from "../base/on-abort.ts";
import type { Endpoint } from "./endpoint.ts";
import { EndpointError } from "./endpoint-error.ts";
import { type AttachedShard, maxShards } from "./shard-hub.ts";
import type { ShardMessage } from "./shard-link.ts";
import { shardPort, type WorkerStart, workerKey } from "./worker-endpoint.ts";

export interface WorkerPoolOptions {
  /** How many. 1 to 255, default: as many as there are cores for this process. */
  readonly workers?: number;
  /** How long a worker may take until it serves a protocol. Milliseconds above 0, default 30000. */
  readonly startTimeoutMs?: number;
  /** Options of the threads. `workerData`, if there is any, has to be a plain object. */
  readonly workerOptions?: WorkerOptions;
  /** Ends the start. The workers are ended then, and the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Threads that serve the connections of one endpoint. */
export interface WorkerPool extends AsyncDisposable {
  readonly endpoint: Endpoint;
  /** The threads that live now; one that has ended is replaced, so they change. */
  readonly workers: readonly Worker[];
  /** Resolves when the pool is closed, by {@link close} or with its endpoint. */
  readonly closed: Promise<void>;
  /**
   * Takes no more connections, lets the routers of the workers close as `PeerRouter.close` does within `graceMs` (default
   * 5000), and waits for the workers to end; those that have not a second after that are terminated. The endpoint stays
   * open. Idempotent.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

const defaultStartTimeoutMs = 30_000;
const defaultGraceMs = 5_000;
/** What a worker whose endpoint is closed may take to end. */
const endMs = 1_000;
/** Before a worker that has ended is replaced; twice as long after each that has not served for a minute. */
const firstPauseMs = 100;
const longestPauseMs = 30_000;
const steadyMs = 60_000;

/**
 * Serves an endpoint on several cores: starts workers on a file that binds its part of the endpoint with
 * {@link bindWorkerEndpoint} and serves on it, as a program with one thread would. The main thread has the sockets, relays
 * and discovery, and hands packets on; a connection stays with its worker, also when its address changes.
 *
 * ```ts
 * // main.ts
 * await using endpoint = await Endpoint.bind();
 * await using pool = await serveOnWorkers(endpoint, new URL("worker.js", import.meta.url));
 * console.log(endpoint.ticket());
 * await pool.closed;
 *
 * // worker.ts
 * const router = createPeerRouter(await bindWorkerEndpoint());
 * registerElizaService(router, { … });
 * ```
 *
 * Resolves when all workers serve; until it is closed the pool keeps the process alive. New connections go to the workers
 * by turns, and none to what the endpoint itself serves. A worker that ends takes its connections with it, their peers are
 * told so (stateless reset), `onError` of the endpoint gets an {@link EndpointError} "worker-ended", and another one is
 * started.
 *
 * Rejects with {@link EndpointError} "worker-ended" when a worker ends before it serves, or does not in time; with TypeError
 * or RangeError for options that cannot be, and for an endpoint that cannot be shared.
 */
export async function serveOnWorkers(
  endpoint: Endpoint,
  file: URL | string,
  options: WorkerPoolOptions = {},
): Promise<WorkerPool> {
  const { workers = Math.min(availableParallelism(), maxShards), signal } = options;
  const { startTimeoutMs = defaultStartTimeoutMs } = options;
  if (!Number.isInteger(workers) || workers < 1 || workers > maxShards) {
    throw new RangeError(
      `invalid workers: ${workers} is not a whole number from 1 to ${maxShards}`,
    );
  }
  if (!(startTimeoutMs > 0)) {
    throw new RangeError(`invalid startTimeoutMs: ${startTimeoutMs} is not above 0`);
  }
  const { workerData } = options.workerOptions ?? {};
  if (workerData !== undefined && Object.getPrototypeOf(workerData ?? 0) !== Object.prototype) {
    throw new TypeError("invalid workerData: not a plain object");
  }
  signal?.throwIfAborted();
  const pool = new ThreadPool(endpoint, file, { ...options, startTimeoutMs });
  try {
    await pool.start(workers, signal);
  } catch (error) {
    await pool.close({ graceMs: 0 });
    throw error;
  }
  return pool;
}

/** A worker, from its start to its end. */
interface Thread {
  readonly worker: Worker;
  readonly shard: AttachedShard;
  /** Never rejects. Why, where nobody has asked it to. */
  readonly ended: Promise<EndpointError>;
}

class ThreadPool implements WorkerPool {
  readonly endpoint: Endpoint;
  readonly closed: Promise<void>;
  readonly #closed: Deferred<void> = deferred();
  readonly #file: URL | string;
  readonly #options: WorkerPoolOptions & { readonly startTimeoutMs: number };
  readonly #threads = new Set<Thread>();
  readonly #keepers: Promise<void>[] = [];
  /** Aborted when the pool closes. */
  readonly #closing = new AbortController();
  readonly #release: () => void;
  readonly #forget: () => void;

  constructor(
    endpoint: Endpoint,
    file: URL | string,
    options: WorkerPoolOptions & { readonly startTimeoutMs: number },
  ) {
    this.endpoint = endpoint;
    this.closed = this.#closed.promise;
    this.#file = file;
    this.#options = options;
    this.#forget = endpoint.share().serves((graceMs) => this.close({ graceMs }));
    this.#release = endpoint.hold();
  }

  get workers(): readonly Worker[] {
    return [...this.#threads].map(({ worker }) => worker);
  }

  /** Resolves when all serve; rejects when one does not. */
  async start(workers: number, signal: AbortSignal | undefined): Promise<void> {
    const aborted = deferred<never>();
    const stopListening = onAbort(signal, () => aborted.reject(signal?.reason));
    try {
      const threads = Array.from({ length: workers }, () => this.#begin());
      const served = Promise.all(threads.map((thread) => this.#served(thread)));
      await Promise.race([served, aborted.promise]);
      this.#keepers.push(...threads.map((thread) => this.#keep(thread)));
    } finally {
      stopListening();
    }
  }

  close({ graceMs = defaultGraceMs }: { readonly graceMs?: number } = {}): Promise<void> {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      void this.#close(graceMs);
    }
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(graceMs: number): Promise<void> {
    await Promise.all([...this.#threads].map((thread) => this.#end(thread, graceMs)));
    await Promise.all(this.#keepers);
    this.#forget();
    this.#release();
    this.#closed.resolve();
  }

  async #end({ worker, shard, ended }: Thread, graceMs: number): Promise<void> {
    if (shard.isBound) {
      shard.close(graceMs);
      await Promise.race([ended, this.#pause(graceMs + endMs)]);
    }
    await worker.terminate();
    await ended;
  }

  /** Replaces a thread that ends, for as long as the pool is open. */
  async #keep(first: Thread): Promise<void> {
    const { platform } = this.endpoint;
    const { signal } = this.#closing;
    let thread = first;
    let pauseMs = firstPauseMs;
    while (!signal.aborted) {
      const since = platform.now();
      const error = await thread.ended;
      if (signal.aborted) {
        return;
      }
      this.endpoint.report(error);
      pauseMs = platform.now() - since >= steadyMs ? firstPauseMs : pauseMs;
      await this.#pause(pauseMs, signal);
      pauseMs = Math.min(2 * pauseMs, longestPauseMs);
      if (signal.aborted) {
        return;
      }
      thread = this.#begin();
      // Why it does not serve is why it ends.
      await this.#served(thread).catch(() => {});
    }
  }

  #begin(): Thread {
    const { port1: port, port2 } = new MessageChannel();
    const shard = this.endpoint.share().attach(shardPort(port));
    const { workerOptions = {} } = this.#options;
    const start: WorkerStart = { welcome: shard.welcome, port: port2 };
    const outcome = deferred<EndpointError>();
    const { number } = shard.welcome;
    let worker: Worker;
    try {
      worker = new Worker(this.#file, {
        name: `connect-quic ${number}`,
        ...workerOptions,
        workerData: { ...workerOptions.workerData, [workerKey]: start },
        transferList: [...(workerOptions.transferList ?? []), port2],
      });
    } catch (error) {
      shard.detach();
      port.close();
      throw error;
    }
    port.on("message", (message: ShardMessage | undefined) => shard.receive(message));
    port.unref();
    const thread: Thread = { worker, shard, ended: outcome.promise };
    let cause: unknown;
    worker.once("error", (error) => {
      cause = error;
    });
    worker.once("exit", (code) => {
      shard.detach();
      port.close();
      this.#threads.delete(thread);
      outcome.resolve(endOf(number, code, cause));
    });
    this.#threads.add(thread);
    return thread;
  }

  /** Rejects when it ends before it serves, and has it end when that takes too long. */
  async #served({ worker, shard, ended }: Thread): Promise<void> {
    const { startTimeoutMs } = this.#options;
    const over = new AbortController();
    const isLate = this.#pause(startTimeoutMs, over.signal).then(() => !over.signal.aborted);
    const failed = ended.then((error) => {
      throw error;
    });
    try {
      const late = await Promise.race([shard.served.then(() => false), isLate, failed]);
      if (late) {
        await worker.terminate();
        throw new EndpointError(
          "worker-ended",
          `worker ${shard.welcome.number} serves nothing after ${startTimeoutMs} ms: it has to call ` +
            "bindWorkerEndpoint, and to serve a protocol on that endpoint",
        );
      }
    } finally {
      over.abort();
    }
  }

  /** Waits, at most until `signal`. */
  #pause(delayMs: number, signal?: AbortSignal): Promise<void> {
    const { platform } = this.endpoint;
    const over = deferred<void>();
    const timer = platform.setTimer(delayMs, over.resolve);
    const stopListening = onAbort(signal, over.resolve);
    return over.promise.finally(() => {
      platform.clearTimer(timer);
      stopListening();
    });
  }
}

function endOf(number: number, code: number, cause: unknown): EndpointError {
  if (cause === undefined) {
    return new EndpointError("worker-ended", `worker ${number} ended with exit code ${code}`);
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new EndpointError("worker-ended", `worker ${number} failed: ${why}`, { cause });
}
