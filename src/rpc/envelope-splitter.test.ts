import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { concatBytes } from "../base/bytes.ts";
import { type Envelope, EnvelopeSplitter } from "./envelope-splitter.ts";

function* taken(splitter: EnvelopeSplitter): Generator<Envelope> {
  for (let next = splitter.next(); next !== undefined; next = splitter.next()) {
    yield next;
  }
}

function split(content: Uint8Array, cuts: readonly number[], readMaxBytes: number): Envelope[] {
  const splitter = new EnvelopeSplitter(readMaxBytes);
  const envelopes: Envelope[] = [];
  let offset = 0;
  for (let turn = 0; offset < content.length; turn += 1) {
    const piece = content.slice(offset, offset + (cuts[turn % cuts.length] ?? 1));
    offset += piece.length;
    splitter.push(piece);
    envelopes.push(...taken(splitter));
  }
  splitter.end();
  return envelopes;
}

const anyEnvelopes = fc.array(
  fc.record(
    { flags: fc.integer({ min: 0, max: 255 }), data: fc.uint8Array({ maxLength: 300 }) },
    { noNullPrototype: true },
  ),
  { maxLength: 6 },
);
const anyCuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 });

describe("messages in envelopes", () => {
  it("are the same however the content is cut", () => {
    fuzz(
      fc.tuple(anyEnvelopes, anyCuts),
      ([envelopes, cuts]) => {
        const content = concatBytes(
          envelopes.map(({ flags, data }) => encodeEnvelope(flags, data)),
        );
        assert.deepEqual(split(content, cuts, 300), envelopes);
      },
      3_000,
    );
  });

  it("are messages or a ConnectError, whatever comes", () => {
    fuzz(fc.tuple(fc.uint8Array({ maxLength: 60 }), anyCuts), ([content, cuts]) => {
      try {
        for (const { data } of split(content, cuts, 40)) {
          assert(data.length <= 40, "longer than allowed");
        }
      } catch (error) {
        assert(error instanceof ConnectError, String(error));
      }
    });
  });

  it("that are too large end the content, after those before them", () => {
    const splitter = new EnvelopeSplitter(3);
    const small = encodeEnvelope(0, Uint8Array.of(1, 2, 3));
    const large = encodeEnvelope(0, new Uint8Array(4));
    splitter.push(concatBytes([small, large]));
    assert.deepEqual(splitter.next(), { flags: 0, data: Uint8Array.of(1, 2, 3) });
    assert.throws(
      () => splitter.next(),
      (error) =>
        error instanceof ConnectError &&
        error.code === Code.ResourceExhausted &&
        /message size 4 is larger than configured readMaxBytes 3/.test(error.message),
    );
  });

  it("of 4 GiB are believed no further than their bytes", () => {
    const splitter = new EnvelopeSplitter(2 ** 32);
    splitter.push(Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff, 1));
    assert.equal(splitter.next(), undefined);
    assert.throws(() => splitter.end(), /incomplete envelope/);
  });

  it("keep no more than a slab beside what they are long", () => {
    const envelopes: Envelope[] = [];
    const splitter = new EnvelopeSplitter(100_000);
    for (const length of [10, 1_024, 1_025, 30_000]) {
      const chunk = new Uint8Array(65_536);
      const envelope = encodeEnvelope(0, new Uint8Array(length));
      chunk.set(envelope);
      splitter.push(chunk.subarray(0, envelope.length));
      envelopes.push(...taken(splitter));
    }
    const [small, most, ...large] = envelopes.map(({ data }) => data.buffer.byteLength);
    assert.ok((small ?? 0) <= 8_192 && (most ?? 0) <= 8_192, `${small} and ${most}`);
    assert.deepEqual(large, [1_025, 30_000]);
  });
});
