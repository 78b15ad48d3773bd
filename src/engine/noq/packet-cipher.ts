import { createCipheriv, createDecipheriv, getCipherInfo } from "node:crypto";
import { release } from "../../base/release.ts";

/** ChaCha20-Poly1305 in place (RFC 8439): keys of 32 bytes, nonces of 12, tags of 16. */
export interface PacketCipher {
  /** Turns `text` into what it is encrypted, and fills `tag`. `header` is vouched for as well. */
  seal(
    key: Uint8Array,
    nonce: Uint8Array,
    header: Uint8Array,
    text: Uint8Array,
    tag: Uint8Array,
  ): void;
  /** Turns `text` into what it was. False when `tag` does not fit; then `text` is as it was. */
  open(
    key: Uint8Array,
    nonce: Uint8Array,
    header: Uint8Array,
    text: Uint8Array,
    tag: Uint8Array,
  ): boolean;
}

const algorithm = "chacha20-poly1305";
const options = { authTagLength: 16 };

const nodeCipher: PacketCipher = {
  seal(key, nonce, header, text, tag) {
    const cipher = createCipheriv(algorithm, key, nonce, options);
    cipher.setAAD(header, { plaintextLength: text.length });
    const sealed = cipher.update(text);
    cipher.final();
    text.set(sealed);
    release(sealed);
    tag.set(cipher.getAuthTag());
  },
  open(key, nonce, header, text, tag) {
    const decipher = createDecipheriv(algorithm, key, nonce, options);
    decipher.setAAD(header, { plaintextLength: text.length });
    decipher.setAuthTag(tag);
    const opened = decipher.update(text);
    try {
      decipher.final();
    } catch {
      return false;
    }
    text.set(opened);
    release(opened);
    return true;
  },
};

/**
 * What Node.js has of it, by instructions that WebAssembly cannot use: a packet of 16 kB takes a fifth of the time, a small
 * one longer, for the way there. Undefined where OpenSSL is built without it, as in Electron.
 */
export const packetCipher: PacketCipher | undefined =
  getCipherInfo(algorithm) === undefined ? undefined : nodeCipher;
