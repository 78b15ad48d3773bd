import { blake3 } from "@noble/hashes/blake3.js";
import { encodeHex } from "../../base/hex.ts";
import type { EndpointId } from "../../identity/endpoint-id.ts";

/** Who wants to be let in. The id is proven. */
export interface AccessRequest {
  readonly id: EndpointId;
  /** Of the `Authorization: Bearer` header, or the `token` parameter of the URL. */
  readonly token: string | undefined;
  /** As far as it is known: of a proxy, where there is one. */
  readonly remoteAddress: string | undefined;
}

/**
 * Decides who may use a relay: true lets in, false denies, and so does a text, which the client is shown. A rejection
 * denies. It has to answer within the time of the handshake.
 */
export type AuthorizeRelayClient = (
  request: AccessRequest,
) => boolean | string | Promise<boolean | string>;

/** Lets these ids in and nobody else. */
export function allowIds(ids: Iterable<EndpointId>): AuthorizeRelayClient {
  const allowed = new Set(Array.from(ids, String));
  return ({ id }) => allowed.has(id.toString());
}

/** Lets everybody in but these ids. */
export function denyIds(ids: Iterable<EndpointId>): AuthorizeRelayClient {
  const denied = new Set(Array.from(ids, String));
  return ({ id }) => !denied.has(id.toString());
}

/** Lets in who knows one of these tokens. */
export function requireToken(tokens: Iterable<string>): AuthorizeRelayClient {
  // Compared by hash: how long it takes tells nothing of how much of a token was right.
  const hashes = new Set(Array.from(tokens, hashOf));
  return ({ token }) => token !== undefined && hashes.has(hashOf(token));
}

function hashOf(token: string): string {
  return encodeHex(blake3(new TextEncoder().encode(token)));
}
