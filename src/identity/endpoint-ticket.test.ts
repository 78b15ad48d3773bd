import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { anyEndpointAddr } from "../../test/vectors/arbitrary-addr.ts";
import { type TicketAddrVector, ticketVectors } from "../../test/vectors/vectors.ts";
import { encodeBase32 } from "../base/base32.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { formatSocketAddress } from "../base/socket-address.ts";
import { EndpointAddr } from "./endpoint-addr.ts";
import { EndpointTicket } from "./endpoint-ticket.ts";
import { IdentityError } from "./identity-error.ts";
import type { TransportAddr } from "./transport-addr.ts";

function isInvalidTicket(error: unknown): error is IdentityError {
  return error instanceof IdentityError && error.code === "invalid-ticket";
}

function asVector(addr: TransportAddr): TicketAddrVector {
  switch (addr.type) {
    case "relay":
      return { type: "relay", url: addr.url };
    case "ip":
      return { type: "ip", addr: formatSocketAddress(addr.address) };
    case "custom":
      return { type: "custom", id: addr.id.toString(), data_hex: encodeHex(addr.data) };
  }
}

const valid = ticketVectors.valid[0]?.ticket ?? "";

test("iroh's tickets are read, and written again as they were", () => {
  assert.ok(ticketVectors.valid.length > 0);
  for (const { name, ticket, bytes_hex, id, addrs } of ticketVectors.valid) {
    const parsed = EndpointTicket.parse(ticket);
    assert.equal(parsed.addr.id.toString(), id, name);
    assert.deepEqual(parsed.addr.addrs.map(asVector), addrs, name);
    assert.equal(parsed.toString(), ticket, name);
    assert.equal(encodeHex(parsed.toBytes()), bytes_hex, name);
    assert.ok(EndpointTicket.fromBytes(decodeHex(bytes_hex)).equals(parsed), name);
  }
});

test("tickets that iroh reads but does not write are read, and written as iroh would", () => {
  for (const { name, ticket, canonical, id, addrs } of ticketVectors.lenient) {
    const parsed = EndpointTicket.parse(ticket);
    assert.equal(parsed.addr.id.toString(), id, name);
    assert.deepEqual(parsed.addr.addrs.map(asVector), addrs, name);
    assert.equal(parsed.toString(), canonical, name);
  }
});

test("tickets that iroh refuses are IdentityErrors", () => {
  for (const { name, input } of ticketVectors.malformed) {
    assert.throws(() => EndpointTicket.parse(input), isInvalidTicket, name);
  }
});

test("an error about a ticket says what is wrong and where", () => {
  const messages: Readonly<Record<string, RegExp>> = {
    "empty string": /"": it is empty/,
    "prefix only (no bytes)": /cut short .*at byte 0/,
    "prefix in upper case": /"endpoint" has to be in lower case/,
    "other ticket kind": /it does not begin with "endpoint"/,
    "older kind name": /node ticket is from before iroh 1\.0/,
    "leading space": /remove the white space/,
    "trailing newline": /"\\n" is not a digit of base32 \(character \d+\); remove the white space/,
    "padding characters": /"=" is not a digit of base32/,
    "character outside the alphabet": /"0" is not a digit of base32 \(character 9\)/,
    "impossible base32 length": /1 digits of base32 do not make whole bytes/,
    "non-zero spare bits at the end": /the last digit .* \(character 125\)/,
    "unknown ticket variant 1": /unknown ticket variant 1 at byte 0/,
    "unknown address variant 3": /unknown kind of address 3 at byte 34/,
    "unknown IP family 2": /unknown IP family 2 at byte 34/,
    "truncated id": /cut short .*at byte 1: wanted 32/,
    "count larger than the addresses": /cut short/,
    "port above 65535": /number does not fit 16 bits at byte 40/,
    "port varint of four bytes": /number is longer than 3 bytes at byte 40/,
    "id is not a curve point": /not a point of the curve at byte 1/,
    "relay string is not a URL": /invalid relay URL "not a url": not an absolute URL.* at byte 34/,
    "relay string is not UTF-8": /text is not UTF-8 at byte 35/,
    "custom id varint too long": /number is longer than 10 bytes at byte 35/,
    "id given in hex instead of a ticket": /does not begin with "endpoint"/,
  };
  const byName = new Map(ticketVectors.malformed.map(({ name, input }) => [name, input]));
  for (const [name, message] of Object.entries(messages)) {
    const input = byName.get(name);
    assert.ok(input !== undefined, name);
    assert.throws(
      () => EndpointTicket.parse(input),
      (error) => {
        assert.ok(isInvalidTicket(error));
        assert.match(error.message, message, name);
        return true;
      },
    );
  }
});

test("a ticket of more than 64 KiB is refused before it costs anything", () => {
  const head = decodeHex(ticketVectors.valid[0]?.bytes_hex ?? "");
  const bytes = new Uint8Array(70_000);
  bytes.set(head);
  assert.throws(() => EndpointTicket.fromBytes(bytes), /65536/);
  assert.throws(() => EndpointTicket.parse(`endpoint${encodeBase32(bytes)}`), isInvalidTicket);
  assert.ok(EndpointTicket.fromBytes(bytes.subarray(0, 65_536)).addr.isEmpty);
});

test("a ticket shows its address to people and its text to JSON", () => {
  const ticket = EndpointTicket.parse(valid);
  assert.equal(JSON.stringify([ticket]), `["${valid}"]`);
  assert.equal(`${ticket}`, valid);
  assert.equal(inspect(ticket), `EndpointTicket(${ticket.addr})`);
  assert.ok(!ticket.equals(new EndpointTicket(ticket.addr.withAddrs(["1.2.3.4:5"]))));
});

test("F28: tickets take Uint8Array and Buffer and give plain Uint8Arrays", () => {
  const bytes = EndpointTicket.parse(valid).toBytes();
  assert.equal(bytes.constructor, Uint8Array);
  assert.equal(EndpointTicket.fromBytes(Buffer.from(bytes)).toString(), valid);
});

test("every ticket reads back, and cut anywhere it is an error", () => {
  fc.assert(
    fc.property(anyEndpointAddr, fc.nat(), fc.nat(), (addr, one, other) => {
      const ticket = new EndpointTicket(addr);
      assert.ok(EndpointTicket.parse(ticket.toString()).equals(ticket));
      const bytes = ticket.toBytes();
      assert.throws(
        () => EndpointTicket.fromBytes(bytes.subarray(0, one % bytes.length)),
        isInvalidTicket,
      );
      const text = ticket.toString();
      assert.throws(
        () => EndpointTicket.parse(text.slice(0, other % text.length)),
        isInvalidTicket,
      );
    }),
    { numRuns: 2_000 },
  );
});

test("every vector cut at every byte is an error", () => {
  for (const { bytes_hex } of ticketVectors.valid) {
    const bytes = decodeHex(bytes_hex);
    for (let cut = 0; cut < bytes.length; cut++) {
      assert.throws(() => EndpointTicket.fromBytes(bytes.subarray(0, cut)), isInvalidTicket);
    }
  }
});

test("any bytes are a ticket that reads back, or an IdentityError", () => {
  const heads = ticketVectors.valid.map(({ bytes_hex }) => decodeHex(bytes_hex).subarray(0, 33));
  // A good id before random addresses, so that most inputs get past the point check.
  const anyBytes = fc
    .tuple(fc.constantFrom(...heads), fc.array(fc.oneof(fc.nat(3), fc.nat(255)), { maxLength: 30 }))
    .map(([head, tail]) => new Uint8Array([...head, ...tail]));
  fuzz(anyBytes, (bytes) => {
    try {
      const ticket = EndpointTicket.fromBytes(bytes);
      assert.ok(EndpointTicket.fromBytes(ticket.toBytes()).equals(ticket));
    } catch (error) {
      assert.ok(isInvalidTicket(error), String(error));
    }
  });
});

test("any altered ticket is a ticket or an IdentityError", () => {
  const texts = [...ticketVectors.valid, ...ticketVectors.lenient]
    .map(({ ticket }) => ticket)
    .filter((ticket) => ticket.length < 400);
  const altered = fc
    .tuple(
      fc.constantFrom(...texts),
      fc.integer({ min: 60, max: 400 }),
      fc.nat(3),
      fc.oneof(
        fc.string({ maxLength: 4 }),
        fc.string({ unit: fc.constantFrom(..."abcdefghijklmnopqrstuvwxyz234567"), maxLength: 4 }),
      ),
    )
    .map(([text, at, drop, put]) => text.slice(0, at) + put + text.slice(at + drop));
  fuzz(fc.oneof({ weight: 9, arbitrary: altered }, fc.string()), (text) => {
    try {
      EndpointTicket.parse(text);
    } catch (error) {
      assert.ok(isInvalidTicket(error), String(error));
    }
  });
});

test("a ticket is made of any address", () => {
  const addr = EndpointAddr.from({ id: "00".repeat(32), addrs: ["[::1]:1", "https://r.example"] });
  assert.ok(EndpointTicket.parse(new EndpointTicket(addr).toString()).addr.equals(addr));
});
