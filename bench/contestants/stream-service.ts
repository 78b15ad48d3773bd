// What contestants that carry bytes do in place of calls: a stream for each, which begins with a byte that says what is
// wanted. A message is a piece of bytes that is written at once.

import { type Caller, expectBytes } from "../contestant.ts";

/** "echo": what comes goes back as it comes. "download": so many messages of such a size. "upload": the number of bytes. */
export type Wish =
  | { readonly type: "echo" }
  | { readonly type: "download"; readonly count: number; readonly size: number }
  | { readonly type: "upload" };

const echo = 0;
const download = 1;
const upload = 2;
/** Of the answer to an upload. */
export const totalLength = 8;

export function encodeWish(wish: Wish): Uint8Array {
  switch (wish.type) {
    case "echo":
      return Uint8Array.of(echo);
    case "upload":
      return Uint8Array.of(upload);
    case "download": {
      const bytes = Buffer.alloc(9);
      bytes.writeUInt8(download);
      bytes.writeUInt32BE(wish.count, 1);
      bytes.writeUInt32BE(wish.size, 5);
      return bytes;
    }
    default:
      return wish satisfies never;
  }
}

/** Reads the wish at the beginning of a stream, and what came with it; undefined while there are bytes missing. */
export function parseWish(
  bytes: Uint8Array,
): { readonly wish: Wish; readonly rest: Uint8Array } | undefined {
  switch (bytes[0]) {
    case undefined:
      return undefined;
    case echo:
      return { wish: { type: "echo" }, rest: bytes.subarray(1) };
    case upload:
      return { wish: { type: "upload" }, rest: bytes.subarray(1) };
    case download: {
      if (bytes.length < 9) {
        return undefined;
      }
      const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      const wish = {
        type: "download",
        count: view.readUInt32BE(1),
        size: view.readUInt32BE(5),
      } as const;
      return { wish, rest: bytes.subarray(9) };
    }
    default:
      throw new Error(`unknown wish ${bytes[0]}`);
  }
}

export function encodeTotal(total: number): Uint8Array {
  const bytes = Buffer.alloc(totalLength);
  bytes.writeDoubleBE(total);
  return bytes;
}

export function parseTotal(bytes: Uint8Array): number {
  return Buffer.from(bytes).readDoubleBE();
}

/** A stream with both directions, as its library's users have it. */
export interface ByteStream {
  /** Resolves when the library takes more. */
  write(bytes: Uint8Array): Promise<void>;
  finish(): Promise<void>;
  /** Undefined at the end. */
  read(): Promise<Uint8Array | undefined>;
}

/** Does on a stream what its first bytes ask for. */
export async function serveStream(stream: ByteStream): Promise<void> {
  let head = new Uint8Array();
  let found = parseWish(head);
  while (found === undefined) {
    const bytes = await stream.read();
    if (bytes === undefined) {
      throw new Error("the stream ended before it began");
    }
    head = Buffer.concat([head, bytes]);
    found = parseWish(head);
  }
  const { wish, rest } = found;
  if (wish.type === "download") {
    await writeMessages(stream, wish.count, new Uint8Array(wish.size));
    return;
  }
  let total = 0;
  for (let bytes: Uint8Array | undefined = rest; bytes !== undefined; bytes = await stream.read()) {
    total += bytes.length;
    if (wish.type === "echo" && bytes.length > 0) {
      await stream.write(bytes);
    }
  }
  if (wish.type === "upload") {
    await stream.write(encodeTotal(total));
  }
  await stream.finish();
}

/** A Caller on streams. `close` ends the connection that they run on. */
export function streamCaller(open: () => Promise<ByteStream>, close: () => Promise<void>): Caller {
  const held: ByteStream[] = [];
  const begin = async (wish: Wish, payload: Uint8Array = new Uint8Array()): Promise<ByteStream> => {
    const stream = await open();
    const head = encodeWish(wish);
    await stream.write(payload.length === 0 ? head : Buffer.concat([head, payload]));
    return stream;
  };
  return {
    async echo(payload) {
      const stream = await begin({ type: "echo" }, payload);
      await stream.finish();
      expectBytes(await countBytes(stream), payload.length);
    },
    async download(count, size) {
      const stream = await begin({ type: "download", count, size });
      await stream.finish();
      expectBytes(await countBytes(stream), count * size);
    },
    async upload(count, payload) {
      const stream = await begin({ type: "upload" });
      await writeMessages(stream, count, payload);
      const answer: Uint8Array[] = [];
      for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
        answer.push(bytes);
      }
      expectBytes(parseTotal(Buffer.concat(answer)), count * payload.length);
    },
    async chat(count, payload) {
      const stream = await begin({ type: "echo" });
      const [bytes] = await Promise.all([
        countBytes(stream),
        writeMessages(stream, count, payload),
      ]);
      expectBytes(bytes, count * payload.length);
    },
    async hold(payload) {
      const stream = await begin({ type: "echo" }, payload);
      for (let bytes = 0; bytes < payload.length; ) {
        bytes += (await stream.read())?.length ?? Number.NaN;
      }
      held.push(stream);
    },
    close,
  };
}

async function writeMessages(
  stream: ByteStream,
  count: number,
  payload: Uint8Array,
): Promise<void> {
  for (let sent = 0; sent < count; sent++) {
    await stream.write(payload);
  }
  await stream.finish();
}

async function countBytes(stream: ByteStream): Promise<number> {
  let total = 0;
  for (let bytes = await stream.read(); bytes !== undefined; bytes = await stream.read()) {
    total += bytes.length;
  }
  return total;
}
