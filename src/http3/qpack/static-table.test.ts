import assert from "node:assert/strict";
import { test } from "node:test";
import { staticNames, staticTable } from "./static-table.ts";

test("staticTable has 99 entries, all of them different (RFC 9204 Appendix A)", () => {
  assert.equal(staticTable.length, 99);
  assert.equal(new Set(staticTable.map((field) => field.join("\t"))).size, 99);
});

test("staticTable has its entries where the RFC has them", () => {
  const samples = {
    0: [":authority", ""],
    1: [":path", "/"],
    2: ["age", "0"],
    14: ["set-cookie", ""],
    15: [":method", "CONNECT"],
    21: [":method", "PUT"],
    22: [":scheme", "http"],
    25: [":status", "200"],
    29: ["accept", "*/*"],
    31: ["accept-encoding", "gzip, deflate, br"],
    42: ["content-encoding", "br"],
    46: ["content-type", "application/json"],
    55: ["range", "bytes=0-"],
    62: ["x-xss-protection", "1; mode=block"],
    63: [":status", "100"],
    72: ["accept-language", ""],
    73: ["access-control-allow-credentials", "FALSE"],
    79: ["access-control-expose-headers", "content-length"],
    84: ["authorization", ""],
    85: ["content-security-policy", "script-src 'none'; object-src 'none'; base-uri 'none'"],
    95: ["user-agent", ""],
    98: ["x-frame-options", "sameorigin"],
  };
  for (const [index, field] of Object.entries(samples)) {
    assert.deepEqual(staticTable[Number(index)], field, index);
  }
});

test("staticNames finds each entry, and the first for a name", () => {
  staticTable.forEach(([name, value], index) => {
    assert.equal(staticNames.get(name)?.values.get(value), index);
  });
  assert.equal(staticNames.get(":status")?.index, 24);
  assert.equal(staticNames.get("x-unknown"), undefined);
});
