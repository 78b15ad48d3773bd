import { concatBytes } from "../base/bytes.ts";
import { release } from "../base/release.ts";
import { JoinedChunk } from "./joined-chunk.ts";

/** Collects the content of a message that is read as a whole. Takes about as much memory as there is content. */
export class ContentBuffer {
  /** Most contents are one piece. */
  #first: Uint8Array | undefined;
  #chunks: JoinedChunk[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Takes over `bytes`. */
  push(bytes: Uint8Array): void {
    this.#length += bytes.length;
    if (this.#first === undefined) {
      this.#first = bytes;
      return;
    }
    if (this.#chunks.length === 0) {
      this.#chunks.push(new JoinedChunk(this.#first));
    }
    if (this.#chunks.at(-1)?.add(bytes) !== true) {
      this.#chunks.push(new JoinedChunk(bytes));
    }
  }

  /** All of it; the buffer is empty afterwards. */
  take(): Uint8Array {
    const content = this.#chunks.length === 0 ? (this.#first ?? noBytes) : this.#joined();
    this.clear();
    return content;
  }

  clear(): void {
    this.#first = undefined;
    this.#chunks = [];
    this.#length = 0;
  }

  #joined(): Uint8Array {
    const pieces = this.#chunks.map((chunk) => chunk.bytes);
    const content = concatBytes(pieces);
    pieces.forEach(release);
    return content;
  }
}

const noBytes = new Uint8Array(0);
