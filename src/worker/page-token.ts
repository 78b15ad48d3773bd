import { createHmac, timingSafeEqual } from "node:crypto";
import type { PageToken } from "./page-guard.ts";

/** The least length of a token, in characters. */
export const minTokenLength = 16;

/** @param port where the page is */
export function createPageToken(token: string, port: number): PageToken {
  const digest = (what: string, text: string): Buffer =>
    createHmac("sha256", what).update(text).digest();
  const tokenDigest = digest("token", token);
  // A browser keeps no token, but what it is good for here alone.
  const cookie = digest(`connect-quic worker's page at ${port}`, token).toString("base64url");
  const cookieDigest = digest("cookie", cookie);
  return {
    isToken: (text) => timingSafeEqual(digest("token", text), tokenDigest),
    isCookie: (text) => timingSafeEqual(digest("cookie", text), cookieDigest),
    cookie,
    cookieName: `connect-quic-worker-${port}`,
  };
}
