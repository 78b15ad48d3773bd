import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import fc from "fast-check";
import { EnvelopeWriter } from "./envelope-writer.ts";

await test("envelopes are those of Connect, and stay as they are when more are written", () => {
  const anyMessage = fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 2_000 }));
  fc.assert(
    fc.property(fc.array(anyMessage, { maxLength: 30 }), (messages) => {
      const writer = new EnvelopeWriter();
      const written = messages.map(([flags, data]) => writer.encode(flags, data));
      const expected = messages.map(([flags, data]) => encodeEnvelope(flags, data));
      assert.deepEqual(written, expected);
    }),
  );
});

await test("an envelope of 16 MiB has its length in four bytes", () => {
  const data = new Uint8Array(0x1_02_03_04);
  assert.deepEqual(
    new EnvelopeWriter().encode(0, data).subarray(0, 5),
    Uint8Array.of(0, 1, 2, 3, 4),
  );
});
