import { X509Certificate } from "node:crypto";
import type { ServerName } from "./options.ts";

/**
 * Whether a certificate is for that name. BoringSSL has looked as well where the name is a DNS name, but it cannot for
 * addresses, and what it does with certificates that have a common name alone differs between its versions.
 */
export function isCertificateFor(der: Uint8Array, expected: ServerName): boolean {
  try {
    const certificate = new X509Certificate(der);
    const found =
      expected.type === "ip"
        ? certificate.checkIP(expected.address)
        : certificate.checkHost(expected.name, { subject: "never", partialWildcards: false });
    return found !== undefined;
  } catch {
    // Node.js cannot read it.
    return false;
  }
}
