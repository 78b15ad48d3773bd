import type { X509Certificate } from "node:crypto";
import { showAs } from "../base/inspect.ts";
import { socketAddress } from "../base/socket-address.ts";
import { type CertificateKey, readCertificateKey } from "./certificate-key.ts";
import { certificateDer, readCertificates } from "./certificates.ts";
import { IdentityError, quote } from "./identity-error.ts";

/** Certificates in a chain. Longer ones are mistakes: authorities use two or three. */
const maxChainLength = 10;
/** Bytes of a chain altogether, in DER. Every client gets them in the handshake. */
const maxChainBytes = 64 * 1024;

export interface WebCertificateOptions {
  /**
   * The certificate, and after it those that lead from it to an authority, in PEM: at most 10, and 64 KiB altogether. What
   * Let's Encrypt's clients call `fullchain.pem`.
   */
  readonly cert: string | Uint8Array;
  /**
   * The private key of the first certificate, in PEM: PKCS #8, PKCS #1 or SEC1. RSA with 2048 to 8192 bits, ECDSA with
   * P-256 or P-384, or Ed25519.
   */
  readonly key: string | Uint8Array;
  /** Of a key that is encrypted. */
  readonly passphrase?: string | undefined;
}

/**
 * A certificate that clients check against authorities, names and dates, as on the web, with its private key. The key
 * does not show when it is printed, logged or put into JSON; `exportPrivateKey` gives it away.
 */
export class WebCertificate {
  static {
    showAs(WebCertificate, (certificate) => certificate.toString());
  }

  readonly #key: CertificateKey;
  /** DER: the certificate, then those that lead from it towards an authority. The bytes are not to be written to. */
  readonly chain: readonly Uint8Array[];
  /** Numbers of the signature schemes that the key can make (RFC 8446 §4.2.3), the preferred one first. */
  readonly signatureSchemes: readonly number[];
  /**
   * The DNS names and IP addresses that the certificate is for, in its order, the former also as `*.example.com`. Empty
   * where it has no subjectAltName: clients of today look at nothing else.
   */
  readonly names: readonly string[];
  /** Whom the certificate names, as `CN=example.com, O=Example`; often empty. Says nothing to clients. */
  readonly subject: string;
  readonly #notBefore: number;
  readonly #notAfter: number;

  private constructor(chain: readonly Uint8Array[], leaf: X509Certificate, key: CertificateKey) {
    this.#key = key;
    this.chain = Object.freeze(chain);
    this.signatureSchemes = Object.freeze(key.signatureSchemes);
    this.names = Object.freeze(parseNames(leaf.subjectAltName ?? ""));
    this.subject = parseSubject(leaf.subject);
    this.#notBefore = parseTime(leaf.validFrom);
    this.#notAfter = parseTime(leaf.validTo);
  }

  /**
   * Reads a certificate with its chain, and the key that belongs to it. Whether it is valid now and whether the chain leads
   * anywhere is not looked at: that is for clients.
   *
   * Throws {@link IdentityError} `invalid-certificate`, or `invalid-key` for a key that cannot be read, is of another kind
   * than those above, or belongs to another certificate. No message holds anything of the key or the passphrase.
   */
  static fromPem(options: WebCertificateOptions): WebCertificate {
    const certificates = readCertificates(options.cert, "cert");
    const chain = certificates.map(certificateDer);
    checkLimits(chain);
    const key = readCertificateKey(options.key, options.passphrase);
    const [leaf] = certificates;
    if (!key.belongsTo(leaf)) {
      const owner = certificates.findIndex((certificate) => key.belongsTo(certificate));
      throw new IdentityError(
        "invalid-key",
        owner < 0
          ? `cannot use the private key: it belongs to another certificate than ${describe(leaf)}`
          : `cannot use the private key: it belongs to certificate ${owner + 1} of cert, which has to come first`,
      );
    }
    return new WebCertificate(chain, leaf, key);
  }

  /** The certificate is not valid before. A new object each time. */
  get notBefore(): Date {
    return new Date(this.#notBefore);
  }

  /** The certificate is not valid after. A new object each time. */
  get notAfter(): Date {
    return new Date(this.#notAfter);
  }

  /** Signs by one of `signatureSchemes`; ECDSA signatures are in DER. Throws RangeError for other schemes. */
  sign(message: Uint8Array, signatureScheme: number): Uint8Array {
    return this.#key.sign(message, signatureScheme);
  }

  /** The private key, not encrypted: PKCS #8 in DER. A new copy each time. */
  exportPrivateKey(): Uint8Array {
    return this.#key.exportPrivateKey();
  }

  toString(): string {
    const whom = quote(this.names.length > 0 ? this.names.join(", ") : this.subject);
    return `WebCertificate(${whom} until ${this.notAfter.toISOString()})`;
  }

  toJSON(): string {
    return this.toString();
  }
}

function checkLimits(chain: readonly Uint8Array[]): void {
  if (chain.length > maxChainLength) {
    throw invalid(
      `it holds ${chain.length} certificates, and a chain has at most ${maxChainLength}`,
    );
  }
  const bytes = chain.reduce((sum, { length }) => sum + length, 0);
  if (bytes > maxChainBytes) {
    throw invalid(`the chain has ${bytes} bytes, and at most ${maxChainBytes} are possible`);
  }
}

/**
 * Node's text of a subjectAltName: `DNS:example.com, IP Address:2001:DB8:0:0:0:0:0:1`. What could be taken for more than
 * one entry stands in quotes, as in JSON.
 */
function parseNames(text: string): string[] {
  const entries = text.matchAll(/([^:,"]+):((?:"(?:[^"\\]|\\.)*"|[^,"])*)(?:, |$)/gy);
  return Array.from(entries, ([, kind, value = ""]) => parseName(kind, value)).filter(
    (name) => name !== undefined,
  );
}

function parseName(kind: string | undefined, value: string): string | undefined {
  try {
    switch (kind) {
      case "DNS":
        return value.startsWith('"') ? String(JSON.parse(value)) : value;
      case "IP Address":
        return socketAddress(value, 0).host;
      default:
        return undefined;
    }
  } catch {
    // An address of another length than IPv4 and IPv6 have, which is good for no peer.
    return undefined;
  }
}

/** Node has a line for each part, and undefined for no part at all, whatever its types say. */
function parseSubject(text: string | undefined): string {
  return text?.replaceAll("\n", ", ") ?? "";
}

/** Node's text of a time: `Nov 21 06:48:13 2026 GMT`. */
function parseTime(text: string): number {
  const time = Date.parse(text);
  if (Number.isNaN(time)) {
    throw invalid("the dates of its first certificate cannot be read");
  }
  return time;
}

function describe(leaf: X509Certificate): string {
  return quote(leaf.subjectAltName ?? parseSubject(leaf.subject));
}

function invalid(problem: string): IdentityError {
  return new IdentityError("invalid-certificate", `cannot read cert: ${problem}`);
}
