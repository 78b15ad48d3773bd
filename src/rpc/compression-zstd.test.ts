import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { compressionZstd } from "./compression-zstd.ts";

const skip = compressionZstd === undefined && "this Node.js has no zstd";

const text = new TextEncoder().encode("to be or not to be, ".repeat(100));

test("is called zstd on the wire (RFC 8878 §7.2)", { skip }, () => {
  assert.equal(compressionZstd?.name, "zstd");
});

test("compresses, and decompresses to the same bytes", { skip }, async () => {
  const compressed = await compressionZstd?.compress(text);
  assert.ok(compressed !== undefined && compressed.length < text.length / 5);
  const back = await compressionZstd?.decompress(compressed, text.length);
  assert.deepEqual(new Uint8Array(back ?? []), text);
});

test("takes nothing for nothing, as Connect demands", { skip }, async () => {
  assert.deepEqual(await compressionZstd?.decompress(new Uint8Array(0), 10), new Uint8Array(0));
});

test("a bomb stops at the limit with ResourceExhausted", { skip }, async () => {
  const bomb = await compressionZstd?.compress(new Uint8Array(10_000_000));
  assert.ok(bomb !== undefined);
  await assert.rejects(compressionZstd?.decompress(bomb, 1_000_000) ?? assert.fail(), (error) => {
    assert.ok(error instanceof ConnectError);
    assert.equal(error.code, Code.ResourceExhausted);
    assert.match(error.message, /readMaxBytes 1000000/);
    return true;
  });
});

test("bytes that are no zstd are InvalidArgument, with the cause", { skip }, async () => {
  await assert.rejects(compressionZstd?.decompress(text, 1_000_000) ?? assert.fail(), (error) => {
    assert.ok(error instanceof ConnectError);
    assert.equal(error.code, Code.InvalidArgument);
    assert.ok(error.cause instanceof Error);
    return true;
  });
});
