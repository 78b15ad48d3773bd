/** Where a STUN server is, by name or IP address. */
export interface StunServer {
  readonly host: string;
  readonly port: number;
}

/** RFC 8489 §18.6. */
const defaultPort = 3_478;

/**
 * Reads `host`, `host:port` or a URI such as `stun:host:port` (RFC 7064); IPv6 addresses stand in brackets. Throws TypeError
 * or RangeError saying what is wrong.
 */
export function parseStunServer(text: string): StunServer {
  const [, bracketed, plain, port = `${defaultPort}`] =
    /^(?:stun:)?(?:\[([0-9a-fA-F:.]+)\]|([^:/?@[\]\s]+))(?::([0-9]{1,5}))?$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined) {
    throw new TypeError(`invalid STUN server ${JSON.stringify(text)}: expected host or host:port`);
  }
  if (Number(port) < 1 || Number(port) > 0xffff) {
    throw new RangeError(`invalid STUN server ${JSON.stringify(text)}: no port ${port}`);
  }
  return { host, port: Number(port) };
}
