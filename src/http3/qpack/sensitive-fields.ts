/**
 * Whether a field is a secret that must not be compressed: an attacker who can make us send fields of his choice beside
 * it could find it out by trial, from the length of what we send (RFC 9204 §7.1.3). Long cookies hold too much to be
 * guessed at once, and are worth compressing.
 */
export function isSensitiveField(name: string, value: string): boolean {
  switch (name) {
    case "authorization":
    case "proxy-authorization":
      return true;
    case "cookie":
    case "set-cookie":
      return value.length < guessableCookieLength;
    default:
      return false;
  }
}

const guessableCookieLength = 20;
