import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { type Deferred, deferred } from "../base/deferred.ts";
import { MessageWriter } from "./message-writer.ts";

const serialize = (message: string): Uint8Array => new TextEncoder().encode(message);

/** Messages whose next one is there when it is settled; notes what else is asked of it. */
class Source implements AsyncIterableIterator<string> {
  readonly asked: string[] = [];
  readonly message: Deferred<IteratorResult<string>> = deferred();

  next(): Promise<IteratorResult<string>> {
    return this.message.promise;
  }

  async return(): Promise<IteratorResult<string>> {
    this.asked.push("return");
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<IteratorResult<string>> {
    this.asked.push(String(error));
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

describe("messages written as content", () => {
  it("are envelopes, and end with their source", async () => {
    async function* messages(): AsyncGenerator<string> {
      yield "a";
      yield "";
    }
    const written: Uint8Array[] = [];
    for await (const bytes of new MessageWriter(messages(), serialize)) {
      written.push(bytes);
    }
    assert.deepEqual(written, [
      encodeEnvelope(0, serialize("a")),
      encodeEnvelope(0, new Uint8Array()),
    ]);
  });

  it("end with the error of their source, and with one that cannot be serialized", async () => {
    const broken = new Source();
    broken.message.reject(new Error("broken"));
    await assert.rejects(new MessageWriter(broken, serialize).next(), /broken/);
    const source = new Source();
    source.message.resolve({ done: false, value: "a" });
    const refuse = (): never => {
      throw new Error("no message");
    };
    const writer = new MessageWriter(source, refuse);
    await assert.rejects(writer.next(), /no message/);
    assert.deepEqual(source.asked, ["return"]);
    assert.equal((await writer.next()).done, true);
  });

  it("leave their source when it has come to a message, as generators do", async () => {
    const source = new Source();
    const writer = new MessageWriter(source, serialize);
    const next = writer.next();
    await writer.return();
    assert.deepEqual(source.asked, []);
    source.message.resolve({ done: false, value: "unread" });
    assert.equal((await next).done, true);
    assert.deepEqual(source.asked, ["return"]);
  });

  it("leave a source that is not at work at once, which can see why", async () => {
    const source = new Source();
    const writer = new MessageWriter(source, serialize);
    await assert.rejects(writer.throw(new Error("gone")), /gone/);
    assert.deepEqual(source.asked, ["Error: gone", "return"]);
    writer.leave();
    assert.deepEqual(source.asked, ["Error: gone", "return"]);
  });
});
