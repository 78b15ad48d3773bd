import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../base/bytes.ts";
import { KeptFiles } from "./kept-files.ts";

function files(maxFileBytes = 100, maxBytes = 250) {
  const dropped: number[] = [];
  const kept = new KeptFiles({ maxFileBytes, maxBytes, dropped: (number) => dropped.push(number) });
  return { kept, dropped };
}

function put(kept: KeptFiles, number: number, bytes: number): boolean {
  const room = kept.reserve(number, bytes);
  room?.add(new Uint8Array(bytes).fill(number));
  room?.keep();
  return room !== undefined;
}

test("KeptFiles gives back a file as it came, in whatever parts", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 90_000 }), { maxLength: 6 }), (parts) => {
      const whole = concatBytes(parts);
      const { kept } = files(1_000_000, 1_000_000);
      const room = kept.reserve(1, whole.length);
      assert.ok(room !== undefined, "no room");
      for (const part of parts) {
        room.add(part);
        part.fill(0);
      }
      assert.equal(kept.get(1), undefined);
      room.keep();
      room.drop();
      const found = kept.get(1) ?? [];
      assert.deepEqual(concatBytes(found), whole);
      assert.ok(found.length <= Math.ceil(whole.length / 65_536), "a part for each message");
    }),
  );
});

test("KeptFiles keeps no file that is too large, and drops the oldest for a new one", () => {
  const { kept, dropped } = files();
  assert.equal(put(kept, 1, 101), false);
  for (const number of [2, 3, 4, 5]) {
    assert.equal(put(kept, number, 100), true);
  }
  assert.deepEqual(dropped, [2, 3]);
  assert.equal(kept.get(2), undefined);
  assert.ok(kept.get(5) !== undefined, "the latest is kept");
});

test("KeptFiles counts what is on its way, whose room is free again when it is dropped", () => {
  const { kept, dropped } = files();
  put(kept, 1, 50);
  const coming = [2, 3].map((number) => kept.reserve(number, 100));
  assert.deepEqual(dropped, []);
  assert.equal(kept.reserve(4, 100), undefined);
  assert.deepEqual(dropped, [], "nothing makes room in vain");
  coming[0]?.drop();
  coming[0]?.drop();
  assert.equal(put(kept, 5, 100), true);
  assert.equal(put(kept, 6, 51), true);
  assert.deepEqual(dropped, [1, 5]);
});

test("KeptFiles takes not more than was reserved", () => {
  const { kept } = files();
  const room = kept.reserve(1, 10);
  assert.throws(() => room?.add(new Uint8Array(11)), RangeError);
});
