import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { AddressBook, addressLength } from "./address-book.ts";
import { type SocketAddress, socketAddress } from "./socket-address.ts";

const address: fc.Arbitrary<SocketAddress> = fc
  .tuple(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 0, max: 0xffff }))
  .map(([host, port]) => socketAddress(host, port))
  // An IPv4 address in IPv6 clothes comes back undressed.
  .filter(({ host }) => !host.startsWith("::ffff:"));

describe("AddressBook", () => {
  it("encodes IPv4 as ::ffff:a.b.c.d, and the port little-endian", () => {
    const encoded = new AddressBook().encode(socketAddress("1.2.3.4", 0x0506));
    assert.equal(Buffer.from(encoded).toString("hex"), "00000000000000000000ffff010203040605");
  });

  it("encodes IPv6 as it is", () => {
    const encoded = new AddressBook().encode(socketAddress("2001:db8::1", 1));
    assert.equal(Buffer.from(encoded).toString("hex"), "20010db80000000000000000000000010100");
  });

  it("decodes what it encodes, wherever it stands", () => {
    const book = new AddressBook();
    fc.assert(
      fc.property(address, fc.nat(20), (original, offset) => {
        const bytes = new Uint8Array(offset + addressLength + 3).fill(0xee);
        bytes.set(book.encode(original), offset);
        assert.deepEqual(book.decode(bytes, offset), original);
      }),
      { numRuns: 5_000 },
    );
  });

  it("gives the same object for the same bytes", () => {
    const book = new AddressBook();
    const one = book.encode(socketAddress("10.0.0.1", 1));
    const two = book.encode(socketAddress("10.0.0.2", 1));
    const first = book.decode(one, 0);
    assert.notEqual(book.decode(two, 0), first);
    assert.equal(book.decode(one, 0), first);
  });

  it("survives more addresses than it remembers", () => {
    const book = new AddressBook();
    for (let index = 0; index < 10_000; index += 1) {
      const original = socketAddress(`10.0.${index >> 8}.${index & 0xff}`, 7);
      assert.deepEqual(book.decode(book.encode(original), 0), original);
    }
  });
});
