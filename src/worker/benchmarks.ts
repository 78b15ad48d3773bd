import {
  Code,
  ConnectError,
  type HandlerContext,
  type ServiceImpl,
  type Transport,
} from "@connectrpc/connect";
import type { Platform } from "../base/platform.ts";
import { peerKey } from "../rpc/caller.ts";
import { createPeerClient } from "../rpc/peer-client.ts";
import { BenchmarkRun } from "./benchmark-run.ts";
import { Direction } from "./gen/connectquic/worker/v1/console_pb.js";
import { type UploadRequest, WorkerService } from "./gen/connectquic/worker/v1/worker_pb.js";
import { maxBenchmarkBytes, maxBenchmarksPerPeer } from "./worker-limits.ts";
import type { Moment, WorkerState } from "./worker-state.ts";

type Implementation = ServiceImpl<typeof WorkerService>;

/** Of data in a message. */
const chunkBytes = 65_536;

/** Data between two workers, as fast as it goes, to see how fast that is. */
export class Benchmarks {
  readonly #state: WorkerState;
  readonly #platform: Platform;
  readonly #running = new Map<number, BenchmarkRun>();
  readonly #chunk = new Uint8Array(chunkBytes);

  constructor(state: WorkerState, platform: Platform) {
    this.#state = state;
    this.#platform = platform;
    // Nothing on the way can make it smaller.
    platform.randomFill(this.#chunk);
  }

  /** Begins one with a peer. Returns its number. Throws a ConnectError. */
  start(
    peerId: string,
    options: {
      readonly transport: Transport;
      readonly direction: Direction;
      readonly totalBytes: bigint;
    },
  ): number {
    const { transport, direction, totalBytes } = options;
    if (direction === Direction.UNSPECIFIED) {
      throw new ConnectError("a benchmark has a direction", Code.InvalidArgument);
    }
    const run = this.#begin({ peerId, direction, begunHere: true, totalBytes });
    void this.#call(run, transport, direction);
    return run.number;
  }

  /** False: there is none that runs. */
  cancel(number: number): boolean {
    const run = this.#running.get(number);
    run?.cancel();
    return run !== undefined;
  }

  /** Cancels all. */
  close(): void {
    for (const run of this.#running.values()) {
      run.cancel();
    }
  }

  /** The handler of benchmarks towards here. */
  readonly upload: Implementation["upload"] = (requests, context) =>
    this.#serveUpload(requests, context);

  /** The handler of benchmarks towards a peer. */
  readonly download: Implementation["download"] = ({ totalBytes }, context) =>
    this.#serveDownload(totalBytes, context);

  async *#serveUpload(requests: AsyncIterable<UploadRequest>, { signal, values }: HandlerContext) {
    const iterator = requests[Symbol.asyncIterator]();
    const first = await iterator.next();
    const begin = first.done === true ? undefined : first.value.content;
    if (begin?.case !== "begin") {
      throw new ConnectError("an upload begins with its size", Code.InvalidArgument);
    }
    const run = this.#begin({
      peerId: values.get(peerKey).id.toString(),
      direction: Direction.DOWNLOAD,
      begunHere: false,
      totalBytes: begin.value.totalBytes,
    });
    try {
      for (;;) {
        const next = await run.unlessCancelled(iterator.next());
        if (next.done === true) {
          break;
        }
        const { content } = next.value;
        if (run.progress(run.doneBytes + (content.case === "data" ? content.value.length : 0))) {
          yield { receivedBytes: BigInt(run.doneBytes) };
        }
      }
      yield { receivedBytes: BigInt(run.doneBytes) };
      run.done();
    } catch (error) {
      run.failed(error);
      throw error;
    } finally {
      // Where it was left in a yield.
      run.failed(signal.reason ?? givenUp());
    }
  }

  async *#serveDownload(totalBytes: bigint, { signal, values }: HandlerContext) {
    const run = this.#begin({
      peerId: values.get(peerKey).id.toString(),
      direction: Direction.UPLOAD,
      begunHere: false,
      totalBytes,
    });
    try {
      for (const data of this.#chunks(run)) {
        yield { data };
        run.signal.throwIfAborted();
        run.progress(run.doneBytes + data.length);
      }
      run.done();
    } catch (error) {
      run.failed(error);
      throw error;
    } finally {
      run.failed(signal.reason ?? givenUp());
    }
  }

  async #call(run: BenchmarkRun, transport: Transport, direction: Direction): Promise<void> {
    const client = createPeerClient(WorkerService, transport);
    const { signal } = run;
    try {
      if (direction === Direction.UPLOAD) {
        for await (const { receivedBytes } of client.upload(this.#requests(run), { signal })) {
          run.progress(Number(receivedBytes));
        }
      } else {
        const totalBytes = BigInt(run.totalBytes);
        for await (const { data } of client.download({ totalBytes }, { signal })) {
          run.progress(run.doneBytes + data.length);
        }
      }
      run.done();
    } catch (error) {
      run.failed(error);
    }
  }

  async *#requests(run: BenchmarkRun) {
    const totalBytes = BigInt(run.totalBytes);
    yield { content: { case: "begin" as const, value: { totalBytes } } };
    for (const value of this.#chunks(run)) {
      yield { content: { case: "data" as const, value } };
    }
  }

  *#chunks({ totalBytes }: BenchmarkRun): Generator<Uint8Array<ArrayBuffer>, void> {
    for (let left = totalBytes; left > 0; left -= chunkBytes) {
      yield left >= chunkBytes ? this.#chunk : this.#chunk.subarray(0, left);
    }
  }

  /** Throws a ConnectError for a size that cannot be, and when too many run. */
  #begin(what: {
    readonly peerId: string;
    readonly direction: Direction;
    readonly begunHere: boolean;
    readonly totalBytes: bigint;
  }): BenchmarkRun {
    if (what.totalBytes < 1n || what.totalBytes > BigInt(maxBenchmarkBytes)) {
      throw new ConnectError(
        `a benchmark has 1 to ${maxBenchmarkBytes} bytes, found ${what.totalBytes}`,
        Code.InvalidArgument,
      );
    }
    const totalBytes = Number(what.totalBytes);
    const { length: ofPeer } = [...this.#running.keys()].filter(
      (number) => this.#state.benchmark(number)?.peerId === what.peerId,
    );
    const at = (): Moment => ({ unixMs: this.#platform.unixMs(), now: this.#platform.now() });
    const number =
      ofPeer < maxBenchmarksPerPeer
        ? this.#state.benchmarkBegins({ ...what, totalBytes }, at())
        : undefined;
    if (number === undefined) {
      throw new ConnectError("too many benchmarks run already", Code.ResourceExhausted);
    }
    const over = (): void => void this.#running.delete(number);
    const run = new BenchmarkRun({ number, totalBytes, state: this.#state, at, over });
    this.#running.set(number, run);
    return run;
  }
}

/** The peer is gone from a call, whose signal has not said why. */
function givenUp(): ConnectError {
  return new ConnectError("given up", Code.Canceled);
}
