import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { idVectors, type ParseVector } from "../../test/vectors/vectors.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { EndpointId } from "./endpoint-id.ts";
import { IdentityError } from "./identity-error.ts";

const hex = "b7196bb3a8f10e400e777014e935c7b9faf9e7f605f540307d8d6a8ff70aaf00";

function isInvalidId(error: unknown): error is IdentityError {
  return error instanceof IdentityError && error.code === "invalid-id";
}

function checkVectors(vectors: readonly ParseVector[], parse: (text: string) => EndpointId): void {
  for (const { name, input, public_hex, error } of vectors) {
    if (error === undefined) {
      assert.equal(parse(input).toString(), public_hex, name);
    } else {
      assert.throws(() => parse(input), isInvalidId, name);
    }
  }
}

test("ids have iroh's forms and read back from each", () => {
  assert.ok(idVectors.keys.length > 0);
  for (const { public_hex, public_base32, public_z32, short } of idVectors.keys) {
    const id = EndpointId.fromBytes(decodeHex(public_hex));
    assert.equal(id.toString(), public_hex);
    assert.equal(id.toBase32(), public_base32);
    assert.equal(id.toZ32(), public_z32);
    assert.equal(id.short, short);
    assert.equal(encodeHex(id.bytes), public_hex);
    assert.ok(EndpointId.parse(public_hex).equals(id));
    assert.ok(EndpointId.parse(public_base32).equals(id));
    assert.ok(EndpointId.fromZ32(public_z32).equals(id));
  }
});

test("EndpointId.parse takes and refuses what iroh does", () => {
  checkVectors(idVectors.parse_public, EndpointId.parse);
});

test("EndpointId.fromZ32 takes and refuses what iroh does", () => {
  checkVectors(idVectors.parse_z32, EndpointId.fromZ32);
});

test("EndpointId.parse says what is wrong and what may help", () => {
  const z32 = EndpointId.parse(hex).toZ32();
  const hints: readonly (readonly [text: string, message: RegExp])[] = [
    [hex.toUpperCase(), /"B" is not a digit .* \(character 1\); write .* lower case/],
    [` ${hex}`, /65 characters, expected 64 .* 52 .*; remove the white space/],
    [`${hex}\n`, /"[0-9a-f]{64}\\n": 65 characters, .*; remove the white space/],
    [`0x${hex}`, /66 characters, .*; remove the 0x/],
    [hex.slice(1), /63 characters, .*; it seems to be cut short/],
    [`${hex}0`, /65 characters, .*; it is too long/],
    [hex.slice(0, 10), /short form/],
    [`${hex.slice(0, 30)}g${hex.slice(31)}`, /"g" is not a digit .* \(character 31\)/],
    [z32, /looks like z-base-32/],
    ["02".padEnd(64, "0"), /no public key, .* not a point of the curve/],
    ["", /0 characters/],
    ["x".repeat(100_000), /"x{79}…": 100000 characters/],
  ];
  for (const [text, message] of hints) {
    assert.throws(
      () => EndpointId.parse(text),
      (error) => {
        assert.ok(isInvalidId(error));
        assert.match(error.message, /^invalid endpoint id /);
        assert.match(error.message, message);
        assert.ok(error.message.length < 400);
        return true;
      },
    );
  }
});

test("EndpointId.fromBytes refuses every other length than 32", () => {
  for (const length of [0, 31, 33, 64]) {
    assert.throws(() => EndpointId.fromBytes(new Uint8Array(length)), isInvalidId);
  }
});

test("F28: ids take Uint8Array and Buffer, copy, and give plain Uint8Arrays", () => {
  const buffer = Buffer.from(hex, "hex");
  const id = EndpointId.fromBytes(buffer);
  buffer.fill(0);
  assert.equal(id.toString(), hex);
  assert.equal(id.bytes.constructor, Uint8Array);
  id.bytes.fill(0);
  assert.equal(id.toString(), hex);
});

test("ids of one peer are equal and good keys of a Map as text", () => {
  const [one, other] = [EndpointId.parse(hex), EndpointId.parse(EndpointId.parse(hex).toBase32())];
  assert.ok(one.equals(other));
  assert.equal(new Map([[`${one}`, 1]]).get(other.toString()), 1);
  assert.ok(!one.equals(EndpointId.parse("00".repeat(32))));
});

test("ids show themselves whole in JSON, in text and to people who debug", () => {
  const id = EndpointId.parse(hex);
  assert.equal(JSON.stringify({ id }), `{"id":"${hex}"}`);
  assert.equal(inspect({ id }, { breakLength: 200 }), `{ id: EndpointId(${hex}) }`);
  assert.equal(`${id}`, hex);
});

test("an id is right also after it fell out of the remembered ones", () => {
  const id = EndpointId.parse(hex);
  // Small multiples: y coordinates of which about half are points.
  for (let count = 0, y = 0; count < 4_200; y++) {
    const bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setUint32(0, y, true);
    try {
      EndpointId.fromBytes(bytes);
      count += 1;
    } catch (error) {
      assert.ok(isInvalidId(error));
    }
  }
  assert.ok(EndpointId.parse(hex).equals(id));
});

test("any 32 bytes are an id that keeps every bit, or an IdentityError", () => {
  // Fewer than elsewhere: a point check takes 0.2 ms.
  fuzz(
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    (bytes) => {
      try {
        const id = EndpointId.fromBytes(bytes);
        assert.deepEqual(id.bytes, bytes);
        assert.ok(EndpointId.fromZ32(id.toZ32()).equals(id));
        assert.ok(EndpointId.parse(id.toBase32().toUpperCase()).equals(id));
      } catch (error) {
        assert.ok(isInvalidId(error));
      }
    },
    2_000,
  );
});

test("any text is an id or an IdentityError, and cut or altered ids are too", () => {
  const { public_base32 = "", public_z32 = "" } = idVectors.keys[0] ?? {};
  const altered = fc
    .tuple(
      fc.constantFrom(hex, public_base32, public_z32),
      fc.nat(64),
      fc.nat(3),
      fc.string({ maxLength: 3 }),
    )
    .map(([text, at, drop, put]) => text.slice(0, at) + put + text.slice(at + drop));
  // Few of those that get as far as the point check, which is slow.
  const anyText = fc.oneof(
    { weight: 20, arbitrary: fc.string({ maxLength: 70 }) },
    { weight: 1, arbitrary: altered },
  );
  fuzz(anyText, (text) => {
    for (const parse of [EndpointId.parse, EndpointId.fromZ32]) {
      try {
        parse(text);
      } catch (error) {
        assert.ok(isInvalidId(error));
      }
    }
  });
});
