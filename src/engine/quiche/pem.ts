// DER as BoringSSL's loaders want it (RFC 7468).

export function certificatesToPem(certificates: readonly Uint8Array[]): Uint8Array {
  return encode(certificates.map((der) => block("CERTIFICATE", der)).join(""));
}

/** PKCS #8. */
export function privateKeyToPem(der: Uint8Array): Uint8Array {
  return encode(block("PRIVATE KEY", der));
}

function block(label: string, der: Uint8Array): string {
  const base64 = btoa(Array.from(der, (byte) => String.fromCharCode(byte)).join(""));
  const lines = base64.replace(/.{64}(?=.)/g, "$&\n");
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
