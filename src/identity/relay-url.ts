import { IdentityError, quote } from "./identity-error.ts";

declare const relayUrl: unique symbol;

/**
 * Where a relay server is: the normal form of an absolute URL, so that equal relays have equal strings. It is a string
 * for every purpose; only {@link parseRelayUrl} makes one.
 *
 * By convention the host ends with a dot (`https://use1-1.relay.n0.iroh.link./`), which saves the search through local
 * DNS suffixes and has to go where TLS wants the server's name.
 */
export type RelayUrl = string & { readonly [relayUrl]: true };

/**
 * Brings an absolute URL of any scheme to its normal form, as browsers do (https://url.spec.whatwg.org): host in lower
 * case, no default port, a path. Throws {@link IdentityError} `invalid-address`.
 */
export function parseRelayUrl(text: string): RelayUrl {
  let url: URL;
  try {
    url = new URL(text);
  } catch (error) {
    const problem = /^[a-z][a-z0-9+.-]*:/i.test(text)
      ? "not a valid URL"
      : "not an absolute URL (https://…)";
    throw new IdentityError("invalid-address", `invalid relay URL ${quote(text)}: ${problem}`, {
      cause: error,
    });
  }
  return url.href as RelayUrl;
}
