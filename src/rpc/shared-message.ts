// Messages that go to many callers as they are: a server-streaming handler that yields the same object to each of them has
// it encoded once.

import type { Compression } from "@connectrpc/connect/protocol";
import { envelopeCompress } from "@connectrpc/connect/protocol";

type Envelope = Awaited<ReturnType<typeof envelopeCompress>>;

/** The encodings of one message. */
export class SharedEncodings {
  binary: Uint8Array | undefined;
  json: Uint8Array | undefined;
  readonly #compressed = new WeakMap<Uint8Array, Map<string, Promise<Envelope>>>();

  /** @param envelope whose data is one of the encodings */
  compress(envelope: Envelope, compression: Compression): Promise<Envelope> {
    const byName = this.#compressed.get(envelope.data) ?? new Map<string, Promise<Envelope>>();
    this.#compressed.set(envelope.data, byName);
    const known = byName.get(compression.name) ?? envelopeCompress(envelope, compression, 0);
    byName.set(compression.name, known);
    return known;
  }
}

const shared = new WeakMap<object, SharedEncodings>();

/**
 * Says that a message will be sent several times, and never be changed. Its encodings are then kept as long as itself.
 * Returns it.
 */
export function shareMessage<T extends object>(message: T): T {
  shared.set(message, new SharedEncodings());
  return message;
}

/** What is kept of a message; undefined where it is not shared. */
export function sharedEncodings(message: unknown): SharedEncodings | undefined {
  return typeof message === "object" && message !== null ? shared.get(message) : undefined;
}
