import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import {
  decodeNatPmpResponse,
  encodeNatPmpAddressRequest,
  encodeNatPmpMapRequest,
} from "./nat-pmp.ts";

const address = decodeHex("0080000000000a01c6336407");
const mapped = decodeHex("0081000000000a0110e1c35000001c20");

test("requests are as the RFC draws them (RFC 6886 §3.2, §3.3)", () => {
  assert.equal(encodeHex(encodeNatPmpAddressRequest()), "0000");
  const mapping = { internalPort: 4321, externalPort: 50_000, lifetimeSeconds: 7_200 };
  assert.equal(encodeHex(encodeNatPmpMapRequest(mapping)), "0001000010e1c35000001c20");
});

test("answers are read (RFC 6886 §3.2, §3.3, §3.5)", () => {
  assert.deepEqual(decodeNatPmpResponse(address), { type: "address", host: "198.51.100.7" });
  assert.deepEqual(decodeNatPmpResponse(mapped), {
    type: "mapped",
    internalPort: 4321,
    externalPort: 50_000,
    lifetimeSeconds: 7_200,
  });
  for (const [hex, request, result] of [
    ["0080000300000a01", "address", 3],
    ["0081000200000a0110e1c35000001c20", "map", 2],
    // A gateway that speaks PCP alone.
    ["0280000100000a01", "address", 1],
  ] as const) {
    const refused = { type: "refused", request, result };
    assert.deepEqual(decodeNatPmpResponse(decodeHex(hex)), refused, hex);
  }
});

test("answers that are cut, of TCP, and requests are nothing", () => {
  for (const whole of [address, mapped]) {
    for (let cut = 0; cut < whole.length; cut += 1) {
      assert.equal(decodeNatPmpResponse(whole.subarray(0, cut)), undefined);
    }
  }
  assert.equal(decodeNatPmpResponse(decodeHex("0082000000000a0110e1c35000001c20")), undefined);
  assert.equal(decodeNatPmpResponse(decodeHex("0001000010e1c35000001c20")), undefined);
});

test("F30: any bytes are an answer or nothing", () => {
  const head = fc.constantFrom([], [0, 128, 0, 0], [0, 129, 0, 0], [0, 129, 0, 2]);
  const bytes = fc
    .tuple(head, fc.array(fc.nat(255), { maxLength: 20 }))
    .map((parts) => Uint8Array.from(parts.flat()));
  fuzz(bytes, (input) => {
    decodeNatPmpResponse(input);
  });
});
