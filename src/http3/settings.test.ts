import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { hex } from "../../test/support/http3-peer.ts";
import { H3, H3Error } from "./h3-error.ts";
import { decodeSettings, encodeSettings, initialSettings, type Settings } from "./settings.ts";

const reservedHttp2 = new Set([0x00, 0x02, 0x03, 0x04, 0x05]);
const known = new Set([0x01, 0x06, 0x07]);

const anySettings: fc.Arbitrary<Settings> = fc.record(
  {
    maxFieldSectionSize: fc.oneof(fc.maxSafeNat(), fc.constant(Number.POSITIVE_INFINITY)),
    qpackMaxTableCapacity: fc.maxSafeNat(),
    qpackBlockedStreams: fc.maxSafeNat(),
    extensions: fc
      .array(
        fc.tuple(
          fc.maxSafeNat().filter((id) => !reservedHttp2.has(id) && !known.has(id)),
          fc.maxSafeNat(),
        ),
        { maxLength: 5 },
      )
      .map((entries) => new Map(entries)),
  },
  { noNullPrototype: true },
);

test("settings come out as they went in (RFC 9114 §7.2.4)", () => {
  fc.assert(
    fc.property(anySettings, (settings) => {
      const frame = encodeSettings(settings);
      const headerLength = (frame[1] ?? 0) < 0x40 ? 2 : 3;
      assert.equal(frame[0], 0x04);
      assert.deepEqual(decodeSettings(frame.subarray(headerLength)), settings);
    }),
    { numRuns: 2_000 },
  );
});

test("what is not said keeps its initial value (RFC 9114 §7.2.4.2)", () => {
  assert.deepEqual(decodeSettings(hex("")), initialSettings);
});

test("values and identifiers above 2^53 do no harm", () => {
  const settings = decodeSettings(
    hex("06 ffffffffffffffff ffffffffffffffff 00 fffffffffffffffe 00"),
  );
  assert.equal(settings.maxFieldSectionSize, Number.POSITIVE_INFINITY);
  assert.equal(settings.extensions.size, 0);
});

test("random bytes are settings, or an error of the connection", () => {
  fuzz(fc.uint8Array({ maxLength: 24 }), (bytes) => {
    try {
      decodeSettings(bytes);
    } catch (error) {
      assert.ok(error instanceof H3Error);
      assert.equal(error.scope, "connection");
      assert.ok(error.code === H3.SETTINGS_ERROR || error.code === H3.FRAME_ERROR);
    }
  });
});
