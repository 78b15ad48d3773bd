import { EndpointAddr } from "./endpoint-addr.ts";
import { EndpointId } from "./endpoint-id.ts";
import { EndpointTicket } from "./endpoint-ticket.ts";
import { IdentityError, quote } from "./identity-error.ts";
import { base32Length } from "./key-text.ts";

/** Whom to dial: a ticket or an id, as text or as object, or an address. */
export type Target = string | EndpointTicket | EndpointId | EndpointAddr;

/**
 * The address that a target stands for; that of an id has no ways to reach it.
 * Throws {@link IdentityError} `invalid-ticket` or `invalid-id`.
 */
export function parseTarget(target: Target): EndpointAddr {
  if (target instanceof EndpointAddr) {
    return target;
  }
  if (target instanceof EndpointTicket) {
    return target.addr;
  }
  if (target instanceof EndpointId) {
    return new EndpointAddr(target);
  }
  if (typeof target !== "string") {
    // Programs in plain JavaScript hand over an argument that was not given.
    throw new IdentityError(
      "invalid-id",
      `invalid target: expected a ticket, an endpoint id or an EndpointAddr, found ${target === null ? "null" : typeof target}`,
    );
  }
  if (target === "") {
    throw new IdentityError(
      "invalid-id",
      "invalid target: the text is empty, expected a ticket or an endpoint id",
    );
  }
  if (looksLikeTicket(target)) {
    return EndpointTicket.parse(target).addr;
  }
  if (/:\/\/|:[0-9]{1,5}$/.test(target)) {
    throw new IdentityError(
      "invalid-id",
      `invalid target ${quote(target)}: an address does not say who the peer is; expected a ticket or an endpoint id`,
    );
  }
  return EndpointAddr.from({ id: target });
}

/** An id in base32 may begin with any letters, but has a length that no ticket has. */
function looksLikeTicket(text: string): boolean {
  return text.length !== base32Length && /^\s*(?:endpoint|node)/i.test(text);
}
