import { X509Certificate } from "node:crypto";
import * as tls from "node:tls";
import { EncodingError } from "../base/encoding-error.ts";
import { IdentityError } from "./identity-error.ts";
import {
  decodePemBlock,
  describeNoBlock,
  type PemBlock,
  pemBlocks,
  pemText,
} from "./pem-blocks.ts";

/**
 * The certificates of one or several texts in PEM, as DER, in order: a bundle of authorities. What stands between the
 * certificates is ignored. Whether they are valid now, and whether they may sign others, is not looked at.
 *
 * Throws {@link IdentityError} `invalid-certificate` where a text holds no certificate, something else besides, or one
 * that cannot be read.
 */
export function parseCertificates(
  pem: string | Uint8Array | readonly (string | Uint8Array)[],
): Uint8Array[] {
  if (typeof pem === "string" || pem instanceof Uint8Array) {
    return readCertificates(pem, "certificates").map(certificateDer);
  }
  if (!Array.isArray(pem)) {
    throw new TypeError(
      "certificates have to be PEM: a string, a Uint8Array, or an array of those",
    );
  }
  if (pem.length === 0) {
    throw invalid("certificates", "the array is empty");
  }
  return pem.flatMap((text, index) =>
    readCertificates(text, `certificates[${index}]`).map(certificateDer),
  );
}

/**
 * The authorities that Node.js trusts, as DER: Mozilla's list as it was when this release of Node.js was made, and from
 * Node.js 22.15 on what `NODE_EXTRA_CA_CERTS` and `--use-system-ca` add. The same array each time; neither it nor the bytes
 * are to be written to.
 */
export function systemAuthorities(): readonly Uint8Array[] {
  authorities ??= Object.freeze(
    trustedByNode().flatMap((pem) => pemBlocks(pem).map(decodePemBlock)),
  );
  return authorities;
}

/** PEM. */
function trustedByNode(): readonly string[] {
  // From Node.js 22.15 on.
  const { getCACertificates } = tls as { readonly getCACertificates?: () => string[] };
  return getCACertificates?.() ?? tls.rootCertificates;
}

let authorities: readonly Uint8Array[] | undefined;

/**
 * The certificates of a text in PEM, at least one. Throws {@link IdentityError} `invalid-certificate`.
 * @param name what messages call the text
 */
export function readCertificates(
  pem: string | Uint8Array,
  name: string,
): [X509Certificate, ...X509Certificate[]] {
  const blocks = readBlocks(pemText(pem, name), name);
  const [first, ...others] = blocks.map((block, index) => {
    if (block.label !== certificateLabel) {
      throw invalid(name, describeOther(block, index, blocks));
    }
    const certificate = readCertificate(block);
    if (certificate === undefined) {
      throw invalid(name, `block ${index + 1} is damaged, or not an X.509 certificate`);
    }
    return certificate;
  });
  if (first === undefined) {
    throw invalid(name, describeNoBlock(pem));
  }
  return [first, ...others];
}

/** A copy of the bytes. */
export function certificateDer({ raw }: X509Certificate): Uint8Array {
  return new Uint8Array(raw);
}

const certificateLabel = "CERTIFICATE";

function readBlocks(text: string, name: string): PemBlock[] {
  try {
    return pemBlocks(text);
  } catch (error) {
    throw error instanceof EncodingError ? invalid(name, error.message) : error;
  }
}

function readCertificate(block: PemBlock): X509Certificate | undefined {
  try {
    const der = decodePemBlock(block);
    const certificate = new X509Certificate(der);
    // Node also takes PEM inside of the block, and bytes after the certificate, which no peer would get to see.
    return Buffer.compare(certificate.raw, der) === 0 ? certificate : undefined;
  } catch {
    // Base64 or ASN.1 that is none; what OpenSSL says of it helps nobody.
    return undefined;
  }
}

function describeOther(block: PemBlock, index: number, blocks: readonly PemBlock[]): string {
  const isAlone = !blocks.some(({ label }) => label === certificateLabel);
  return isAlone && block.label.endsWith("PRIVATE KEY")
    ? "it holds a private key and no certificate: are certificate and key swapped?"
    : `block ${index + 1} is a "${block.label}", and all have to be "${certificateLabel}"`;
}

function invalid(name: string, problem: string): IdentityError {
  return new IdentityError("invalid-certificate", `cannot read ${name}: ${problem}`);
}
