import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { decodePcpResponse, encodePcpMapRequest } from "./pcp.ts";

const nonce = "000102030405060708090a0b";
const zeros = "00000000000000000000";
/** Of port 4321, to 198.51.100.7:50000, for two hours. */
const mapped = decodeHex(
  `0281000000001c2000000a01${"00".repeat(12)}${nonce}1100000010e1c350${zeros}ffffc6336407`,
);

function changed(index: number, value: number): Uint8Array {
  const bytes = mapped.slice();
  bytes[index] = value;
  return bytes;
}

test("a request is as the RFC draws it (RFC 6887 §7.1, §11.1)", () => {
  const request = encodePcpMapRequest({
    nonce: decodeHex(nonce),
    ownHost: "10.0.0.2",
    internalPort: 4321,
    external: { host: "198.51.100.7", port: 50_000 },
    lifetimeSeconds: 7_200,
  });
  assert.equal(
    encodeHex(request),
    `0201000000001c20${zeros}ffff0a000002${nonce}1100000010e1c350${zeros}ffffc6336407`,
  );
});

test("answers are read (RFC 6887 §7.2, §11.1)", () => {
  const answer = {
    type: "mapped",
    nonce: decodeHex(nonce),
    internalPort: 4321,
    external: { host: "198.51.100.7", port: 50_000 },
    lifetimeSeconds: 7_200,
  };
  assert.deepEqual(decodePcpResponse(mapped), answer);
  const withOption = Uint8Array.of(...mapped, 3, 0, 0, 0);
  assert.deepEqual(decodePcpResponse(withOption), answer);
  // As a socket gives it, which takes it back.
  const datagram = Buffer.from(mapped);
  const decoded = decodePcpResponse(datagram);
  datagram.fill(0);
  assert.deepEqual(decoded, answer);
  const ipv6 = mapped.slice();
  ipv6.set(decodeHex("20010db8000000000000000000000001"), 44);
  assert.deepEqual(decodePcpResponse(ipv6), {
    ...answer,
    external: { host: "2001:db8::1", port: 50_000 },
  });
});

test("refusals are read, also those without a mapping (RFC 6887 §7.4)", () => {
  assert.deepEqual(decodePcpResponse(changed(3, 12)), {
    type: "refused",
    nonce: decodeHex(nonce),
    result: 12,
  });
  assert.deepEqual(decodePcpResponse(decodeHex(`02810003000000780000000a${"00".repeat(12)}`)), {
    type: "refused",
    nonce: undefined,
    result: 3,
  });
  // A gateway of NAT-PMP, and one of a later version of PCP.
  for (const hex of ["0080000100000a01", "0381000100000000"]) {
    assert.deepEqual(decodePcpResponse(decodeHex(hex)), { type: "unsupported" });
  }
});

test("answers that are cut, of TCP or to another request, and requests are nothing", () => {
  for (let cut = 0; cut < mapped.length; cut += 1) {
    assert.equal(decodePcpResponse(mapped.subarray(0, cut)), undefined);
  }
  for (const [index, value] of [
    [1, 0x01],
    [1, 0x82],
    [36, 6],
  ] as const) {
    assert.equal(decodePcpResponse(changed(index, value)), undefined);
  }
});

test("F30: any bytes are an answer or nothing", () => {
  const head = fc.constantFrom([], [2, 129, 0, 0], [2, 129, 0, 3], [0, 128, 0, 1]);
  const bytes = fc
    .tuple(head, fc.array(fc.nat(255), { maxLength: 70 }))
    .map((parts) => Uint8Array.from(parts.flat()));
  fuzz(bytes, (input) => {
    decodePcpResponse(input);
  });
});
