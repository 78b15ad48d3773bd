// Reads which cipher suite a server chose, off the network: its first packet is protected with keys that everybody can
// derive (RFC 9001 §5.2).

import assert from "node:assert/strict";
import { createCipheriv, createDecipheriv, createHmac } from "node:crypto";
import { test } from "node:test";
import { EnginePair } from "../../../test/support/engine-pair.ts";
import { ByteReader } from "../../base/byte-reader.ts";

/** RFC 9001 §5.2, for QUIC version 1. */
const initialSalt = Buffer.from("38762cf7f55934b34d179ae6a4c80cadccbb7f0a", "hex");
/** RFC 8446 §B.4. */
const chacha20Poly1305Sha256 = 0x1303;

test("two endpoints choose ChaCha20-Poly1305, which is nine times as fast as AES in WebAssembly", () => {
  const pair = new EnginePair();
  const first: Partial<Record<"client" | "server", Uint8Array>> = {};
  pair.network.tap = ({ from, bytes }) => {
    first[from.host === pair.client.address.host ? "client" : "server"] ??= bytes;
    return bytes;
  };
  pair.connect();
  assert.ok(first.client && first.server);
  const serverHello = readCryptoFrame(openInitial(first.server, destinationOf(first.client)));
  assert.equal(cipherSuiteOf(serverHello), chacha20Poly1305Sha256);
});

/** The destination connection id of a long header (RFC 9000 §17.2). */
function destinationOf(packet: Uint8Array): Uint8Array {
  return packet.slice(6, 6 + (packet[5] ?? 0));
}

/** The content of a server's Initial packet (RFC 9001 §5), `connectionId` being what its client's first one was sent to. */
function openInitial(packet: Uint8Array, connectionId: Uint8Array): Uint8Array {
  const initial = createHmac("sha256", initialSalt).update(connectionId).digest();
  const secret = expandLabel(initial, "server in", 32);
  const reader = new ByteReader(packet);
  reader.bytes(5);
  reader.bytes(reader.u8());
  reader.bytes(reader.u8());
  reader.bytes(reader.varintNumber());
  const length = reader.varintNumber();
  const start = packet.length - reader.remaining;

  const sample = packet.slice(start + 4, start + 20);
  const hp = createCipheriv("aes-128-ecb", expandLabel(secret, "quic hp", 16), null);
  const mask = hp.update(sample);
  const header = packet.slice(0, start + 4);
  header[0] = (header[0] ?? 0) ^ ((mask[0] ?? 0) & 0x0f);
  const numberLength = ((header[0] ?? 0) & 0x03) + 1;
  const nonce = expandLabel(secret, "quic iv", 12);
  for (let index = 0; index < numberLength; index += 1) {
    const byte = (header[start + index] ?? 0) ^ (mask[1 + index] ?? 0);
    header[start + index] = byte;
    const at = nonce.length - numberLength + index;
    nonce[at] = (nonce[at] ?? 0) ^ byte;
  }
  const aead = createDecipheriv("aes-128-gcm", expandLabel(secret, "quic key", 16), nonce);
  aead.setAAD(header.subarray(0, start + numberLength));
  aead.setAuthTag(packet.slice(start + length - 16, start + length));
  const content = aead.update(packet.slice(start + numberLength, start + length - 16));
  return Buffer.concat([content, aead.final()]);
}

/** HKDF-Expand-Label (RFC 8446 §7.1) of at most 32 bytes. */
function expandLabel(secret: Uint8Array, label: string, length: number): Buffer {
  const full = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, length, full.length]), full, Buffer.from([0, 1])]);
  return createHmac("sha256", secret).update(info).digest().subarray(0, length);
}

/** The bytes of the first CRYPTO frame (RFC 9000 §19.6), after an acknowledgement and padding. */
function readCryptoFrame(content: Uint8Array): Uint8Array {
  const reader = new ByteReader(content);
  for (;;) {
    const type = reader.varintNumber();
    if (type === 0x02) {
      reader.varintNumber();
      reader.varintNumber();
      const ranges = reader.varintNumber();
      for (let count = 0; count < 2 * ranges + 1; count += 1) {
        reader.varintNumber();
      }
    } else if (type === 0x06) {
      assert.equal(reader.varintNumber(), 0);
      return reader.bytes(reader.varintNumber());
    } else {
      assert.equal(type, 0x00);
    }
  }
}

/** RFC 8446 §4.1.3: type and length, version, random, session id, and then the suite. */
function cipherSuiteOf(serverHello: Uint8Array): number {
  const view = Buffer.from(serverHello);
  assert.equal(view[0], 0x02);
  const sessionIdLength = view.readUInt8(38);
  return view.readUInt16BE(39 + sessionIdLength);
}
