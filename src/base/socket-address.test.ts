import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import {
  formatSocketAddress,
  hostFromBytes,
  hostToBytes,
  isMappedIpv4,
  parseSocketAddress,
  socketAddress,
} from "./socket-address.ts";

test("socket addresses print as they were written", () => {
  for (const text of ["1.2.3.4:80", "0.0.0.0:0", "255.255.255.255:65535", "[::]:0", "[::1]:443"]) {
    assert.equal(formatSocketAddress(parseSocketAddress(text)), text);
  }
  assert.deepEqual(parseSocketAddress("[2001:DB8::1]:7"), {
    family: 6,
    host: "2001:db8::1",
    port: 7,
  });
  assert.deepEqual(parseSocketAddress("127.0.0.1:00080"), {
    family: 4,
    host: "127.0.0.1",
    port: 80,
  });
});

/** Any valid text, and the canonical one. The first block is RFC 5952 §4 and §5 by section. */
const ipv6Texts: readonly (readonly [text: string, canonical: string])[] = [
  ["2001:0db8::0001", "2001:db8::1"],
  ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
  ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
  ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
  ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
  ["2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:FFFF", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff"],
  ["::ffff:c000:0280", "::ffff:192.0.2.128"],
  ["0:0:0:0:0:0:0:0", "::"],
  ["0:0:0:0:0:0:0:1", "::1"],
  ["1:0:0:0:0:0:0:0", "1::"],
  ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
  ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
  ["::ffff:1.2.3.4", "::ffff:1.2.3.4"],
  ["0:0:0:0:0:FFFF:1.2.3.4", "::ffff:1.2.3.4"],
  ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
  ["::1.2.3.4", "::102:304"],
  ["fe80::1%eth0", "fe80::1"],
  ["fe80::1%5", "fe80::1"],
];

test("IPv6 text takes its canonical form (RFC 5952)", () => {
  for (const [text, canonical] of ipv6Texts) {
    assert.deepEqual(socketAddress(text, 1), { family: 6, host: canonical, port: 1 }, text);
    assert.equal(formatSocketAddress(parseSocketAddress(`[${text}]:1`)), `[${canonical}]:1`);
  }
});

test("a mapped IPv4 address stays IPv6 and is told apart", () => {
  assert.equal(socketAddress("::ffff:1.2.3.4", 1).family, 6);
  assert.ok(isMappedIpv4(hostToBytes("::ffff:1.2.3.4")));
  for (const host of ["::fffe:1.2.3.4", "1::ffff:1.2.3.4", "::1.2.3.4", "1.2.3.4"]) {
    assert.ok(!isMappedIpv4(hostToBytes(host)), host);
  }
});

const badHosts = [
  ..."|.|:|:::|1.2.3|1.2.3.4.5|1.2.3.|.1.2.3|1.2.3.256|01.2.3.4|1.2.3.4 |+1.2.3.4|0x1.2.3.4".split(
    "|",
  ),
  ...":1|1:|1:2|1:2:3:4:5:6:7|1:2:3:4:5:6:7:8:9|1::2::3|1:2:3:4:5:6:7:8::|::1:2:3:4:5:6:7:8".split(
    "|",
  ),
  ..."12345::|g::|::1.2.3|1.2.3.4::|::1.2.3.4:5|1:2:3:4:5:6:7:1.2.3.4|[::1]|::1%|%eth0|::1%a%b".split(
    "|",
  ),
  "localhost",
  "１.2.3.4",
];

test("a text that is no IP address is a TypeError that quotes it", () => {
  for (const host of badHosts) {
    assert.throws(
      () => socketAddress(host, 1),
      (error) =>
        error instanceof TypeError &&
        error.message === `invalid IP address: ${JSON.stringify(host)}`,
      host,
    );
  }
});

test("a text that is no socket address is a TypeError or RangeError", () => {
  const bad = ["", "1.2.3.4", "1.2.3.4:", ":80", "[::1]", "::1:80", "[::1]80", "[1.2.3.4]:80"];
  for (const text of [...bad, "1.2.3.4:80 ", "1.2.3.4:-1", "1.2.3.4:123456", "[[::1]]:1"]) {
    assert.throws(() => parseSocketAddress(text), TypeError, text);
  }
  assert.throws(() => parseSocketAddress("1.2.3.4:65536"), RangeError);
  for (const port of [-1, 65_536, 0.5, Number.NaN]) {
    assert.throws(() => socketAddress("::1", port), RangeError);
  }
});

test("a long bad text is cut in the message", () => {
  assert.throws(
    () => parseSocketAddress("x".repeat(10_000)),
    (error) => error instanceof TypeError && error.message.length < 200,
  );
});

test("an address of another length than 4 and 16 bytes is a TypeError", () => {
  for (const length of [0, 3, 5, 15, 17]) {
    assert.throws(() => hostFromBytes(new Uint8Array(length)), TypeError);
  }
});

const anyAddressBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  fc.uint8Array({ minLength: 16, maxLength: 16 }),
  // Mostly zeros: what "::" is about.
  fc
    .array(fc.constantFrom(0, 0, 0, 1, 0xff), { minLength: 16, maxLength: 16 })
    .map((bytes) => Uint8Array.from(bytes)),
);

test("every address prints, is an address for Node, and reads back", () => {
  fc.assert(
    fc.property(anyAddressBytes, fc.nat(0xffff), (bytes, port) => {
      const host = hostFromBytes(bytes);
      assert.ok(bytes.length === 4 ? isIPv4(host) : isIPv6(host), host);
      assert.deepEqual(hostToBytes(host), bytes);
      const address = socketAddress(host, port);
      assert.deepEqual(parseSocketAddress(formatSocketAddress(address)), address);
    }),
    { numRuns: 20_000 },
  );
});

const anyHostText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc
    .array(fc.constantFrom(..."0 1 f 12 ff 255 256 ffff . : :: %".split(" ")), { maxLength: 20 })
    .map((parts) => parts.join("")),
  fc.constantFrom(...ipv6Texts.map(([text]) => text), "192.0.2.1").chain(mutated),
);

function mutated(text: string): fc.Arbitrary<string> {
  return fc
    .tuple(fc.nat(text.length), fc.nat(2), fc.constantFrom("", "0", ":", ".", "%", "f", "g"))
    .map(([at, drop, put]) => text.slice(0, at) + put + text.slice(at + drop));
}

test("any text is an address for us exactly when it is one for Node, or a TypeError", () => {
  fuzz(anyHostText, (text) => {
    let valid = true;
    try {
      hostToBytes(text);
    } catch (error) {
      assert.ok(error instanceof TypeError);
      valid = false;
    }
    // Releases of Node.js differ in what may follow a %.
    assert.ok(text.includes("%") || valid === (isIPv4(text) || isIPv6(text)), text);
  });
});

test("any text is a socket address or a TypeError or RangeError", () => {
  const anyText = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.tuple(anyHostText, fc.nat(99_999)).map(([host, port]) => `${host}:${port}`),
    fc.tuple(anyHostText, fc.nat(99_999)).map(([host, port]) => `[${host}]:${port}`),
  );
  fuzz(anyText, (text) => {
    try {
      const address = parseSocketAddress(text);
      assert.deepEqual(parseSocketAddress(formatSocketAddress(address)), address);
    } catch (error) {
      assert.ok(error instanceof TypeError || error instanceof RangeError);
    }
  });
});
