import type { DescMessage } from "@bufbuild/protobuf";
import { Slab } from "../base/slab.ts";
import { envelopeHeadLength } from "./envelope-splitter.ts";
import { EnvelopeWriter, putEnvelopeHead } from "./envelope-writer.ts";
import { FixedWriter, MessageEncoder } from "./message-encoder.ts";

export interface MessageSerializerOptions {
  readonly desc: DescMessage;
  readonly binary: boolean;
  /** Bytes. */
  readonly writeMaxBytes: number;
  /** As connect-es does it. Throws for a message that cannot be sent. */
  readonly serialize: (message: never) => Uint8Array;
}

/** Makes bytes of the messages of one type: of small ones without an allocation for each. */
export class MessageSerializer {
  readonly #serialize: (message: never) => Uint8Array;
  readonly #encoder: MessageEncoder | undefined;
  readonly #maxBytes: number;
  readonly #slab = new Slab();
  readonly #envelopes = new EnvelopeWriter();

  constructor({ desc, binary, writeMaxBytes, serialize }: MessageSerializerOptions) {
    this.#serialize = serialize;
    this.#encoder = binary ? MessageEncoder.of(desc) : undefined;
    this.#maxBytes = writeMaxBytes;
  }

  serialize(message: unknown): Uint8Array {
    return this.#small(message, 0) ?? this.#serialize(message as never);
  }

  /** In an envelope, as `encodeEnvelope` of Connect makes it, uncompressed. */
  envelope(message: unknown): Uint8Array {
    return (
      this.#small(message, envelopeHeadLength) ??
      this.#envelopes.encode(0, this.#serialize(message as never))
    );
  }

  /** Behind room for an envelope's head, or for none. */
  #small(message: unknown, headLength: number): Uint8Array | undefined {
    const start = scratch.at;
    scratch.at += headLength;
    const isEncoded = this.#encoder?.encode(message as never, scratch) === true;
    const end = scratch.at;
    // Whoever reads a message may serialize another one meanwhile.
    scratch.at = start;
    const length = end - start - headLength;
    if (!isEncoded || length > this.#maxBytes) {
      return undefined;
    }
    if (headLength > 0) {
      putEnvelopeHead(scratch.memory, start, 0, length);
    }
    const bytes = this.#slab.take(end - start);
    bytes.set(scratch.memory.subarray(start, end));
    return bytes;
  }
}

/** Larger messages cost so much otherwise that an allocation makes no difference. */
const scratch = new FixedWriter(4_096);
