import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeHex, encodeHex } from "../../base/hex.ts";
import type { FieldSection } from "./field.ts";
import { PrimitiveWriter } from "./primitive-writer.ts";
import { QpackDecoder } from "./qpack-decoder.ts";
import { QpackEncoder, type QpackEncoderOptions } from "./qpack-encoder.ts";
import { Qpack, QpackError } from "./qpack-error.ts";

const peer = { maxTableCapacity: 4096, blockedStreams: 16 };
const custom: FieldSection = [["custom-key", "custom-value"]];

function encoderFor(limits = peer, options: Partial<QpackEncoderOptions> = {}): QpackEncoder {
  const encoder = new QpackEncoder(options);
  encoder.setPeerLimits(limits);
  return encoder;
}

function encoded(encoder: QpackEncoder, streamId: number, fields: FieldSection): string {
  return encodeHex(encoder.encode(streamId, fields));
}

function instructions(encoder: QpackEncoder): string | undefined {
  const bytes = encoder.takeEncoderStream();
  return bytes && encodeHex(bytes);
}

/** Hands all that an encoder says to a decoder, and what that says back. */
class Exchange {
  readonly encoder: QpackEncoder;
  readonly decoder: QpackDecoder;
  #streamId = 0;

  constructor(encoder: QpackEncoder, limits = peer) {
    this.encoder = encoder;
    this.decoder = new QpackDecoder(limits);
  }

  /** Sends a section on a stream of its own; returns what went over the encoder stream, and the section's length. */
  send(fields: FieldSection): { instructions: Uint8Array | undefined; section: number } {
    const streamId = this.#streamId;
    this.#streamId += 4;
    const section = this.encoder.encode(streamId, fields);
    const bytes = this.encoder.takeEncoderStream();
    if (bytes !== undefined) {
      this.decoder.handleEncoderStream(bytes);
    }
    assert.deepEqual(this.decoder.decode(streamId, section), { type: "fields", fields });
    const answer = this.decoder.takeDecoderStream();
    if (answer !== undefined) {
      this.encoder.handleDecoderStream(answer);
    }
    return { instructions: bytes, section: section.length };
  }
}

test("QpackEncoder has no use for the encoder stream before the peer's SETTINGS, nor without a table", () => {
  for (const encoder of [
    new QpackEncoder(),
    encoderFor({ maxTableCapacity: 0, blockedStreams: 9 }),
  ]) {
    for (let i = 0; i < 4; i++) {
      assert.equal(
        encoded(encoder, 4 * i, [[":method", "POST"], [":path", "/a"], ...custom]),
        "0000d451022f612f0125a849e95ba97d7f8925a849e95bb8e8b4bf",
      );
    }
    assert.equal(instructions(encoder), undefined);
  }
});

test("QpackEncoder inserts a field when it meets it for the second time, and refers to it from then on", () => {
  const encoder = encoderFor();
  assert.equal(encoded(encoder, 0, custom), "00002f0125a849e95ba97d7f8925a849e95bb8e8b4bf");
  assert.equal(instructions(encoder), undefined);
  assert.equal(encoded(encoder, 4, custom), "028010", "post-base");
  assert.equal(instructions(encoder), "3fe11f6825a849e95ba97d7f8925a849e95bb8e8b4bf");
  assert.equal(encoded(encoder, 8, custom), "020080", "relative");
  assert.equal(instructions(encoder), undefined);
});

test("QpackEncoder spells a name with ever new values once or twice", () => {
  const link = new Exchange(encoderFor());
  const lengths = ["101", "102", "103", "104"].map(
    (value) => link.send([["connect-timeout-ms", value]]).section,
  );
  assert.deepEqual(lengths, [20, 3, 6, 6]);
});

test("QpackEncoder never lets a secret into the table, nor an intermediary index it (RFC 9204 §7.1.3)", () => {
  const secrets: readonly [FieldSection[number], string][] = [
    [["authorization", "k"], "00007f45016b"],
    [["proxy-authorization", "k"], "00003f"],
    [["cookie", "id=12"], "000075"],
    [["set-cookie", "id=12"], "00007e"],
  ];
  for (const [field, beginning] of secrets) {
    const encoder = encoderFor();
    for (let i = 0; i < 4; i++) {
      assert.ok(encoded(encoder, 4 * i, [field]).startsWith(beginning), field[0]);
    }
    assert.equal(instructions(encoder), undefined);
  }
});

test("QpackEncoder lets its user say what is secret", () => {
  const encoder = encoderFor(peer, { isSensitive: (name) => name === "custom-key" });
  for (let i = 0; i < 4; i++) {
    assert.ok(encoded(encoder, 4 * i, custom).startsWith("00003f"));
  }
  assert.equal(instructions(encoder), undefined);
});

test("QpackEncoder refers to no entry that the peer may not have, beyond its blocked streams (RFC 9204 §2.1.2)", () => {
  const encoder = encoderFor({ maxTableCapacity: 4096, blockedStreams: 1 });
  const literal = encoded(encoder, 0, custom);
  assert.equal(encoded(encoder, 4, custom), "028010", "the one that may be blocked");
  assert.equal(encoded(encoder, 8, custom), literal);
  assert.equal(encoded(encoder, 4, custom), "020080", "another section of it");
  encoder.handleDecoderStream(Uint8Array.of(0x84));
  assert.equal(encoded(encoder, 8, custom), "020080", "the peer has shown that it has the entry");
});

test("QpackEncoder risks no more blocked streams than it was told to", () => {
  const encoder = encoderFor(peer, { maxBlockedStreams: 0 });
  const literal = encoded(encoder, 0, custom);
  assert.equal(encoded(encoder, 4, custom), literal);
  assert.ok(instructions(encoder) !== undefined);
  assert.equal(encoded(encoder, 8, custom), literal);
  encoder.handleDecoderStream(Uint8Array.of(0x01));
  assert.equal(encoded(encoder, 12, custom), "020080");
});

test("QpackEncoder gets by without an encoder stream that has no credit (RFC 9204 §2.1.3)", () => {
  const encoder = encoderFor();
  encoder.setEncoderStreamWritable(false);
  const literal = encoded(encoder, 0, custom);
  assert.equal(encoded(encoder, 4, custom), literal);
  assert.equal(instructions(encoder), undefined);
  encoder.setEncoderStreamWritable(true);
  assert.equal(encoded(encoder, 8, custom), "028010");
  encoder.setEncoderStreamWritable(false);
  assert.equal(encoded(encoder, 12, custom), literal, "the insert may be stuck");
  encoder.handleDecoderStream(Uint8Array.of(0x88));
  assert.equal(encoded(encoder, 16, custom), "020080");
});

test("QpackEncoder remembers the encoding of a frozen section", () => {
  const encoder = encoderFor();
  const frozen: FieldSection = Object.freeze([...custom]);
  for (let i = 0; i < 3; i++) {
    encoder.encode(4 * i, frozen);
  }
  assert.equal(encoder.encode(12, frozen), encoder.encode(16, frozen));
  assert.notEqual(encoder.encode(20, custom), encoder.encode(24, custom));
});

test("QpackEncoder remembers no encoding that it may not send again", () => {
  const frozen: FieldSection = Object.freeze([...custom]);
  const encoder = encoderFor({ maxTableCapacity: 4096, blockedStreams: 1 });
  const literal = encoded(encoder, 0, frozen);
  for (let i = 0; i < 3; i++) {
    encoder.encode(4, frozen);
  }
  assert.equal(encoded(encoder, 8, frozen), literal, "above the peer's blocked streams");

  const later = new QpackEncoder();
  later.encode(0, frozen);
  later.setPeerLimits(peer);
  later.encode(4, frozen);
  assert.equal(encoded(later, 8, frozen), "028010", "the peer has a table by now");
});

test("QpackEncoder does without the table while too many sections are not acknowledged", () => {
  const encoder = encoderFor(peer, { maxUnacknowledgedSections: 2 });
  const literal = encoded(encoder, 0, custom);
  const frozen: FieldSection = Object.freeze([...custom]);
  encoder.encode(4, frozen);
  assert.equal(encoded(encoder, 8, frozen), "020080");
  assert.equal(encoded(encoder, 12, frozen), literal);
  encoder.handleDecoderStream(Uint8Array.of(0x84));
  assert.equal(encoded(encoder, 16, frozen), "020080");
});

test("QpackEncoder forgets the sections of a cancelled stream", () => {
  for (const cancel of [
    (encoder: QpackEncoder) => encoder.cancelStream(4),
    (encoder: QpackEncoder) => encoder.handleDecoderStream(Uint8Array.of(0x44)),
  ]) {
    const encoder = encoderFor(peer, { maxUnacknowledgedSections: 2 });
    const literal = encoded(encoder, 0, custom);
    encoder.encode(4, custom);
    encoder.encode(4, custom);
    assert.equal(encoded(encoder, 8, custom), literal);
    cancel(encoder);
    assert.equal(encoded(encoder, 8, custom), "020080");
  }
});

test("QpackEncoder refers to nothing on a stream that was cancelled before (RFC 9204 §2.2.2.2)", () => {
  const encoder = encoderFor();
  const frozen = Object.freeze([...custom]);
  const literal = encoded(encoder, 0, frozen);
  for (const streamId of [4, 8]) {
    encoder.encode(streamId, frozen);
  }
  encoder.handleDecoderStream(Uint8Array.of(0x4c));
  assert.equal(encoded(encoder, 12, custom), literal);
  assert.equal(encoded(encoder, 12, frozen), literal);
  assert.equal(encoded(encoder, 16, frozen), "020080");
});

test("QpackEncoder remembers the streams that were cancelled last, and no more", () => {
  const encoder = encoderFor();
  const literal = encoded(encoder, 0, custom);
  const cancel = (streamId: number) =>
    encoder.handleDecoderStream(new PrimitiveWriter().prefixedInteger(0x40, 6, streamId).take());
  cancel(4);
  for (let count = 1; count < 256; count += 1) {
    cancel(4 * count + 4);
  }
  assert.equal(encoded(encoder, 4, custom), literal);
  cancel(4_000);
  assert.notEqual(encoded(encoder, 4, custom), literal);
});

const malformedInstructions: readonly [string, string][] = [
  ["acknowledges a section that was not sent", "88"],
  ["acknowledges a section twice", "8484"],
  ["acknowledges on a stream that cannot be", "ffffffffffffffffff7f"],
  ["acknowledges a cancelled section", "4484"],
  ["increments by nothing", "00"],
  ["increments beyond what was inserted", "02"],
  ["increments beyond what was inserted, bit by bit", "0101"],
  ["increments beyond what a section acknowledged", "8401"],
  ["increments by more than 62 bits", "3fffffffffffffffffffff"],
  ["has an integer that does not end", "ffffffffffffffffffffffffff"],
];

for (const [what, hex] of malformedInstructions) {
  test(`QpackEncoder refuses a decoder stream that ${what} (RFC 9204 §4.4)`, () => {
    const encoder = encoderFor();
    encoder.encode(0, custom);
    encoder.encode(4, custom);
    assert.throws(
      () => encoder.handleDecoderStream(decodeHex(hex)),
      (error) => error instanceof QpackError && error.code === Qpack.DECODER_STREAM_ERROR,
    );
  });
}

test("QpackEncoder lets a peer cancel streams that it has nothing to do with", () => {
  encoderFor().handleDecoderStream(decodeHex("447fbd01"));
});

test("QpackEncoder takes the decoder stream cut at every byte", () => {
  const encoder = encoderFor();
  const streamId = 4_000_000;
  encoder.encode(0, custom);
  encoder.encode(streamId, custom);
  for (const byte of new PrimitiveWriter().prefixedInteger(0x80, 7, streamId).take()) {
    encoder.handleDecoderStream(Uint8Array.of(byte));
  }
  assert.throws(() => encoder.handleDecoderStream(Uint8Array.of(0x01)), QpackError);
});

test("QpackEncoder refuses a char that is no byte, and goes on in good order", () => {
  const link = new Exchange(encoderFor());
  for (let i = 0; i < 3; i++) {
    assert.throws(
      () => link.encoder.encode(1_000, [...custom, ["euro", "€"], ["€", "euro"]]),
      RangeError,
    );
    link.send(custom);
  }
});

test("QpackEncoder refuses SETTINGS that change a table in use (RFC 9204 §3.2.3)", () => {
  const encoder = encoderFor();
  encoder.setPeerLimits({ maxTableCapacity: 2048, blockedStreams: 16 });
  encoder.encode(0, custom);
  encoder.encode(4, custom);
  encoder.setPeerLimits({ maxTableCapacity: 2048, blockedStreams: 0 });
  assert.throws(
    () => encoder.setPeerLimits({ maxTableCapacity: 4096, blockedStreams: 16 }),
    RangeError,
  );
});

test("QpackEncoder uses no more of the table than it was told to, and says so", () => {
  const encoder = encoderFor(peer, { maxTableCapacity: 100 });
  encoder.encode(0, custom);
  encoder.encode(4, custom);
  assert.ok(instructions(encoder)?.startsWith("3f45"));
});

test("QpackEncoder keeps what is in use while other fields come and go", () => {
  // Room for about four entries, of which two are in every section.
  const limits = { maxTableCapacity: 220, blockedStreams: 16 };
  const link = new Exchange(encoderFor(limits), limits);
  const always: FieldSection = [
    ["x-first", "always the same"],
    ["x-second", "this one too"],
  ];
  link.send(always);
  link.send(always);
  for (let i = 0; i < 200; i++) {
    // Each comes three times in a row: often enough to be inserted.
    const passing: FieldSection[number] = ["x-passing", `value ${Math.floor(i / 3)}`];
    const { section } = link.send([...always, passing]);
    assert.ok(i < 2 || section <= 14, `${section} bytes in section ${i}`);
  }
  assert.equal(link.send(always).section, 4);
});

test("QpackEncoder moves an entry in use out of the way of eviction (RFC 9204 §2.1.1.1)", () => {
  const limits = { maxTableCapacity: 140, blockedStreams: 16 };
  const link = new Exchange(encoderFor(limits), limits);
  const kept: FieldSection = [["x-kept", "kept"]];
  link.send(kept);
  link.send(kept);
  let duplicates = 0;
  for (let i = 0; i < 40; i++) {
    const sent = [link.send([...kept, [`x-${i >> 2}`, "passing"]]), link.send(kept)];
    // Duplicate begins with three zero bits (RFC 9204 §4.3.4).
    duplicates += sent.filter(({ instructions }) => (instructions?.[0] ?? 0xff) < 0x20).length;
    assert.equal(sent[1]?.section, 3);
  }
  assert.ok(duplicates >= 2, `${duplicates} duplicates`);
  for (let i = 0; i < 40; i++) {
    link.send([[`y-${i >> 2}`, "passing"]]);
  }
  assert.ok(link.send(kept).section > 3, "it is gone when it is no longer in use");
});

test("QpackEncoder remembers no encoding whose entries are gone", () => {
  const limits = { maxTableCapacity: 100, blockedStreams: 16 };
  const link = new Exchange(encoderFor(limits), limits);
  const frozen: FieldSection = Object.freeze([...custom]);
  for (let i = 0; i < 4; i++) {
    link.send(frozen);
  }
  for (let i = 0; i < 40; i++) {
    link.send([["x-other", `value ${i >> 2}`]]);
  }
  assert.ok(link.send(frozen).section > 3);
});
