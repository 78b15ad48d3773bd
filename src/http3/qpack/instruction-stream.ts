import { UnexpectedEndError } from "../../base/byte-reader.ts";
import { PrimitiveReader } from "./primitive-reader.ts";
import type { QpackErrorCode } from "./qpack-error.ts";

/**
 * Cuts an encoder or decoder stream, which arrives in pieces of any length, into whole instructions. What it holds back
 * is one unfinished instruction: as long as the parser lets one become before it calls it malformed.
 */
export class InstructionStream {
  readonly #code: QpackErrorCode;
  #rest: Uint8Array = nothing;
  #restLength = 0;

  /** @param code what a malformed instruction is on this stream */
  constructor(code: QpackErrorCode) {
    this.#code = code;
  }

  /**
   * Calls `parseInstruction` for one instruction after another. It must read all of an instruction before it acts on it:
   * when the reader ends too early, the same instruction comes again with more. Borrows `bytes`.
   */
  feed(bytes: Uint8Array, parseInstruction: (reader: PrimitiveReader) => void): void {
    const continued = this.#restLength > 0;
    const input = continued ? this.#append(bytes) : bytes;
    const reader = new PrimitiveReader(input, this.#code);
    let start = 0;
    try {
      while (reader.remaining > 0) {
        start = reader.offset;
        parseInstruction(reader);
      }
      start = input.length;
    } catch (error) {
      if (!(error instanceof UnexpectedEndError)) {
        throw error;
      }
    }
    if (start === input.length) {
      this.#rest = nothing;
      this.#restLength = 0;
    } else if (start > 0 || !continued) {
      this.#rest = new Uint8Array(input.subarray(start));
      this.#restLength = this.#rest.length;
    }
  }

  /** Adds to the rest, in memory that doubles, so that an instruction in many small pieces is not copied for each. */
  #append(bytes: Uint8Array): Uint8Array {
    const length = this.#restLength + bytes.length;
    if (length > this.#rest.length) {
      const grown = new Uint8Array(Math.max(length, this.#rest.length * 2));
      grown.set(this.#rest.subarray(0, this.#restLength));
      this.#rest = grown;
    }
    this.#rest.set(bytes, this.#restLength);
    this.#restLength = length;
    return this.#rest.subarray(0, length);
  }
}

const nothing = new Uint8Array(0);
