import { decodeBase32, encodeBase32 } from "../base/base32.ts";
import { UnexpectedEndError } from "../base/byte-reader.ts";
import { EncodingError } from "../base/encoding-error.ts";
import { showAs } from "../base/inspect.ts";
import { PostcardError } from "../base/postcard.ts";
import type { EndpointAddr } from "./endpoint-addr.ts";
import { IdentityError, quote } from "./identity-error.ts";
import { decodeTicket, encodeTicket } from "./ticket-codec.ts";

/** What the text of a ticket begins with. */
export const ticketPrefix = "endpoint";

/** An {@link EndpointAddr} as one word that can be copied, as iroh writes it: `endpoint` and base32. Immutable. */
export class EndpointTicket {
  static {
    showAs(EndpointTicket, (ticket) => `EndpointTicket(${ticket.addr})`);
  }

  readonly addr: EndpointAddr;

  constructor(addr: EndpointAddr) {
    this.addr = addr;
    Object.freeze(this);
  }

  /** Throws {@link IdentityError} `invalid-ticket`, saying what is wrong and where. */
  static parse(text: string): EndpointTicket {
    if (!text.startsWith(ticketPrefix)) {
      throw invalid(text, prefixProblem(text));
    }
    try {
      return new EndpointTicket(decodeTicket(decodeBase32(text, ticketPrefix.length)));
    } catch (error) {
      throw wrap(error, text);
    }
  }

  /** Reads the bytes that the base32 holds. Throws {@link IdentityError} `invalid-ticket`. */
  static fromBytes(bytes: Uint8Array): EndpointTicket {
    try {
      return new EndpointTicket(decodeTicket(bytes));
    } catch (error) {
      throw wrap(error);
    }
  }

  toBytes(): Uint8Array {
    return encodeTicket(this.addr);
  }

  toString(): string {
    return ticketPrefix + encodeBase32(this.toBytes());
  }

  toJSON(): string {
    return this.toString();
  }

  equals(other: EndpointTicket): boolean {
    return this.addr.equals(other.addr);
  }
}

/** @param text undefined where a ticket came as bytes */
function invalid(text: string | undefined, problem: string, cause?: unknown): IdentityError {
  const what = text === undefined ? "invalid ticket" : `invalid ticket ${quote(text)}`;
  return new IdentityError("invalid-ticket", `${what}: ${problem}`, { cause });
}

/** The layers' errors below as one of ours; bytes are counted in what the base32 holds. */
function wrap(error: unknown, text?: string): unknown {
  if (error instanceof UnexpectedEndError) {
    return invalid(text, `it is cut short (${error.message})`, error);
  }
  if (error instanceof EncodingError) {
    const hint = text !== undefined && /\s/.test(text) ? "; remove the white space" : "";
    return invalid(text, `${error.message}${hint}`, error);
  }
  return error instanceof PostcardError ? invalid(text, error.message, error) : error;
}

function prefixProblem(text: string): string {
  if (text === "") {
    return "it is empty";
  }
  if (text.trim() !== text) {
    return "remove the white space around it";
  }
  if (text.toLowerCase().startsWith(ticketPrefix)) {
    return `"${ticketPrefix}" has to be in lower case`;
  }
  if (text.startsWith("node")) {
    return `a node ticket is from before iroh 1.0: ask for one that begins with "${ticketPrefix}"`;
  }
  return `it does not begin with "${ticketPrefix}"`;
}
