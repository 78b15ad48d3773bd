import assert from "node:assert/strict";
import { test } from "node:test";
import { hashText, weightOf } from "./rendezvous-hash.ts";

const peers = Array.from({ length: 10 }, (_, index) => `peer ${index}`);

function firstOf(key: string, among: readonly string[]): string {
  const keyHash = hashText(key);
  const weigh = (peer: string): number => weightOf(keyHash, hashText(peer));
  return among.reduce((best, peer) => (weigh(peer) > weigh(best) ? peer : best));
}

const keys = Array.from({ length: 10_000 }, (_, index) => `user-${index}`);

test("keys spread evenly over peers", () => {
  const counts = new Map<string, number>();
  for (const key of keys) {
    const first = firstOf(key, peers);
    counts.set(first, (counts.get(first) ?? 0) + 1);
  }
  for (const peer of peers) {
    const count = counts.get(peer) ?? 0;
    assert.ok(count > 850 && count < 1_150, `${peer} has ${count} of 10000 keys`);
  }
});

test("when a peer goes, its keys alone move, and not all to one", () => {
  const [gone = "", ...others] = peers;
  const moved = keys.filter((key) => firstOf(key, peers) !== firstOf(key, others));
  assert.deepEqual(
    moved,
    keys.filter((key) => firstOf(key, peers) === gone),
  );
  assert.equal(new Set(moved.map((key) => firstOf(key, others))).size, 9);
});

test("weights stay what they are, so that programs of different versions agree", () => {
  assert.equal(hashText(""), 0x811c9dc5);
  assert.equal(hashText("a"), 0xe40c292c);
  assert.equal(hashText("foobar"), 0xbf9cf968);
  assert.deepEqual(
    ["a", "b", "foobar"].map((key) => weightOf(hashText(key), hashText("peer 0"))),
    [1_239_510_626, 3_344_252_737, 293_211_778],
  );
});
