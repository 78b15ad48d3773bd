import assert from "node:assert/strict";
import { constants } from "node:http2";
import { test } from "node:test";
import { H3 } from "../http3/h3-error.ts";
import { H2, h2CodeName, h2CodeOf, h3CodeOf } from "./h2-code.ts";

test("names and numbers are those of Node's http2 (RFC 9113 §7)", () => {
  for (const [name, code] of Object.entries(H2)) {
    assert.equal(constants[`NGHTTP2_${name}` as keyof typeof constants], code);
    assert.equal(h2CodeName(code), name);
  }
  assert.equal(h2CodeName(constants.NGHTTP2_INADEQUATE_SECURITY), "INADEQUATE_SECURITY");
  assert.equal(h2CodeName(99), "0x63");
});

test("what HTTP/2 says comes back as it was, where both have a word for it", () => {
  for (const code of Object.values(H2)) {
    assert.equal(h2CodeOf(h3CodeOf(code)), code);
  }
  assert.equal(h3CodeOf(99), 99n);
  assert.equal(h2CodeOf(H3.ID_ERROR), H2.INTERNAL_ERROR);
});
