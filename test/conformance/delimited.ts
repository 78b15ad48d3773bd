// How the conformance runner talks to the programs that it tests: Protobuf messages on stdin and stdout, each after its
// size as a 32-bit number.

import type { Readable, Writable } from "node:stream";

/** The messages of a stream. Throws when it ends within one. */
export async function* readDelimited(stream: Readable): AsyncGenerator<Uint8Array, void> {
  let unread = Buffer.alloc(0);
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    unread = Buffer.concat([unread, chunk]);
    while (unread.length >= sizeBytes) {
      const end = sizeBytes + unread.readUInt32BE();
      if (unread.length < end) {
        break;
      }
      yield unread.subarray(sizeBytes, end);
      unread = unread.subarray(end);
    }
  }
  if (unread.length > 0) {
    throw new Error(`the input ends within a message: ${unread.length} bytes are left over`);
  }
}

/** Writes a message at once, so that those of concurrent calls do not mix. */
export function writeDelimited(stream: Writable, message: Uint8Array): void {
  const size = Buffer.alloc(sizeBytes);
  size.writeUInt32BE(message.length);
  stream.write(Buffer.concat([size, message]));
}

const sizeBytes = 4;
