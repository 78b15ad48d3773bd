import type { EngineErrorCode, EngineStream, StreamHandler } from "../engine/engine.ts";
import type { StreamCore, StreamPort } from "./stream-port.ts";

/** Joins a stream of the engine with its core: reads when the core wants bytes, keeps what the engine does not take. */
export class EngineStreamPort implements StreamPort, StreamHandler {
  readonly id: number;
  readonly #stream: EngineStream;
  readonly #core: StreamCore;
  #reading = false;
  /** The core was told the end of the receiving half. */
  #readingOver = false;
  /** What the engine did not take, in order. */
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #finWaiting = false;
  #writingOver = false;

  constructor(stream: EngineStream, core: (port: StreamPort) => StreamCore) {
    this.id = stream.id;
    this.#stream = stream;
    stream.handler = this;
    this.#core = core(this);
  }

  // What the core asks.

  get backlog(): number {
    return this.#waitingBytes;
  }

  write(bytes: Uint8Array, fin: boolean): boolean {
    return this.#write(bytes, fin, false);
  }

  writeBorrowed(bytes: Uint8Array, fin: boolean): boolean {
    return this.#write(bytes, fin, true);
  }

  reset(code: bigint): void {
    this.#endWriting();
    this.#stream.reset(code);
  }

  stop(code: bigint): void {
    this.#readingOver = true;
    this.#stream.stop(code);
  }

  pull(): void {
    this.readable();
  }

  // What the engine tells.

  readable(): void {
    if (this.#reading || this.#readingOver) {
      return;
    }
    this.#reading = true;
    const stream = this.#stream;
    const core = this.#core;
    while (core.wantsBytes) {
      const bytes = stream.read(core.readLimit);
      if (bytes === undefined) {
        break;
      }
      core.receive(bytes);
    }
    this.#reading = false;
    if (this.#readingOver) {
      return;
    }
    if (stream.receiveState === "reset") {
      this.#readingOver = true;
      core.wasReset(stream.resetCode ?? 0n);
    } else if (stream.receiveState === "finished" && core.wantsBytes) {
      this.#readingOver = true;
      core.finished();
    }
  }

  /** The peer gave up while we did not read: whoever handles the message hears of it at once. */
  resetUnread(code: bigint): void {
    if (!this.#readingOver) {
      this.#readingOver = true;
      this.#core.wasReset(code);
    }
  }

  writable(): void {
    for (let bytes = this.#waiting[0]; bytes !== undefined; bytes = this.#waiting[0]) {
      const fin = this.#finWaiting && this.#waiting.length === 1;
      const taken = this.#tryWrite(bytes, fin);
      if (this.#writingOver) {
        return;
      }
      this.#waitingBytes -= taken;
      if (taken < bytes.length) {
        this.#waiting[0] = bytes.subarray(taken);
        return;
      }
      this.#waiting.shift();
    }
    if (this.#finWaiting) {
      this.#endWriting();
    }
    this.#core.writable();
  }

  stopped(code: bigint): void {
    this.#endWriting();
    this.#core.wasStopped(code);
  }

  acknowledged(): void {
    this.#core.acknowledged();
  }

  /** What had arrived was acknowledged, so the peer relies on it. The engine forgets it after this call. */
  connectionClosed(): void {
    this.#core.lastCall();
    this.readable();
    this.#readingOver = true;
    this.#endWriting();
  }

  #write(bytes: Uint8Array, fin: boolean, borrowed: boolean): boolean {
    if (this.#writingOver || this.#finWaiting) {
      return true;
    }
    let rest = bytes;
    if (this.#waiting.length === 0) {
      const taken = this.#tryWrite(bytes, fin);
      if (taken === bytes.length) {
        this.#writingOver = fin;
        return true;
      }
      rest = bytes.subarray(taken);
    }
    this.#finWaiting = fin;
    if (rest.length > 0) {
      this.#waiting.push(borrowed ? rest.slice() : rest);
      this.#waitingBytes += rest.length;
    }
    return false;
  }

  /** How much of `bytes` the engine took: all when nothing can be sent any more, an event will tell the core. */
  #tryWrite(bytes: Uint8Array, fin: boolean): number {
    try {
      return this.#stream.write(bytes, fin);
    } catch (error) {
      if (isOver(error)) {
        this.#endWriting();
        return bytes.length;
      }
      throw error;
    }
  }

  #endWriting(): void {
    this.#writingOver = true;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#finWaiting = false;
  }
}

/** Whether the engine has thrown `error` because something is over, of which an event tells or will tell. */
export function isOver(error: unknown): boolean {
  return error instanceof Error && error.name === "EngineError" && "code" in error
    ? overCodes.has(error.code)
    : false;
}

const overCodes: ReadonlySet<unknown> = new Set<EngineErrorCode>([
  "closed",
  "stream-ended",
  "engine-failed",
]);
