import { X509Certificate } from "node:crypto";

/** What closes a connection whose other side shows the wrong certificate: a TLS alert (RFC 8446 §6.2), and words. */
export interface CertificateFault {
  readonly alert: number;
  readonly reason: string;
}

const certificateExpired = 45;
const unknownCa = 48;
const certificateRequired = 116;

/**
 * Certificates that are trusted by themselves, as somebody is who signed his own and is no authority. BoringSSL takes none
 * that is not an authority's, so it is told to take any, and these are compared here; that the other side has the key it
 * still checks.
 */
export class Pins {
  readonly #certificates: readonly Uint8Array[];
  readonly #required: boolean;

  private constructor(certificates: readonly Uint8Array[], required: boolean) {
    this.#certificates = certificates;
    this.#required = required;
  }

  /** Undefined when there is an authority among them: then BoringSSL decides, and the others vouch for nobody. */
  static of(certificates: readonly Uint8Array[], required: boolean): Pins | undefined {
    return certificates.length === 0 || certificates.some(isAuthority)
      ? undefined
      : new Pins(certificates, required);
  }

  /** What is wrong with what the other side has shown; undefined for nothing. */
  fault(chain: readonly Uint8Array[], nowMs: number): CertificateFault | undefined {
    const [leaf] = chain;
    if (leaf === undefined) {
      return this.#required
        ? { alert: certificateRequired, reason: "there is no certificate" }
        : undefined;
    }
    if (!this.#certificates.some((certificate) => Buffer.compare(certificate, leaf) === 0)) {
      return { alert: unknownCa, reason: "the certificate is another one" };
    }
    const { validFrom, validTo } = new X509Certificate(leaf);
    return nowMs < Date.parse(validFrom) || nowMs > Date.parse(validTo)
      ? { alert: certificateExpired, reason: "the certificate is not valid now" }
      : undefined;
  }
}

function isAuthority(certificate: Uint8Array): boolean {
  try {
    return new X509Certificate(certificate).ca;
  } catch {
    return false;
  }
}
