// Texts of several blocks in PEM (RFC 7468), as files of certificates and keys are.

import { EncodingError } from "../base/encoding-error.ts";

/** What stands between a BEGIN and its END. */
export interface PemBlock {
  /** The kind, such as "CERTIFICATE". */
  readonly label: string;
  /** Base64 with line ends; headers before it in private keys of OpenSSL's old format. */
  readonly content: string;
}

/**
 * The blocks of a text, in order; what stands around them is for people and ignored. Throws {@link EncodingError} where
 * BEGIN and END do not pair up, because then a block would be lost. The message holds nothing of a block but labels.
 */
export function pemBlocks(text: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  let open: { readonly label: string; readonly start: number } | undefined;
  const incomplete = (label: string): EncodingError =>
    new EncodingError(
      `block ${blocks.length + 1}, "${label}", lacks its beginning or end: is the text cut?`,
    );
  for (const { 0: marker, 1: side, 2: label = "", index } of text.matchAll(markers)) {
    if (side === "BEGIN" && open === undefined) {
      open = { label, start: index + marker.length };
    } else if (side === "END" && open?.label === label) {
      blocks.push({ label, content: text.slice(open.start, index) });
      open = undefined;
    } else {
      throw incomplete(open?.label ?? label);
    }
  }
  if (open !== undefined) {
    throw incomplete(open.label);
  }
  return blocks;
}

/** The bytes of a block without headers. Throws {@link EncodingError}. */
export function decodePemBlock({ content }: PemBlock): Uint8Array {
  try {
    return Uint8Array.from(atob(content), (symbol) => symbol.charCodeAt(0));
  } catch {
    throw new EncodingError("not base64");
  }
}

/** What a message can say of bytes and texts in which there is no block. */
export function describeNoBlock(given: string | Uint8Array): string {
  if (given.length === 0) {
    return "it is empty";
  }
  // SEQUENCE, with which every certificate and key begins.
  const isDer = typeof given !== "string" && given[0] === 0x30;
  return isDer
    ? "it looks like DER, and has to be PEM (openssl converts it)"
    : "it is not PEM, which begins with -----BEGIN";
}

/** Text as it is, bytes as UTF-8. Throws TypeError for anything else, and says nothing about what it is. */
export function pemText(given: string | Uint8Array, name: string): string {
  if (typeof given === "string") {
    return given;
  }
  if (!(given instanceof Uint8Array)) {
    throw new TypeError(`${name} has to be PEM, as a string or a Uint8Array`);
  }
  return new TextDecoder().decode(given);
}

const markers = /-----(BEGIN|END) ([A-Z0-9 ]{1,64})-----/g;
