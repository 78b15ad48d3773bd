import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../../test/support/fuzz.ts";
import { connectionIdLength, parsePacketHeader, splitCoalesced } from "./packet-header.ts";

const initial = Uint8Array.of(0xc0, 0, 0, 0, 1, 2, 7, 8, 3, 1, 2, 3, 1, 0xaa, 4, 9, 9, 9, 9);
const handshake = Uint8Array.of(0xe0, 0, 0, 0, 1, 2, 7, 8, 3, 1, 2, 3, 4, 9, 9, 9, 9);
const short = Uint8Array.of(0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10);

describe("headers of packets", () => {
  it("tell the ids, and the token of an Initial packet (RFC 9000 §17.2.2)", () => {
    assert.deepEqual(parsePacketHeader(initial), {
      form: "long",
      version: 1,
      destinationId: Uint8Array.of(7, 8),
      sourceId: Uint8Array.of(1, 2, 3),
      initialToken: Uint8Array.of(0xaa),
    });
    assert.equal(parsePacketHeader(handshake)?.form, "long");
    assert.deepEqual(parsePacketHeader(short), {
      form: "short",
      destinationId: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    });
  });

  it("of other versions may have long ids (RFC 8999 §5.1)", () => {
    const bytes = Uint8Array.of(0x80, 0, 0, 0, 9, 30, ...new Uint8Array(30).fill(5), 0);
    const header = parsePacketHeader(bytes);
    assert(header?.form === "long");
    assert.equal(header.version, 9);
    assert.equal(header.destinationId.length, 30);
    bytes[4] = 1;
    assert.equal(parsePacketHeader(bytes), undefined);
  });

  it("that are cut are none", () => {
    for (let length = 0; length <= 13; length += 1) {
      assert.equal(parsePacketHeader(initial.subarray(0, length)), undefined, String(length));
    }
    assert.equal(parsePacketHeader(short.subarray(0, connectionIdLength)), undefined);
  });

  it("of garbage never throw", () => {
    fuzz(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      parsePacketHeader(bytes);
      const packets = splitCoalesced(bytes);
      assert.deepEqual(
        packets.flatMap((packet) => [...packet]),
        [...bytes],
      );
    });
  });
});

describe("coalesced packets", () => {
  it("are told apart (RFC 9000 §12.2)", () => {
    const datagram = Uint8Array.of(...initial, ...handshake, ...short);
    assert.deepEqual(splitCoalesced(datagram), [initial, handshake, short]);
    const padded = Uint8Array.of(...initial, 0, 0, 0, 0);
    assert.deepEqual(splitCoalesced(padded), [initial, new Uint8Array(4)]);
  });

  it("stay in one where a length is wrong", () => {
    const wrong = initial.slice();
    wrong[14] = 5;
    assert.deepEqual(splitCoalesced(wrong), [wrong]);
  });
});
