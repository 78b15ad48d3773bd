import { Slab } from "../base/slab.ts";
import { envelopeHeadLength } from "./envelope-splitter.ts";

/** Puts messages into envelopes, as `encodeEnvelope` of Connect does, with less memory for the small ones. */
export class EnvelopeWriter {
  readonly #slab = new Slab();

  /** @param flags is a byte */
  encode(flags: number, data: Uint8Array): Uint8Array {
    const { length } = data;
    const bytes = this.#slab.take(envelopeHeadLength + length);
    putEnvelopeHead(bytes, 0, flags, length);
    bytes.set(data, envelopeHeadLength);
    return bytes;
  }
}

/** Writes what stands before a message of this length. `flags` is a byte. */
export function putEnvelopeHead(into: Uint8Array, at: number, flags: number, length: number): void {
  into[at] = flags;
  into[at + 1] = length >>> 24;
  into[at + 2] = length >>> 16;
  into[at + 3] = length >>> 8;
  into[at + 4] = length;
}
