import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { addrTexts, bytesOf, pkarrVectors } from "../../test/vectors/vectors.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { formatTransportAddr, parseTransportAddr } from "../identity/transport-addr.ts";
import { DiscoveryError } from "./discovery-error.ts";
import { discoveredAddrOf, readEndpointRecord, signEndpointRecord } from "./endpoint-record.ts";
import {
  checkPkarrDate,
  encodePkarrPayload,
  isNewer,
  maxPkarrMessageBytes,
  PkarrClock,
  type PkarrPacket,
  parsePkarrPayload,
  parseSignedText,
  signPkarrPacket,
} from "./pkarr-packet.ts";

function parse(packet: Uint8Array): PkarrPacket {
  return parsePkarrPayload(EndpointId.fromBytes(packet.subarray(0, 32)), packet.subarray(32));
}

const fromHex = (hex: string): PkarrPacket => parse(bytesOf(hex));

for (const vector of pkarrVectors.valid) {
  test(`is signed and read as iroh does it: ${vector.name}`, () => {
    const { endpoint_info } = vector;
    const secretKey = SecretKey.fromBytes(decodeHex(vector.secret_hex));
    const timestampUs = BigInt(vector.timestamp_us);
    const info = {
      addrs: addrTexts(endpoint_info.addrs).map(parseTransportAddr),
      ...(endpoint_info.user_data === null ? {} : { userData: endpoint_info.user_data }),
    };
    const packet = signEndpointRecord(secretKey, info, { timestampUs, ttl: vector.ttl });
    const payload = encodePkarrPayload(packet);
    assert.equal(encodeHex(secretKey.publicKey.bytes) + encodeHex(payload), vector.packet_hex);
    const read = parsePkarrPayload(secretKey.publicKey, payload);
    assert.equal(read.timestampUs, timestampUs);
    const { addrs, userData, ttl } = readEndpointRecord(read);
    assert.deepEqual(addrs.map(formatTransportAddr), addrTexts(endpoint_info.addrs));
    assert.equal(userData ?? null, endpoint_info.user_data);
    if (vector.txt.length > 0) {
      assert.equal(ttl, vector.ttl);
    }
  });
}

for (const vector of pkarrVectors.other) {
  test(`is read as iroh reads it: ${vector.name}`, () => {
    const packet = fromHex(vector.packet_hex);
    assert.equal(packet.timestampUs, BigInt(vector.timestamp_us));
    const expected = vector.endpoint_info;
    if ("error" in expected) {
      assert.throws(
        () => readEndpointRecord(packet),
        (error) => error instanceof DiscoveryError && error.code === "invalid-record",
      );
      return;
    }
    const { addrs, userData } = readEndpointRecord(packet);
    assert.deepEqual(addrs.map(formatTransportAddr), addrTexts(expected.addrs));
    assert.equal(userData ?? null, expected.user_data);
  });
}

for (const vector of pkarrVectors.malformed) {
  test(`is refused: ${vector.name}`, () => {
    assert.throws(
      () => readEndpointRecord(parse(bytesOf(vector.packet))),
      (error) => error instanceof Error && /Error$/.test(error.name) && "code" in error,
    );
  });
}

for (const vector of pkarrVectors.order) {
  test(`replaces the other or not: ${vector.name}`, () => {
    const [first, second] = [fromHex(vector.first_hex), fromHex(vector.second_hex)];
    assert.equal(isNewer(first, second), vector.first_more_recent);
    assert.equal(isNewer(second, first), vector.second_more_recent);
  });
}

test("a packet fits what a key alone can sign, whatever bit of it is changed", () => {
  const secretKey = SecretKey.generate();
  const info = { addrs: [parseTransportAddr("https://relay.example./")] };
  const packet = signEndpointRecord(secretKey, info, {
    timestampUs: 1_767_225_600_000_000n,
    ttl: 30,
  });
  const payload = encodePkarrPayload(packet);
  for (let bit = 0; bit < payload.length * 8; bit += 5) {
    const bent = new Uint8Array(payload);
    bent[bit >> 3] = (bent[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.throws(() => parsePkarrPayload(secretKey.publicKey, bent), { code: "bad-signature" });
  }
  assert.throws(() => parsePkarrPayload(SecretKey.generate().publicKey, payload), {
    code: "bad-signature",
  });
  for (let end = 0; end < payload.length; end += 1) {
    assert.throws(
      () => parsePkarrPayload(secretKey.publicKey, payload.subarray(0, end)),
      DiscoveryError,
    );
  }
});

test("keys of small order sign nothing, as one signature would do for any record", () => {
  const small = EndpointId.parse(`01${"00".repeat(31)}`);
  // R is the neutral point and S is 0: by the equation alone that is right for every message.
  const payload = new Uint8Array(72 + 12);
  payload[0] = 1;
  assert.throws(() => parsePkarrPayload(small, payload), { code: "bad-signature" });
});

test("addresses that do not fit 1000 bytes are left out from the end", () => {
  const secretKey = SecretKey.generate();
  const addrs = Array.from(
    { length: 100 },
    (_, index) => `203.0.113.${index + 100}:${20_000 + index}`,
  );
  const info = {
    addrs: ["https://relay.example./", ...addrs].map(parseTransportAddr),
    userData: "kept",
  };
  const packet = signEndpointRecord(secretKey, info, { timestampUs: 1n, ttl: 30 });
  const read = readEndpointRecord(packet);
  assert.ok(packet.message.length <= maxPkarrMessageBytes && packet.message.length > 950);
  assert.equal(read.addrs.length, 24);
  assert.deepEqual(read.addrs, info.addrs.slice(0, 24));
  assert.equal(read.userData, "kept");
});

test("a value that fits no record is not signed", () => {
  const secretKey = SecretKey.generate();
  const url = (length: number): string => `https://r.example/${"a".repeat(length - 18)}`;
  const sign = (text: string, userData: string): PkarrPacket =>
    signEndpointRecord(
      secretKey,
      { addrs: [parseTransportAddr(text)], userData },
      { timestampUs: 1n, ttl: 30 },
    );
  sign(url(249), "a".repeat(245));
  assert.throws(() => sign(url(250), ""), { code: "too-large" });
  assert.throws(() => sign(url(249), "a".repeat(246)), { code: "too-large" });
  const message = new Uint8Array(1_001);
  assert.throws(() => signPkarrPacket(secretKey, { timestampUs: 1n, message }), {
    code: "too-large",
  });
});

test("a record that is dated more than a day ahead is not believed", () => {
  const secretKey = SecretKey.generate();
  const now = 1_767_225_600_000;
  const day = 86_400_000_000n;
  const at = (timestampUs: bigint): PkarrPacket =>
    signEndpointRecord(secretKey, { addrs: [] }, { timestampUs, ttl: 30 });
  checkPkarrDate(at(0n), now);
  checkPkarrDate(at(BigInt(now) * 1_000n + day), now);
  for (const timestampUs of [BigInt(now) * 1_000n + day + 1n, (1n << 64n) - 1n]) {
    assert.throws(() => discoveredAddrOf(at(timestampUs), "test", now), { code: "future-record" });
  }
});

test("timestamps always rise", () => {
  const clock = new PkarrClock();
  const first = clock.next(1_000);
  assert.equal(first, 1_000_000n);
  assert.equal(clock.next(1_000), first + 1n);
  assert.equal(clock.next(500), first + 2n);
  clock.observe(5_000_000n);
  assert.equal(clock.next(1_000), 5_000_001n);
  clock.observe(1n);
  clock.observe((1n << 64n) - 1n);
  assert.equal(clock.next(6_000.0005), 6_000_000n);
});

test("the text that is signed is read as it is written, and in no other form", () => {
  const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
  for (const { signable_hex, packet_hex, timestamp_us } of pkarrVectors.valid) {
    if (signable_hex !== undefined) {
      const { timestampUs, message } = parseSignedText(bytesOf(signable_hex));
      assert.equal(timestampUs, BigInt(timestamp_us));
      assert.deepEqual(message, fromHex(packet_hex).message);
    }
  }
  assert.deepEqual(parseSignedText(ascii("3:seqi0e1:v0:")), {
    timestampUs: 0n,
    message: ascii(""),
  });
  for (const text of [
    "",
    "3:seqi1e1:v1:",
    "3:seqi1e1:v1:ab",
    "3:seqi01e1:v1:a",
    "3:seqi-1e1:v1:a",
    "3:seqi1e1:v01:a",
    "4:salt1:x3:seqi1e1:v1:a",
    "3:seqi123456789012345678901e1:v1:a",
  ]) {
    assert.throws(() => parseSignedText(ascii(text)), { code: "invalid-record" });
  }
});

test("whatever a peer signs, it is read or refused", () => {
  const secretKey = SecretKey.generate();
  const id = secretKey.publicKey;
  const good = signEndpointRecord(
    secretKey,
    { addrs: ["https://relay.example./", "10.0.0.1:1"].map(parseTransportAddr), userData: "x" },
    { timestampUs: 1n, ttl: 30 },
  ).message;
  const bent = fc
    .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 })
    .map((changes) => {
      const bytes = new Uint8Array(good);
      for (const [at, byte] of changes) {
        bytes[at] = byte;
      }
      return bytes;
    });
  const outcomes = { read: 0, refused: 0 };
  fuzz(
    fc.oneof(fc.uint8Array({ maxLength: 1_000 }), bent),
    (message) => {
      try {
        const packet = { id, signature: new Uint8Array(64), timestampUs: 1n, message };
        discoveredAddrOf(packet, "test", 0);
        outcomes.read += 1;
      } catch (error) {
        assert.ok(error instanceof DiscoveryError, String(error));
        outcomes.refused += 1;
      }
    },
    20_000,
  );
  assert.ok(outcomes.read > 100 && outcomes.refused > 1_000, JSON.stringify(outcomes));
});
