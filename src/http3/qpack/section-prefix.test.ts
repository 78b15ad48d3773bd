import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeHex, encodeHex } from "../../base/hex.ts";
import { PrimitiveReader } from "./primitive-reader.ts";
import { PrimitiveWriter } from "./primitive-writer.ts";
import { Qpack, QpackError } from "./qpack-error.ts";
import {
  maxEntriesOf,
  readSectionPrefix,
  type SectionPrefix,
  writeSectionPrefix,
} from "./section-prefix.ts";

function write(prefix: SectionPrefix, maxEntries: number): string {
  const writer = new PrimitiveWriter();
  writeSectionPrefix(writer, prefix, maxEntries);
  return encodeHex(writer.take());
}

function read(hex: string, insertCount: number, maxEntries: number): SectionPrefix {
  const reader = new PrimitiveReader(decodeHex(hex), Qpack.DECOMPRESSION_FAILED);
  return readSectionPrefix(reader, insertCount, maxEntries);
}

test("section prefix wraps as in the example of the RFC (RFC 9204 §4.5.1.1)", () => {
  // A table of 100 bytes has three entries at most; ten were inserted; 4 then means a Required Insert Count of 9.
  assert.equal(maxEntriesOf(100), 3);
  assert.deepEqual(read("0400", 10, 3), { requiredInsertCount: 9, base: 9 });
});

test("section prefix gives Base as the difference to Required Insert Count (RFC 9204 §4.5.1.2)", () => {
  assert.equal(write({ requiredInsertCount: 9, base: 11 }, 100), "0a02");
  assert.deepEqual(read("0a02", 9, 100), { requiredInsertCount: 9, base: 11 });
  assert.equal(write({ requiredInsertCount: 9, base: 6 }, 100), "0a82");
  assert.deepEqual(read("0a82", 9, 100), { requiredInsertCount: 9, base: 6 });
});

test("section prefix of a section without references has any Base (RFC 9204 §4.5.1.2)", () => {
  assert.deepEqual(read("0000", 10, 3), { requiredInsertCount: 0, base: 0 });
  assert.deepEqual(read("0005", 10, 3), { requiredInsertCount: 0, base: 5 });
});

test("section prefix is read back by whatever decoder could have the entries", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000 }),
      fc.nat(1_000_000),
      fc.nat(100),
      fc.nat(),
      (maxEntries, insertCount, baseOffset, choice) => {
        // What an encoder may require: entries that are in the table, or that come next and fit beside them.
        const lowest = Math.max(1, insertCount - maxEntries + 1);
        const highest = insertCount + maxEntries;
        const requiredInsertCount = lowest + (choice % (highest - lowest + 1));
        const prefix = {
          requiredInsertCount,
          base: Math.max(0, requiredInsertCount + baseOffset - 50),
        };
        assert.deepEqual(read(write(prefix, maxEntries), insertCount, maxEntries), prefix);
      },
    ),
    { numRuns: 10_000 },
  );
});

const refused: readonly [string, string, number, number][] = [
  ["a required insert count above the range", "0700", 10, 3],
  ["one without a table", "0100", 0, 0],
  ["one that would be negative", "0600", 0, 3],
  ["one that comes out as zero", "0100", 2, 3],
  ["a negative Base", "0281", 1, 3],
  ["a negative Base without references", "0080", 0, 3],
];

for (const [what, hex, insertCount, maxEntries] of refused) {
  test(`readSectionPrefix refuses ${what}`, () => {
    assert.throws(
      () => read(hex, insertCount, maxEntries),
      (error) => error instanceof QpackError && error.code === Qpack.DECOMPRESSION_FAILED,
    );
  });
}
