import assert from "node:assert/strict";
import { test } from "node:test";
import { errorCodeName, H3, H3Error } from "./h3-error.ts";
import { Qpack } from "./qpack/qpack-error.ts";

test("codes are called as the RFCs call them, unknown ones by their number (RFC 9114 §8.1, RFC 9204 §6)", () => {
  assert.equal(errorCodeName(H3.NO_ERROR), "H3_NO_ERROR");
  assert.equal(errorCodeName(H3.VERSION_FALLBACK), "H3_VERSION_FALLBACK");
  assert.equal(errorCodeName(Qpack.DECODER_STREAM_ERROR), "QPACK_DECODER_STREAM_ERROR");
  assert.equal(errorCodeName((1n << 62n) - 1n), "0x3fffffffffffffff");
});

test("an error says unprocessed only when told so, and keeps its cause", () => {
  const error = new H3Error(H3.NO_ERROR, "x", { scope: "stream", origin: "peer" });
  assert.equal(error.unprocessed, false);
  assert.equal("cause" in error, false);
  const cause = new Error("why");
  assert.equal(new H3Error(5n, "x", { scope: "connection", origin: "local", cause }).cause, cause);
});
