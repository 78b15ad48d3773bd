import type { EngineStream } from "../../src/engine/engine.ts";

/** Writes to a stream of the engine as far as it takes it; the rest goes when it is told to {@link resume}. */
export class EngineWriter {
  readonly #stream: EngineStream;
  #waiting: Uint8Array[] = [];
  /** What follows what waits, so many times. */
  #repeated = new Uint8Array();
  #times = 0;
  #ended = false;
  #finished = false;

  constructor(stream: EngineStream) {
    this.#stream = stream;
  }

  /** Goes with the next {@link resume}, {@link end} or {@link repeat}, in one piece with what else waits. */
  push(bytes: Uint8Array): void {
    this.#waiting.push(bytes);
  }

  end(): void {
    this.#ended = true;
    this.resume();
  }

  /** So many times the same bytes, each time written for itself, and then the end. */
  repeat(times: number, bytes: Uint8Array): void {
    this.#repeated = Uint8Array.from(bytes);
    this.#times = times;
    this.end();
  }

  resume(): void {
    const [first, ...others] = this.#waiting;
    let piece = others.length === 0 ? first : Buffer.concat(this.#waiting);
    this.#waiting = [];
    for (;;) {
      if (piece === undefined && this.#times > 0) {
        this.#times -= 1;
        piece = this.#repeated;
      }
      if (piece === undefined) {
        break;
      }
      const last = this.#ended && this.#times === 0;
      const taken = this.#stream.write(piece, last);
      if (taken < piece.length) {
        this.#waiting.push(piece.subarray(taken));
        return;
      }
      this.#finished ||= last;
      piece = undefined;
    }
    if (this.#ended && !this.#finished) {
      this.#finished = true;
      this.#stream.finish();
    }
  }
}
