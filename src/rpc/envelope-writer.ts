import { Slab } from "../base/slab.ts";
import { envelopeHeadLength } from "./envelope-splitter.ts";

/** Puts messages into envelopes, as `encodeEnvelope` of Connect does, with less memory for the small ones. */
export class EnvelopeWriter {
  readonly #slab = new Slab();

  /** @param flags is a byte */
  encode(flags: number, data: Uint8Array): Uint8Array {
    const { length } = data;
    const bytes = this.#slab.take(envelopeHeadLength + length);
    bytes[0] = flags;
    bytes[1] = length >>> 24;
    bytes[2] = length >>> 16;
    bytes[3] = length >>> 8;
    bytes[4] = length;
    bytes.set(data, envelopeHeadLength);
    return bytes;
  }
}
