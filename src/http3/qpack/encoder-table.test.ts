import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeHex } from "../../base/hex.ts";
import { type EncoderEntry, type EncoderProgress, EncoderTable } from "./encoder-table.ts";

/** All is acknowledged, and the section refers to nothing yet. */
function sectionAt(section: number, progress: Partial<EncoderProgress> = {}): EncoderProgress {
  return {
    section,
    oldestReferred: Number.POSITIVE_INFINITY,
    knownReceivedCount: Number.POSITIVE_INFINITY,
    ...progress,
  };
}

/** Sections that were sent so long ago that what they used is no longer in use. */
const longAgo = 100;

/** A table full of three entries `a`, `b` and `c`, of 34 bytes each, that was announced; inserted by section 1. */
function fullTable(): { table: EncoderTable; a: EncoderEntry; b: EncoderEntry; c: EncoderEntry } {
  const table = new EncoderTable();
  table.capacity = 3 * 34;
  const [a, b, c] = ["a", "b", "c"].map((name) => table.insert([name, "1"], sectionAt(1)));
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  table.takeInstructions();
  return { table, a, b, c };
}

function instructions(table: EncoderTable): string | undefined {
  const bytes = table.takeInstructions();
  return bytes && encodeHex(bytes);
}

test("EncoderTable announces its capacity with the first insertion", () => {
  const table = new EncoderTable();
  table.capacity = 220;
  assert.equal(instructions(table), undefined);
  table.insert([":path", "/a"], sectionAt(1));
  assert.equal(instructions(table), "3fbd01c1022f61");
  table.insert(["x", "y"], sectionAt(1));
  assert.equal(instructions(table), "41780179");
  table.insert(["x", "z"], sectionAt(1));
  assert.equal(instructions(table), "80017a");
});

test("EncoderTable finds entries by name and value, the newest first", () => {
  const { table, a } = fullTable();
  assert.equal(table.named("a")?.values.get("1"), a);
  assert.equal(table.named("d"), undefined);
  const newer = table.insert(["a", "2"], sectionAt(longAgo));
  assert.equal(table.named("a")?.newest, newer);
  assert.equal(table.named("a")?.values.get("1"), undefined, "it was evicted for the newer one");
  assert.equal(table.isReferable(a), false);
});

test("EncoderTable evicts the oldest entry for a new one", () => {
  const { table, a, b } = fullTable();
  const d = table.insert(["d", "1"], sectionAt(longAgo));
  assert.equal(d?.absoluteIndex, 3);
  assert.equal(table.isReferable(a), false);
  assert.equal(table.isReferable(b), true);
});

test("EncoderTable evicts no entry whose insertion is not acknowledged (RFC 9204 §2.1.1)", () => {
  const { table } = fullTable();
  assert.equal(table.insert(["d", "1"], sectionAt(longAgo, { knownReceivedCount: 0 })), undefined);
  assert.ok(table.insert(["d", "1"], sectionAt(longAgo, { knownReceivedCount: 1 })));
  assert.equal(table.insert(["e", "1"], sectionAt(longAgo, { knownReceivedCount: 1 })), undefined);
});

test("EncoderTable evicts no entry that a section needs, and lets it drain (RFC 9204 §2.1.1.1)", () => {
  const { table, a, b } = fullTable();
  a.pins = 1;
  assert.equal(table.insert(["d", "1"], sectionAt(longAgo)), undefined);
  assert.equal(instructions(table), undefined);
  assert.equal(table.isReferable(a), false);
  assert.equal(table.isReferable(b), true);
  a.pins = 0;
  assert.ok(table.insert(["d", "1"], sectionAt(longAgo)));
});

test("EncoderTable evicts no entry that the section in progress refers to", () => {
  const { table } = fullTable();
  assert.equal(table.insert(["d", "1"], sectionAt(longAgo, { oldestReferred: 0 })), undefined);
  assert.ok(table.insert(["d", "1"], sectionAt(longAgo, { oldestReferred: 1 })));
});

test("EncoderTable gives up no entry in use, but moves it to get at the others", () => {
  const { table, a } = fullTable();
  a.lastUse = longAgo;
  const d = table.insert(["d", "1"], sectionAt(longAgo));
  assert.equal(instructions(table), "0241640131", "Duplicate of a, then the insertion");
  assert.equal(d?.absoluteIndex, 4);
  assert.equal(table.named("a")?.newest.absoluteIndex, 3);
  assert.equal(table.named("b"), undefined);
  assert.ok(table.named("c"));
});

test("EncoderTable inserts nothing where all is in use", () => {
  const { table, a } = fullTable();
  assert.equal(table.insert(["d", "1"], sectionAt(2)), undefined);
  assert.equal(instructions(table), undefined);
  assert.equal(table.isReferable(a), true, "it need not drain");
});

test("EncoderTable.refresh moves a draining entry to the other end", () => {
  const { table, b } = fullTable();
  const moved = table.refresh(b, sectionAt(longAgo));
  assert.equal(instructions(table), "01");
  assert.equal(moved?.absoluteIndex, 3);
  assert.equal(table.named("b")?.newest, moved);
});

test("EncoderTable.refresh takes along what is in use and older", () => {
  const { table, a, b } = fullTable();
  a.lastUse = longAgo;
  const moved = table.refresh(b, sectionAt(longAgo));
  assert.equal(instructions(table), "0202");
  assert.equal(moved?.absoluteIndex, 4);
  assert.equal(table.named("a")?.newest.absoluteIndex, 3);
});

test("EncoderTable.refresh evicts nothing that is needed", () => {
  const refused: readonly [string, Partial<EncoderProgress>, number][] = [
    ["an unacknowledged entry", { knownReceivedCount: 1 }, 0],
    ["an entry that the section in progress refers to", { oldestReferred: 1 }, 0],
    ["an entry that an earlier section refers to", {}, 1],
  ];
  for (const [what, progress, pins] of refused) {
    const { table, a, b } = fullTable();
    a.pins = pins;
    assert.equal(table.refresh(b, sectionAt(longAgo, progress)), undefined, what);
    assert.equal(instructions(table), undefined, what);
  }
});
