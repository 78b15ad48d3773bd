import assert from "node:assert/strict";
import { test } from "node:test";
import { SecretKey } from "../identity/secret-key.ts";
import { SenderIds } from "./sender-ids.ts";

test("SenderIds gives the same id for the same bytes", () => {
  const ids = new SenderIds(0);
  const { publicKey } = SecretKey.generate();
  assert.ok(ids.get(publicKey.bytes, 0)?.equals(publicKey));
  assert.equal(ids.get(publicKey.bytes, 0), ids.get(publicKey.bytes, 0));
});

test("SenderIds takes 1,000 new ids at once and 200 a second, and known ones at any time", () => {
  const ids = new SenderIds(0);
  const keys = Array.from({ length: 1_400 }, () => SecretKey.generate().publicKey.bytes);
  const taken = (now: number): number =>
    keys.filter((bytes) => ids.get(bytes, now) !== undefined).length;
  assert.equal(taken(0), 1_000);
  assert.equal(taken(1_000), 1_200);
  assert.equal(taken(2_000), 1_400);
});

test("SenderIds refuses what is no key", () => {
  const noPoint = new Uint8Array(32);
  noPoint[0] = 2;
  assert.throws(() => new SenderIds(0).get(noPoint, 0), { code: "invalid-frame" });
});
