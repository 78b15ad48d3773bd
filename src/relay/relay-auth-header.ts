import { UnexpectedEndError } from "../base/byte-reader.ts";
import { PostcardError, PostcardReader, PostcardWriter } from "../base/postcard.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { IdentityError } from "../identity/identity-error.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import { verify } from "../identity/verify.ts";
import { RelayError } from "./relay-error.ts";

// How a client proves its id to a relay with its first request, which saves the round trip of a challenge (iroh-relay 1.4,
// src/protos/handshake.rs). What is signed is known to the two ends of this TLS connection alone (RFC 8446 §7.5), so that
// nobody can use the header for another. Base64url without padding of
//
//   id 32 | 64 as a varint | signature of the first 16 bytes of the key material 64 | the other 16 bytes

/** The header's name. */
export const authHeaderName = "x-iroh-relay-client-auth-v1";

/**
 * Gives keying material of the TLS connection that a request goes over. Undefined where there is none: without TLS, and where
 * TLS cannot tell.
 */
export type ExportKeys = (
  label: string,
  context: Uint8Array,
  length: number,
) => Uint8Array | undefined;

/** Who a client says that it is, not verified yet. */
export interface AuthHeader {
  readonly id: EndpointId;
  readonly signature: Uint8Array;
  /** The end of the key material: whether both sides mean the same connection. */
  readonly suffix: Uint8Array;
}

/** The header's value; undefined where the connection gives no keys. */
export function createAuthHeader(secretKey: SecretKey, exportKeys: ExportKeys): string | undefined {
  const material = keyMaterial(secretKey.publicKey, exportKeys);
  if (material === undefined) {
    return undefined;
  }
  const bytes = new PostcardWriter()
    .fixedBytes(secretKey.publicKey.bytes)
    .bytes(secretKey.sign(material.subarray(0, signedLength)))
    .fixedBytes(material.subarray(signedLength))
    .finish();
  return encodeBase64url(bytes);
}

/** Reads the header. Throws {@link RelayError} `invalid-frame`. */
export function decodeAuthHeader(text: string): AuthHeader {
  try {
    const reader = new PostcardReader(decodeBase64url(text));
    const id = EndpointId.fromBytes(reader.fixedBytes(32));
    const signature = reader.bytes();
    const suffix = reader.fixedBytes(materialLength - signedLength);
    if (signature.length !== 64) {
      throw invalid(`signature of ${signature.length} bytes, expected 64`);
    }
    return { id, signature, suffix };
  } catch (error) {
    if (
      error instanceof PostcardError ||
      error instanceof IdentityError ||
      error instanceof UnexpectedEndError
    ) {
      throw invalid(error.message, error);
    }
    throw error;
  }
}

/**
 * Whether the header proves that the other end of this connection is who it says. False as well where a proxy ends TLS: then
 * a challenge shows it. Takes about 1 ms.
 */
export function isRightAuthHeader(header: AuthHeader, exportKeys: ExportKeys): boolean {
  const { id, signature, suffix } = header;
  const material = keyMaterial(id, exportKeys);
  return (
    material !== undefined &&
    suffix.every((byte, index) => byte === material[signedLength + index]) &&
    verify(id, material.subarray(0, signedLength), signature)
  );
}

function keyMaterial(id: EndpointId, exportKeys: ExportKeys): Uint8Array | undefined {
  return exportKeys(label, id.bytes, materialLength);
}

function encodeBase64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}

function decodeBase64url(text: string): Uint8Array {
  if (text.length > maxTextLength || !/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) {
    throw invalid("it is no base64url without padding");
  }
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function invalid(problem: string, cause?: unknown): RelayError {
  return new RelayError("invalid-frame", `invalid ${authHeaderName}: ${problem}`, { cause });
}

const label = "iroh-relay handshake v1";
const materialLength = 32;
const signedLength = 16;
/** A right one has 151 characters. */
const maxTextLength = 1_000;
