import { createHmac, timingSafeEqual } from "node:crypto";
import { ByteReader } from "../../base/byte-reader.ts";
import { concatBytes } from "../../base/bytes.ts";
import { formatSocketAddress, type SocketAddress } from "../../base/socket-address.ts";

/** Of the first byte: tokens of other origin are not ours to judge. */
const tokenKind = 0x71;
const macLength = 16;
/** A client answers a Retry at once. */
const lifetimeMs = 15_000;

/** What a token says: the id that the client first chose for us, which has to be repeated to it (RFC 9000 §7.3). */
export type TokenVerdict =
  | { readonly type: "valid"; readonly originalId: Uint8Array }
  | { readonly type: "invalid" }
  | { readonly type: "foreign" };

/**
 * What a client returns after a Retry to show that it gets what is sent to its address (RFC 9000 §8.1.2). All that we
 * have to know again is in the token, and authenticated: the address, the time, and both ids.
 */
export class AddressTokens {
  readonly #key: Uint8Array;

  /** @param key 32 secret bytes */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** @param retryId the id that the client will address us by from now on */
  issue(
    client: SocketAddress,
    originalId: Uint8Array,
    retryId: Uint8Array,
    nowMs: number,
  ): Uint8Array {
    const time = new Uint8Array(8);
    new DataView(time.buffer).setFloat64(0, nowMs);
    const body = concatBytes([
      Uint8Array.of(tokenKind),
      time,
      Uint8Array.of(originalId.length),
      originalId,
    ]);
    return concatBytes([body, this.#mac(client, body, retryId)]);
  }

  check(
    client: SocketAddress,
    token: Uint8Array,
    destinationId: Uint8Array,
    nowMs: number,
  ): TokenVerdict {
    if (token[0] !== tokenKind) {
      return { type: "foreign" };
    }
    const end = token.length - macLength;
    if (end < 10) {
      return { type: "invalid" };
    }
    const body = token.subarray(0, end);
    if (!timingSafeEqual(this.#mac(client, body, destinationId), token.subarray(end))) {
      return { type: "invalid" };
    }
    const reader = new ByteReader(body, 1);
    const issuedMs = new DataView(reader.bytes(8).slice().buffer).getFloat64(0);
    const originalId = reader.bytes(reader.u8()).slice();
    return nowMs - issuedMs <= lifetimeMs ? { type: "valid", originalId } : { type: "invalid" };
  }

  #mac(client: SocketAddress, body: Uint8Array, retryId: Uint8Array): Uint8Array {
    return createHmac("sha256", this.#key)
      .update(body)
      .update(retryId)
      .update(formatSocketAddress(client))
      .digest()
      .subarray(0, macLength);
  }
}

/** Tokens of stateless resets (RFC 9000 §10.3.2), one for each of our connection ids. */
export class ResetTokens {
  readonly #key: Uint8Array;

  /** @param key 32 secret bytes */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  tokenFor(connectionId: Uint8Array): Uint8Array {
    return createHmac("sha256", this.#key).update(connectionId).digest().subarray(0, 16);
  }
}
