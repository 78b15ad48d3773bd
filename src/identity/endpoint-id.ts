import { decodeZ32, encodeBase32, encodeZ32 } from "../base/base32.ts";
import { EncodingError } from "../base/encoding-error.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { showAs } from "../base/inspect.ts";
import { isCurvePoint } from "./curve-point.ts";
import { IdentityError, quote } from "./identity-error.ts";
import { base32Length, hexLength, keyLength, parseKeyText } from "./key-text.ts";

/** Ids remembered because checking that bytes are a curve point is slow, in up to 4 MB. The oldest goes first. */
const maxRemembered = 16_384;

/**
 * Who a peer is: an Ed25519 public key, 32 bytes that are a point of the curve. Immutable.
 *
 * Two ids of the same peer may be two objects: compare with `equals`, and use `toString()` as key of a Map.
 */
export class EndpointId {
  static {
    showAs(EndpointId, (id) => `EndpointId(${id})`);
  }

  readonly #hex: string;

  private constructor(hex: string) {
    this.#hex = hex;
  }

  /**
   * Reads an id as iroh does: 64 lower-case hexadecimal digits (its printed form), or 52 digits of RFC 4648 base32 in any
   * letter case. Throws {@link IdentityError} `invalid-id`.
   */
  static parse(text: string): EndpointId {
    return EndpointId.fromBytes(decodeText(text, parseKeyText));
  }

  /** Reads the z-base-32 form, 52 lower-case digits, of DNS names and pkarr paths. Throws `invalid-id`. */
  static fromZ32(text: string): EndpointId {
    return EndpointId.fromBytes(decodeText(text, decodeZ32));
  }

  /**
   * Takes 32 bytes, which are copied. Points of small order and other encodings that no key pair has are ids for iroh, and
   * so they are here: nobody can prove to be one. Throws {@link IdentityError} `invalid-id` for what is no point.
   */
  static fromBytes(bytes: Uint8Array): EndpointId {
    if (bytes.length !== keyLength) {
      throw new IdentityError(
        "invalid-id",
        `invalid endpoint id: ${bytes.length} bytes, expected ${keyLength}`,
      );
    }
    const hex = encodeHex(bytes);
    const known = remembered.get(hex);
    if (known !== undefined) {
      return known;
    }
    if (!isCurvePoint(bytes)) {
      throw new IdentityError(
        "invalid-id",
        `invalid endpoint id ${hex}: no public key, the bytes are not a point of the curve`,
      );
    }
    const id = new EndpointId(hex);
    if (remembered.size >= maxRemembered) {
      const [oldest = ""] = remembered.keys();
      remembered.delete(oldest);
    }
    remembered.set(hex, id);
    return id;
  }

  /** The 32 bytes, a new copy each time. */
  get bytes(): Uint8Array {
    return decodeHex(this.#hex);
  }

  /** The first ten digits, for people and logs. Does not identify a peer. */
  get short(): string {
    return this.#hex.slice(0, 10);
  }

  equals(other: EndpointId): boolean {
    return this.#hex === other.#hex;
  }

  /** 64 lower-case hexadecimal digits. */
  toString(): string {
    return this.#hex;
  }

  /** 52 digits of RFC 4648 base32, lower case: the names of local discovery and TLS. */
  toBase32(): string {
    return encodeBase32(this.bytes);
  }

  /** 52 digits of z-base-32: the names of DNS and pkarr. */
  toZ32(): string {
    return encodeZ32(this.bytes);
  }

  toJSON(): string {
    return this.#hex;
  }
}

const remembered = new Map<string, EndpointId>();

function decodeText(text: string, decode: (text: string) => Uint8Array): Uint8Array {
  try {
    return decode(text);
  } catch (error) {
    if (!(error instanceof EncodingError)) {
      throw error;
    }
    const hint = hintFor(text);
    throw new IdentityError(
      "invalid-id",
      `invalid endpoint id ${quote(text)}: ${error.message}${hint === undefined ? "" : `; ${hint}`}`,
      { cause: error },
    );
  }
}

/** What a person may have meant with a text that is not an id. */
function hintFor(text: string): string | undefined {
  if (/\s/.test(text)) {
    return "remove the white space";
  }
  if (/^0x/i.test(text)) {
    return "remove the 0x";
  }
  if (/^[0-9a-f]{11,}$/i.test(text)) {
    if (text.length === hexLength) {
      return "write hexadecimal digits in lower case";
    }
    return text.length < hexLength ? "it seems to be cut short" : "it is too long";
  }
  if (/^[0-9a-f]{10}$/.test(text)) {
    return "this is the short form for logs, which does not identify a peer";
  }
  if (text.length === base32Length && isZ32(text)) {
    return "it looks like z-base-32, which EndpointId.fromZ32 reads";
  }
  return undefined;
}

function isZ32(text: string): boolean {
  try {
    return decodeZ32(text).length === keyLength;
  } catch {
    return false;
  }
}
