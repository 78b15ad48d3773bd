import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeHex, encodeHex } from "../../base/hex.ts";
import type { FieldSection } from "./field.ts";
import { PrimitiveWriter } from "./primitive-writer.ts";
import { type DecodeOutcome, QpackDecoder } from "./qpack-decoder.ts";
import { Qpack, QpackError, type QpackErrorCode } from "./qpack-error.ts";

function taken(decoder: QpackDecoder): string | undefined {
  const bytes = decoder.takeDecoderStream();
  return bytes && encodeHex(bytes);
}

function fields(...section: FieldSection): DecodeOutcome {
  return { type: "fields", fields: section };
}

function isError(code: QpackErrorCode): (error: unknown) => boolean {
  return (error) => error instanceof QpackError && error.code === code;
}

/** A decoder whose table holds custom-key: custom-value and as many after it as asked for, all acknowledged. */
function decoderWithEntries(count: number): QpackDecoder {
  const decoder = new QpackDecoder();
  decoder.handleEncoderStream(decodeHex("3fe11f"));
  for (let i = 0; i < count; i++) {
    decoder.handleEncoderStream(decodeHex("4a637573746f6d2d6b65790c637573746f6d2d76616c7565"));
  }
  decoder.takeDecoderStream();
  return decoder;
}

test("QpackDecoder does what the examples of the RFC show (RFC 9204 Appendix B)", () => {
  const decoder = new QpackDecoder({ maxTableCapacity: 220, blockedStreams: 100 });

  // B.1: a literal with a name of the static table.
  assert.deepEqual(
    decoder.decode(0, decodeHex("0000510b2f696e6465782e68746d6c")),
    fields([":path", "/index.html"]),
  );
  assert.equal(taken(decoder), undefined);

  // B.2: two inserts; the section that needs them comes first.
  assert.deepEqual(decoder.decode(4, decodeHex("03811011")), { type: "blocked" });
  assert.deepEqual(
    decoder.handleEncoderStream(
      decodeHex("3fbd01c00f7777772e6578616d706c652e636f6dc10c2f73616d706c652f70617468"),
    ),
    [
      {
        streamId: 4,
        outcome: fields([":authority", "www.example.com"], [":path", "/sample/path"]),
      },
    ],
  );
  assert.equal(taken(decoder), "84");

  // B.3: a speculative insert.
  assert.deepEqual(
    decoder.handleEncoderStream(decodeHex("4a637573746f6d2d6b65790c637573746f6d2d76616c7565")),
    [],
  );
  assert.equal(taken(decoder), "01");

  // B.4: a duplicate; the section that uses it is cancelled.
  assert.deepEqual(decoder.decode(8, decodeHex("050080c181")), { type: "blocked" });
  decoder.cancelStream(8);
  assert.equal(taken(decoder), "48");
  assert.deepEqual(decoder.handleEncoderStream(decodeHex("02")), []);
  assert.equal(taken(decoder), "01");
  assert.deepEqual(
    decoder.decode(12, decodeHex("050080c181")),
    fields([":authority", "www.example.com"], [":path", "/"], ["custom-key", "custom-value"]),
  );
  assert.equal(taken(decoder), "8c");

  // B.5: an insert that evicts the first entry.
  assert.deepEqual(decoder.handleEncoderStream(decodeHex("810d637573746f6d2d76616c756532")), []);
  assert.equal(taken(decoder), "01");
  assert.throws(() => decoder.decode(16, decodeHex("020080")), isError(Qpack.DECOMPRESSION_FAILED));
});

const malformedSections: readonly [string, string][] = [
  ["no prefix", ""],
  ["half a prefix", "00"],
  ["a required insert count that breaks off", "ff"],
  ["a Delta Base that breaks off", "00ff"],
  ["a negative Base", "0081"],
  ["a literal without its value", "000041"],
  ["a name that breaks off", "000027"],
  ["an index that breaks off", "0000bf"],
  ["a value that breaks off", "0000510b2f69"],
  ["a Huffman string that is none", "00005181ff"],
  ["a static index above 98", "0000ff24"],
  ["a static name above 98", "00005f5400"],
  ["a static index above 62 bits", "0000ffffffffffffffffffff"],
  ["a dynamic index without required inserts", "000080"],
  ["a post-base index without required inserts", "000010"],
  ["a dynamic name without required inserts", "00004000"],
  ["a post-base name without required inserts", "00000000"],
  ["a dynamic index beyond the oldest entry", "020081"],
  ["a dynamic name beyond the oldest entry", "02004100"],
  ["a post-base index at the required insert count", "020010"],
  ["a post-base name at the required insert count", "02000000"],
  ["an entry that is there, above what the section said it requires", "020210"],
];

for (const [what, hex] of malformedSections) {
  test(`QpackDecoder.decode refuses ${what} (RFC 9204 §2.2.3)`, () => {
    assert.throws(
      () => decoderWithEntries(2).decode(0, decodeHex(hex)),
      isError(Qpack.DECOMPRESSION_FAILED),
    );
  });
}

const malformedInstructions: readonly [string, string][] = [
  ["a capacity above our limit (RFC 9204 §3.2.3)", "3fe21f"],
  ["a capacity above 62 bits", "3fffffffffffffffffffff"],
  ["a static name above 98", "ff24"],
  ["a static name that is far too large, before the value is there", "ff80ffffffff01"],
  ["a name from an entry that is not there", "82"],
  ["a duplicate of an entry that is not there (RFC 9204 §4.3.4)", "02"],
  ["a name longer than the capacity, before it is there", "5fe21f"],
  ["a Huffman name longer than the capacity, before it is there", "7fe17f"],
  ["a value longer than the capacity, before it is there", "c07fe11f"],
  ["an entry larger than the capacity (RFC 9204 §3.2.2)", "204161016241610161"],
  ["a Huffman string that is none", "61ff00"],
];

for (const [what, hex] of malformedInstructions) {
  test(`QpackDecoder.handleEncoderStream refuses ${what}`, () => {
    assert.throws(
      () => decoderWithEntries(2).handleEncoderStream(decodeHex(hex)),
      isError(Qpack.ENCODER_STREAM_ERROR),
    );
  });
}

test("QpackDecoder takes no insert without a capacity that was set (RFC 9204 §3.2.3)", () => {
  const insert = decodeHex("41610162");
  assert.throws(
    () => new QpackDecoder().handleEncoderStream(insert),
    isError(Qpack.ENCODER_STREAM_ERROR),
  );
  assert.throws(
    () => new QpackDecoder({ maxTableCapacity: 0 }).handleEncoderStream(decodeHex("21")),
    isError(Qpack.ENCODER_STREAM_ERROR),
  );
});

test("QpackDecoder holds no more of an instruction than the capacity allows", () => {
  const decoder = decoderWithEntries(0);
  // A Huffman string of 17_000 bytes could be a value that fits, if all its codes had 30 bits: not one more.
  const longest = Math.ceil(((4096 - 32 - ":authority".length + 1) * 30) / 8) - 1;
  const announce = (length: number) =>
    new PrimitiveWriter().prefixedInteger(0xc0, 6, 0).prefixedInteger(0x80, 7, length).take();
  assert.throws(
    () => decoderWithEntries(0).handleEncoderStream(announce(longest + 1)),
    isError(Qpack.ENCODER_STREAM_ERROR),
  );
  decoder.handleEncoderStream(announce(longest));
  const piece = new Uint8Array(1_000).fill(0x55);
  assert.throws(() => {
    for (let sent = 0; sent <= longest; sent += piece.length) {
      decoder.handleEncoderStream(piece);
    }
  }, isError(Qpack.ENCODER_STREAM_ERROR));
});

test("QpackDecoder refuses one blocked stream more than it promised to hold (RFC 9204 §2.1.2)", () => {
  const decoder = new QpackDecoder({ blockedStreams: 2 });
  assert.deepEqual(decoder.decode(0, decodeHex("020080")), { type: "blocked" });
  assert.deepEqual(decoder.decode(4, decodeHex("020080")), { type: "blocked" });
  assert.throws(() => decoder.decode(8, decodeHex("020080")), isError(Qpack.DECOMPRESSION_FAILED));
  assert.equal(decoder.isBlocked(0), true);
  decoder.cancelStream(0);
  assert.equal(decoder.isBlocked(0), false);
  assert.deepEqual(decoder.decode(8, decodeHex("020080")), { type: "blocked" });
});

test("QpackDecoder wants no other section of a stream that is blocked", () => {
  const decoder = new QpackDecoder();
  decoder.decode(0, decodeHex("020080"));
  assert.throws(() => decoder.decode(0, decodeHex("0000d1")), RangeError);
});

test("QpackDecoder releases blocked sections in the order of their arrival, each when it has what it needs", () => {
  const decoder = decoderWithEntries(0);
  decoder.decode(8, decodeHex("030080"));
  decoder.decode(0, decodeHex("020080"));
  decoder.decode(4, decodeHex("020080"));
  const insert = decodeHex("41610162");
  const unblocked = () => decoder.handleEncoderStream(insert).map(({ streamId }) => streamId);
  assert.deepEqual(unblocked(), [0, 4]);
  assert.equal(taken(decoder), "8084");
  assert.deepEqual(unblocked(), [8]);
  assert.equal(taken(decoder), "88");
});

test("QpackDecoder reports a blocked section that turns out malformed", () => {
  const decoder = decoderWithEntries(0);
  assert.deepEqual(decoder.decode(0, decodeHex("0200")), { type: "blocked" });
  assert.deepEqual(decoder.decode(4, decodeHex("0200ff24")), { type: "blocked" });
  assert.throws(
    () => decoder.handleEncoderStream(decodeHex("41610162")),
    isError(Qpack.DECOMPRESSION_FAILED),
  );
});

test("F28: QpackDecoder keeps no view of a blocked section, a Buffer included", () => {
  const decoder = decoderWithEntries(0);
  const bytes = Buffer.from("020080", "hex");
  decoder.decode(0, bytes);
  bytes.fill(0xff);
  assert.deepEqual(decoder.handleEncoderStream(decodeHex("41610162")), [
    { streamId: 0, outcome: fields(["a", "b"]) },
  ]);
  const section = Buffer.from("020080d1", "hex");
  const expected = fields(["a", "b"], [":method", "GET"]);
  assert.deepEqual(decoder.decode(4, section), expected);
  section.fill(0xff);
  assert.deepEqual(decoder.decode(4, decodeHex("020080d1")), expected);
});

test("QpackDecoder acknowledges inserts once, whether by a section or by an increment (RFC 9204 §4.4)", () => {
  const decoder = decoderWithEntries(0);
  const insert = decodeHex("41610162");
  decoder.handleEncoderStream(insert);
  decoder.handleEncoderStream(insert);
  assert.equal(taken(decoder), "02");
  assert.equal(taken(decoder), undefined);
  decoder.handleEncoderStream(insert);
  decoder.decode(4, decodeHex("040080"));
  assert.equal(taken(decoder), "84", "the section's acknowledgment covers the insert");
  decoder.handleEncoderStream(insert);
  decoder.decode(4, decodeHex("020080"));
  assert.equal(taken(decoder), "8401", "the section required less");
});

test("QpackDecoder without a table says nothing of cancelled streams (RFC 9204 §2.2.2.2)", () => {
  const decoder = new QpackDecoder({ maxTableCapacity: 0 });
  decoder.cancelStream(4);
  assert.equal(taken(decoder), undefined);
});

test("QpackDecoder counts a section as RFC 9114 does and gives up above its limit (RFC 9114 §4.2.2)", () => {
  // Two times custom-key: custom-value, each 54.
  const section = decodeHex("02008080");
  const limited = (maxFieldSectionSize: number) => {
    const decoder = new QpackDecoder({ maxFieldSectionSize });
    decoder.handleEncoderStream(
      decodeHex("3fe11f4a637573746f6d2d6b65790c637573746f6d2d76616c7565"),
    );
    return decoder;
  };
  const field = ["custom-key", "custom-value"] as const;
  assert.deepEqual(limited(108).decode(4, section), fields(field, field));
  const decoder = limited(107);
  assert.deepEqual(decoder.decode(4, section), { type: "too-large" });
  assert.equal(taken(decoder), "84", "the table's entries are released");
  assert.deepEqual(decoder.decode(8, decodeHex("020080")), fields(field));
});

test("QpackDecoder does not unfold a small section of large fields", () => {
  const decoder = new QpackDecoder();
  decoder.handleEncoderStream(
    new PrimitiveWriter()
      .prefixedInteger(0x20, 5, 4096)
      .prefixedInteger(0xc0, 6, 0)
      .stringLiteral(0, 7, "x".repeat(4_000))
      .take(),
  );
  const bomb = new Uint8Array(60_000).fill(0x80);
  bomb.set([2, 0]);
  assert.deepEqual(decoder.decode(0, bomb), { type: "too-large" });
});

test("QpackDecoder does not look into a section longer than its limit, nor hold it", () => {
  const decoder = new QpackDecoder({ maxFieldSectionSize: 100 });
  const long = new Uint8Array(101).fill(0xff);
  long.set([0, 0]);
  assert.deepEqual(decoder.decode(0, long), { type: "too-large" });
  assert.equal(taken(decoder), undefined);
  long.set([2, 0]);
  assert.deepEqual(decoder.decode(4, long), { type: "too-large" }, "one that would be blocked");
  assert.equal(decoder.isBlocked(4), false);
  assert.equal(taken(decoder), "44", "a cancellation: it will never be acknowledged");
});

test("QpackDecoder knows a section again that it decoded lately, until the table changes", () => {
  const decoder = decoderWithEntries(1);
  const section = decodeHex("020080");
  const first = decoder.decode(0, section);
  const second = decoder.decode(4, section);
  assert.equal(taken(decoder), "8084", "both are acknowledged");
  assert.ok(first.type === "fields" && second.type === "fields");
  assert.equal(first.fields, second.fields);
  decoder.handleEncoderStream(decodeHex("20"));
  assert.throws(() => decoder.decode(8, section), isError(Qpack.DECOMPRESSION_FAILED));

  const small = new QpackDecoder({ maxTableCapacity: 100 });
  small.handleEncoderStream(decodeHex("3f4541610162"));
  assert.deepEqual(small.decode(0, section), fields(["a", "b"]));
  small.handleEncoderStream(decodeHex("4163016441650166"));
  assert.throws(() => small.decode(4, section), isError(Qpack.DECOMPRESSION_FAILED));
});

test("QpackDecoder gives all bytes of a value as chars of one byte", () => {
  const value = String.fromCharCode(...Array.from({ length: 256 }, (_, byte) => byte));
  const section = new PrimitiveWriter()
    .prefixedInteger(0, 8, 0)
    .prefixedInteger(0, 7, 0)
    .stringLiteral(0x20, 3, "bytes")
    .stringLiteral(0, 7, value)
    .take();
  assert.deepEqual(new QpackDecoder().decode(0, section), fields(["bytes", value]));
});
