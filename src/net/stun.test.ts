import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import {
  formatSocketAddress,
  hostFromBytes,
  parseSocketAddress,
  type SocketAddress,
  socketAddress,
} from "../base/socket-address.ts";
import { unmapped } from "./dialable-addresses.ts";
import {
  decodeStun,
  encodeStunError,
  encodeStunRequest,
  encodeStunSuccess,
  isStun,
  StunError,
  type StunErrorCode,
} from "./stun.ts";

function hex(text: string): Uint8Array {
  return decodeHex(text.replaceAll(/\s/g, ""));
}

const id = hex("b7e7a701bc34d686fa87dfae");

// RFC 5769 §2: signed by a password, with a FINGERPRINT.
const sampleRequest = hex(`
  000100582112a442b7e7a701bc34d686fa87dfae
  802200105354554e207465737420636c69656e74
  002400046e0001ff
  80290008932ff9b151263b36
  000600096576746a3a68367659202020
  000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2
  80280004e57a3bcf`);
const sampleIpv4Response = hex(`
  0101003c2112a442b7e7a701bc34d686fa87dfae
  8022000b7465737420766563746f7220
  002000080001a147e112a643
  000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7
  80280004c07d4c96`);
const sampleIpv6Response = hex(`
  010100482112a442b7e7a701bc34d686fa87dfae
  8022000b7465737420766563746f7220
  002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9
  00080014a382954e4be67bf11784c97c8292c275bfe3ed41
  80280004c8fb0b4c`);

/** A message with these attributes, of which `value` is written as it is, padding included. */
function message(type: number, ...content: readonly string[]): Uint8Array {
  const attributes = hex(content.join(""));
  return new ByteWriter()
    .u16(type)
    .u16(attributes.length)
    .u32(0x2112_a442)
    .bytes(id)
    .bytes(attributes)
    .finish();
}

function isCode(code: StunErrorCode) {
  return (error: unknown): boolean => error instanceof StunError && error.code === code;
}

function addressOf(bytes: Uint8Array): string | undefined {
  const decoded = decodeStun(bytes);
  assert.equal(decoded.type, "success");
  return decoded.address && formatSocketAddress(decoded.address);
}

const anyAddress: fc.Arbitrary<SocketAddress> = fc
  .tuple(
    fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    ),
    fc.nat(0xffff),
  )
  .map(([host, port]) => socketAddress(hostFromBytes(host), port));
const anyId = fc.uint8Array({ minLength: 12, maxLength: 12 });

test("the sample messages are read (RFC 5769 §2)", () => {
  assert.equal(addressOf(sampleIpv4Response), "192.0.2.1:32853");
  assert.equal(addressOf(sampleIpv6Response), "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
  assert.deepEqual(decodeStun(sampleIpv4Response).id, id);
  assert.deepEqual(decodeStun(sampleRequest), { type: "request", id });
});

test("a request is a Binding request with a FINGERPRINT (RFC 8489 §5, §14.7)", () => {
  const bytes = encodeStunRequest(id);
  assert.match(encodeHex(bytes), /^000100082112a442b7e7a701bc34d686fa87dfae80280004[0-9a-f]{8}$/);
  assert.deepEqual(decodeStun(bytes), { type: "request", id });
  assert.throws(() => encodeStunRequest(new Uint8Array(11)), RangeError);
});

test("XOR-MAPPED-ADDRESS counts before MAPPED-ADDRESS, and the first before a second (RFC 8489 §14)", () => {
  const plain = "00010008 0001 0050 c6336401";
  const xored = "00200008 0001 a147 e112a643";
  assert.equal(addressOf(message(0x0101, plain)), "198.51.100.1:80");
  assert.equal(addressOf(message(0x0101, plain, xored)), "192.0.2.1:32853");
  assert.equal(addressOf(message(0x0101, xored, "00200008 0001 0000 00000000")), "192.0.2.1:32853");
  assert.equal(addressOf(message(0x0101)), undefined);
});

test("an IPv4 address in IPv6 clothes is given as what it is", () => {
  const mapped = parseSocketAddress("[::ffff:192.0.2.1]:7");
  assert.equal(addressOf(encodeStunSuccess(id, mapped)), "192.0.2.1:7");
});

test("what follows a signature is ignored (RFC 8489 §14.5)", () => {
  const signature = `00080014${"00".repeat(20)}`;
  assert.equal(addressOf(message(0x0101, signature, "00200008 0001 a147 e112a643")), undefined);
});

test("attributes that need not be understood are skipped, others make a response useless (RFC 8489 §6.3.3)", () => {
  const address = "00200008 0001 a147 e112a643";
  assert.equal(addressOf(message(0x0101, "80990003 01020300", address)), "192.0.2.1:32853");
  assert.equal(addressOf(message(0x0101, address, "ffff0000")), "192.0.2.1:32853");
  assert.throws(
    () => decodeStun(message(0x0101, address, "00990000")),
    isCode("unknown-attribute"),
  );
  assert.throws(
    () => decodeStun(message(0x0111, "00090004 00000401", "00990000")),
    isCode("unknown-attribute"),
  );
  assert.equal(decodeStun(message(0x0001, "00990000")).type, "request");
});

test("an error response says what the server says (RFC 8489 §14.8)", () => {
  const refused = encodeStunError(id, 401, "no\u{1f600}");
  assert.deepEqual(decodeStun(refused), { type: "error", id, status: 401, reason: "no\u{1f600}" });
  // Reserved bits are ignored, and what is no UTF-8 in the reason is replaced.
  assert.deepEqual(decodeStun(message(0x0111, "00090005 fffffd63 ff000000")), {
    type: "error",
    id,
    status: 599,
    reason: "\ufffd",
  });
});

test("messages that are broken or of no use are refused", () => {
  for (const [name, bytes, code] of [
    ["empty", new Uint8Array(0), "malformed"],
    ["first byte above 3", message(0x0401), "malformed"],
    ["another cookie", hex(`00010000 2112a443 ${encodeHex(id)}`), "malformed"],
    ["length beyond the end", hex(`00010004 2112a442 ${encodeHex(id)}`), "malformed"],
    ["bytes after the end", hex(`00010000 2112a442 ${encodeHex(id)} 00000000`), "malformed"],
    ["length not a multiple of 4", message(0x0101, "802800"), "malformed"],
    ["attribute beyond the end", message(0x0101, "00200009 0001a147e112a643"), "malformed"],
    ["half an attribute header", message(0x0101, "80280000", "0020"), "malformed"],
    ["FINGERPRINT that does not fit", message(0x0101, "80280004 00000000"), "malformed"],
    ["FINGERPRINT in front", message(0x0101, "80280004 00000000", "80990000"), "malformed"],
    ["FINGERPRINT of 3 bytes", message(0x0101, "80280003 00000000"), "malformed"],
    ["IPv4 of 16 bytes", message(0x0101, `00200014 0001a147 ${"00".repeat(16)}`), "malformed"],
    ["IPv6 of 4 bytes", message(0x0101, "00200008 0002 a147 e112a643"), "malformed"],
    ["no family", message(0x0101, "00200002 00010000"), "malformed"],
    ["family 3", message(0x0101, "00200008 0003 a147 e112a643"), "malformed"],
    ["error without a code", message(0x0111), "malformed"],
    ["error code 200", message(0x0111, "00090004 00000200"), "malformed"],
    ["error code 3 and 100", message(0x0111, "00090004 00000364"), "malformed"],
    ["an indication", message(0x0011), "unsupported"],
    ["TURN's Allocate", message(0x0003), "unsupported"],
    ["more than 1280 bytes", message(0x0101, `80990504${"00".repeat(0x504)}`), "malformed"],
  ] as const) {
    assert.throws(() => decodeStun(bytes), isCode(code), name);
  }
});

test("every message cut at every byte, or with a byte more, is refused", () => {
  for (const whole of [sampleRequest, sampleIpv4Response, sampleIpv6Response]) {
    for (let cut = 0; cut < whole.length; cut += 1) {
      assert.throws(() => decodeStun(whole.subarray(0, cut)), isCode("malformed"));
    }
    assert.throws(() => decodeStun(Uint8Array.of(...whole, 0)), isCode("malformed"));
  }
});

test("a flipped bit never makes another address of a message with a FINGERPRINT", () => {
  for (let bit = 0; bit < sampleIpv4Response.length * 8; bit += 1) {
    const flipped = sampleIpv4Response.map((byte, index) =>
      index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte,
    );
    try {
      // Where the FINGERPRINT is no longer one, the rest was not touched.
      assert.equal(addressOf(flipped), "192.0.2.1:32853", `bit ${bit}`);
    } catch (error) {
      assert.ok(error instanceof StunError, String(error));
    }
  }
});

test("every address comes back as it was, whatever the transaction id", () => {
  fc.assert(
    fc.property(anyAddress, anyId, (address, anId) => {
      const bytes = encodeStunSuccess(anId, address);
      assert.deepEqual(decodeStun(bytes), {
        type: "success",
        id: anId,
        address: unmapped(address),
      });
      assert.ok(isStun(bytes));
      assert.equal(bytes.length % 4, 0);
    }),
    { numRuns: 5_000 },
  );
});

test("every error comes back as it was", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 300, max: 699 }),
      fc.string({ maxLength: 128, unit: "grapheme" }),
      (status, reason) => {
        const decoded = decodeStun(encodeStunError(id, status, reason));
        assert.deepEqual(decoded, {
          type: "error",
          id,
          status,
          reason: new TextDecoder().decode(new TextEncoder().encode(reason)),
        });
      },
    ),
    { numRuns: 2_000 },
  );
});

test("F30: any bytes are a message or a StunError", () => {
  const type = fc.constantFrom("0001", "0101", "0111", "0011", "0003", "3eef");
  const attribute = fc
    .tuple(
      fc.constantFrom(0x0001, 0x0008, 0x0009, 0x0020, 0x001c, 0x0099, 0x8022, 0x8028),
      fc.oneof(fc.nat(24), fc.nat(0xffff)),
      fc.array(fc.oneof(fc.nat(3), fc.nat(255)), { maxLength: 24 }),
    )
    .map(([kind, length, value]) =>
      new ByteWriter().u16(kind).u16(length).bytes(Uint8Array.from(value)).finish(),
    );
  const nearlyRight = fc
    .tuple(type, fc.array(attribute, { maxLength: 4 }), fc.nat(3))
    .map(([kind, attributes, cut]) => {
      const content = attributes.map(encodeHex).join("");
      return message(Number.parseInt(kind, 16), content.slice(0, content.length - 2 * cut));
    });
  fuzz(
    fc.oneof({ weight: 9, arbitrary: nearlyRight }, fc.uint8Array({ maxLength: 100 })),
    (bytes) => {
      try {
        assert.equal(decodeStun(bytes).id.length, 12);
      } catch (error) {
        assert.ok(error instanceof StunError, String(error));
      }
    },
  );
});

test("isStun tells STUN from QUIC and other protocols by first byte and cookie (RFC 9443 §3)", () => {
  assert.ok(isStun(sampleIpv4Response));
  assert.ok(!isStun(sampleIpv4Response.subarray(0, 19)));
  for (let first = 0; first < 256; first += 1) {
    const bytes = Uint8Array.from(sampleIpv4Response);
    bytes[0] = first;
    assert.equal(isStun(bytes), first <= 3, String(first));
  }
  // A QUIC packet with a short header whose fixed bit is greased (RFC 9287).
  assert.ok(!isStun(Uint8Array.of(2, ...new Uint8Array(30))));
});
