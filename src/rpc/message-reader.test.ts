import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { concatBytes } from "../base/bytes.ts";
import { type MessageFormat, MessageReader } from "./message-reader.ts";

/** Content of these messages, the last one of which is an end of stream; says whether it was left. */
function contentOf(
  ...chunks: readonly Uint8Array[]
): AsyncIterable<Uint8Array> & { left: boolean } {
  const source = chunks[Symbol.iterator]();
  const content = {
    left: false,
    [Symbol.asyncIterator]: () => ({
      next: async () => source.next(),
      return: async () => {
        content.left = true;
        return { done: true, value: undefined } as const;
      },
    }),
  };
  return content;
}

const text = (message: string, flags = 0): Uint8Array =>
  encodeEnvelope(flags, Buffer.from(message));

function formatFor(changes: Partial<MessageFormat<string>> = {}): MessageFormat<string> {
  return {
    readMaxBytes: 100,
    compression: null,
    parse: (data) => Buffer.from(data).toString(),
    endOfStream: () => {},
    over: () => {},
    ...changes,
  };
}

describe("the messages of a stream", () => {
  it("come in order, also to who asks several times at once", async () => {
    const content = contentOf(concatBytes([text("a"), text("b")]), text("c"), text("end", 2));
    const reader = new MessageReader(content, formatFor());
    const results = await Promise.all([1, 2, 3, 4, 5].map(() => reader.next()));
    assert.deepEqual(
      results.map(({ done, value }) => [done, value]),
      [...["a", "b", "c"].map((each) => [false, each]), [true, undefined], [true, undefined]],
    );
  });

  it("before a bad one come first, and the content is left", async () => {
    const content = contentOf(concatBytes([text("a"), text("x".repeat(101))]));
    const reader = new MessageReader(content, formatFor());
    assert.equal((await reader.next()).value, "a");
    await assert.rejects(reader.next(), /larger than configured readMaxBytes 100/);
    assert.equal(content.left, true);
    assert.equal((await reader.next()).done, true);
  });

  it("end with what the end of the content says", async () => {
    const over = (): void => {
      throw new Error("too early");
    };
    const reader = new MessageReader(contentOf(text("a")), formatFor({ over }));
    assert.equal((await reader.next()).value, "a");
    await assert.rejects(reader.next(), /too early/);
    const cut = new MessageReader(contentOf(text("a").subarray(0, 3)), formatFor());
    await assert.rejects(cut.next(), /incomplete envelope/);
  });

  it("are left unread by return and throw", async () => {
    for (const leave of ["return", "throw"] as const) {
      const content = contentOf(text("a"), text("b"));
      const reader = new MessageReader(content, formatFor());
      await reader.next();
      await reader[leave](new Error("enough")).catch(() => {});
      assert.equal(content.left, true);
      assert.equal((await reader.next()).done, true);
    }
  });

  it("that are compressed without a compression are an error", async () => {
    const reader = new MessageReader(contentOf(text("a", 1)), formatFor());
    await assert.rejects(reader.next(), /do not know how to decompress/);
  });

  it("that are compressed, or end the stream, are known behind others of the same chunk", async () => {
    const ends: string[] = [];
    const endOfStream = (data: Uint8Array): void => {
      ends.push(Buffer.from(data).toString());
    };
    const content = contentOf(concatBytes([text("a"), text("end", 2), text("b"), text("c", 1)]));
    const reader = new MessageReader(content, formatFor({ endOfStream }));
    assert.equal((await reader.next()).value, "a");
    assert.equal((await reader.next()).value, "b");
    assert.deepEqual(ends, ["end"]);
    await assert.rejects(reader.next(), /do not know how to decompress/);
    assert.equal(content.left, true);
  });

  it("are not delivered when they are not wanted any more, though they have arrived", async () => {
    let wanted = true;
    const throwIfUnwanted = (): void => {
      if (!wanted) {
        throw new Error("enough");
      }
    };
    const content = contentOf(concatBytes([text("a"), text("b")]));
    const reader = new MessageReader(content, formatFor({ throwIfUnwanted }));
    assert.equal((await reader.next()).value, "a");
    wanted = false;
    await assert.rejects(reader.next(), /enough/);
    assert.equal(content.left, true);
  });

  it("that cannot be read are told of, and what comes of that is thrown", async () => {
    const failures: unknown[] = [];
    const failed = (error: unknown): unknown => {
      failures.push(error);
      return new Error("for the reader", { cause: error });
    };
    const parse = (): never => {
      throw new Error("no message");
    };
    const reader = new MessageReader(contentOf(text("a")), formatFor({ parse, failed }));
    await assert.rejects(reader.next(), /for the reader/);
    assert.match(String(failures), /^Error: no message$/);
  });
});
