import {
  Code,
  ConnectError,
  type HandlerContext,
  type ServiceImpl,
  type Transport,
} from "@connectrpc/connect";
import { type Deferred, deferred } from "../base/deferred.ts";
import { encodeHex } from "../base/hex.ts";
import type { Platform } from "../base/platform.ts";
import { peerKey } from "../rpc/caller.ts";
import { createPeerClient } from "../rpc/peer-client.ts";
import { BenchmarkRun } from "./benchmark-run.ts";
import { FileDigest } from "./file-digest.ts";
import { plainFileName } from "./file-name.ts";
import { Direction } from "./gen/connectquic/worker/v1/console_pb.js";
import { type UploadRequest, WorkerService } from "./gen/connectquic/worker/v1/worker_pb.js";
import { KeptFiles } from "./kept-files.ts";
import { maxBenchmarkBytes, maxBenchmarksPerPeer } from "./worker-limits.ts";
import type { Moment, WorkerState } from "./worker-state.ts";

type Implementation = ServiceImpl<typeof WorkerService>;

/** Of data in a message. */
const chunkBytes = 65_536;
/** How long a file may be waited for that is to be sent. Milliseconds. */
const fileWaitMs = 10_000;

/** A file that is to be sent. */
interface ExpectedFile {
  readonly content: Deferred<AsyncIterable<Uint8Array>>;
  readonly sent: Promise<void>;
}

/** A file that is kept. */
export interface KeptFile {
  readonly name: string;
  readonly size: number;
  readonly parts: readonly Uint8Array[];
}

/** Data between two workers, made up or from files, as fast as it goes, to see how fast that is. */
export class Benchmarks {
  readonly #state: WorkerState;
  readonly #platform: Platform;
  readonly #running = new Map<number, BenchmarkRun>();
  readonly #chunk = new Uint8Array(chunkBytes);
  readonly #expected = new Map<number, ExpectedFile>();
  readonly #files: KeptFiles;

  constructor(state: WorkerState, platform: Platform) {
    this.#state = state;
    this.#platform = platform;
    this.#files = new KeptFiles({ dropped: (number) => state.fileKept(number, false) });
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

  /** Begins to send a file to a peer, which {@link bringFile} is to bring. Returns its number. Throws a ConnectError. */
  startFile(
    peerId: string,
    options: { readonly transport: Transport; readonly name: string; readonly totalBytes: bigint },
  ): number {
    const { transport, name, totalBytes } = options;
    const run = this.#begin({
      peerId,
      direction: Direction.UPLOAD,
      begunHere: true,
      totalBytes,
      fileName: plainFileName(name),
    });
    const content = deferred<AsyncIterable<Uint8Array>>();
    const sent = this.#sendFile(run, transport, content);
    this.#expected.set(run.number, { content, sent });
    return run.number;
  }

  /** Brings a file that is to be sent. Resolves when that has ended, in whatever way. Undefined: there is no such file. */
  bringFile(number: number, content: AsyncIterable<Uint8Array>): Promise<void> | undefined {
    const file = this.#expected.get(number);
    this.#expected.delete(number);
    file?.content.resolve(content);
    return file?.sent;
  }

  /** A file that has come; undefined for one that is not kept. */
  keptFile(number: number): KeptFile | undefined {
    const parts = this.#files.get(number);
    const benchmark = this.#state.benchmark(number);
    return parts === undefined || benchmark === undefined
      ? undefined
      : { name: benchmark.fileName, size: Number(benchmark.totalBytes), parts };
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
    const { file, totalBytes } = begin.value;
    const run = this.#begin({
      peerId: values.get(peerKey).id.toString(),
      direction: Direction.DOWNLOAD,
      begunHere: false,
      totalBytes,
      fileName: file && plainFileName(file.name),
    });
    const digest = file && new FileDigest();
    const room = file && this.#files.reserve(run.number, run.totalBytes);
    try {
      for (;;) {
        const next = await run.unlessCancelled(iterator.next());
        if (next.done === true) {
          break;
        }
        const { content } = next.value;
        const data = content.case === "data" ? content.value : nothing;
        const isTold = run.progress(run.doneBytes + data.length);
        digest?.update(data);
        room?.add(data);
        if (isTold) {
          yield { receivedBytes: BigInt(run.doneBytes) };
        }
      }
      const sha256 = digest?.finish();
      yield {
        receivedBytes: BigInt(run.doneBytes),
        ...(sha256 && { sha256 }),
      };
      run.done(sha256);
      if (room !== undefined) {
        room.keep();
        this.#state.fileKept(run.number, true);
      }
    } catch (error) {
      run.failed(error);
      throw error;
    } finally {
      // Where it was left in a yield.
      run.failed(signal.reason ?? givenUp());
      room?.drop();
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

  /** Never rejects. */
  async #sendFile(
    run: BenchmarkRun,
    transport: Transport,
    content: Deferred<AsyncIterable<Uint8Array>>,
  ): Promise<void> {
    const client = createPeerClient(WorkerService, transport);
    const digest = new FileDigest();
    const timer = this.#platform.setTimer(fileWaitMs, () => content.reject(notBrought()));
    try {
      const parts = await run.unlessCancelled(content.promise);
      this.#platform.clearTimer(timer);
      const requests = this.#fileRequests(run, parts, digest);
      let theirs: Uint8Array = nothing;
      for await (const response of client.upload(requests, { signal: run.signal })) {
        run.progress(Number(response.receivedBytes));
        theirs = response.sha256;
      }
      const ours = digest.finish();
      if (encodeHex(ours) !== encodeHex(theirs)) {
        throw new ConnectError("what the peer has received is something else", Code.DataLoss);
      }
      run.done(ours);
    } catch (error) {
      run.failed(error);
    } finally {
      this.#platform.clearTimer(timer);
      this.#expected.delete(run.number);
    }
  }

  async *#fileRequests(run: BenchmarkRun, parts: AsyncIterable<Uint8Array>, digest: FileDigest) {
    const name = this.#state.benchmark(run.number)?.fileName ?? "";
    const totalBytes = BigInt(run.totalBytes);
    yield { content: { case: "begin" as const, value: { totalBytes, file: { name } } } };
    for await (const part of parts) {
      for (let at = 0; at < part.length; at += chunkBytes) {
        const value = part.subarray(at, at + chunkBytes);
        digest.update(value);
        yield { content: { case: "data" as const, value } };
      }
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
    readonly fileName?: string | undefined;
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

const nothing = new Uint8Array();

function notBrought(): ConnectError {
  return new ConnectError("the page has not brought the file", Code.DeadlineExceeded);
}

/** The peer is gone from a call, whose signal has not said why. */
function givenUp(): ConnectError {
  return new ConnectError("given up", Code.Canceled);
}
