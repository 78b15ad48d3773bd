import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import * as tls from "node:tls";
import { alteredPem } from "../../test/support/altered-pem.ts";
import { fuzz } from "../../test/support/fuzz.ts";
import { TestAuthority } from "../../test/support/test-pki.ts";
import { parseCertificates, systemAuthorities } from "./certificates.ts";
import { IdentityError } from "./identity-error.ts";

const authority = await TestAuthority.create({ intermediate: true });
const { certPem, chainPem, keyPem } = await authority.server(["peer.example"]);
const leaf = new Uint8Array(new X509Certificate(certPem).raw);
const root = new Uint8Array(new X509Certificate(authority.certPem).raw);

function isInvalidCertificate(error: unknown): error is IdentityError {
  return error instanceof IdentityError && error.code === "invalid-certificate";
}

test("parseCertificates reads one text, bytes, or several of them, in order", () => {
  assert.deepEqual(parseCertificates(certPem), [leaf]);
  assert.deepEqual(parseCertificates(Buffer.from(certPem)), [leaf]);
  assert.deepEqual(parseCertificates([certPem, Buffer.from(authority.certPem)]), [leaf, root]);
  const bundle = `# Test\n${certPem}\r\n\n# Root\n${authority.certPem.replaceAll("\n", "\r\n")}`;
  assert.deepEqual(parseCertificates(bundle), [leaf, root]);
  assert.equal(parseCertificates(chainPem).length, 2);
});

test("F28: parseCertificates gives plain Uint8Arrays of their own", () => {
  for (const der of parseCertificates([Buffer.from(chainPem)])) {
    assert.equal(der.constructor, Uint8Array);
    assert.equal(der.byteLength, der.buffer.byteLength);
  }
});

test("parseCertificates says what is wrong, and where", () => {
  const der = (bytes: Uint8Array): string =>
    `-----BEGIN CERTIFICATE-----\n${Buffer.from(bytes).toString("base64")}\n-----END CERTIFICATE-----\n`;
  const bad: readonly (readonly [pem: Parameters<typeof parseCertificates>[0], message: RegExp])[] =
    [
      ["", /^cannot read certificates: it is empty$/],
      [[], /^cannot read certificates: the array is empty$/],
      ["hello", /: it is not PEM/],
      [leaf, /: it looks like DER/],
      [[certPem, "hello"], /^cannot read certificates\[1\]: it is not PEM/],
      [keyPem, /: it holds a private key and no certificate: are certificate and key swapped\?$/],
      [certPem + keyPem, /: block 2 is a "PRIVATE KEY", and all have to be "CERTIFICATE"$/],
      [certPem.slice(0, -10), /: block 1, "CERTIFICATE", lacks its beginning or end/],
      [certPem + certPem.replace("MII", "M*I"), /: block 2 is damaged/],
      [der(Buffer.from("hello")), /: block 1 is damaged, or not an X.509 certificate/],
      [der(new Uint8Array(0)), /: block 1 is damaged/],
      [der(Buffer.concat([leaf, Buffer.from("more")])), /: block 1 is damaged/],
      [der(Buffer.from(certPem)), /: block 1 is damaged/],
      [certPem.replaceAll("CERTIFICATE", "TRUSTED CERTIFICATE"), /a "TRUSTED CERTIFICATE"/],
    ];
  for (const [pem, message] of bad) {
    assert.throws(
      () => parseCertificates(pem),
      (error) => isInvalidCertificate(error) && message.test(error.message),
      `${message}`,
    );
  }
});

test("parseCertificates throws a TypeError for what is no text", () => {
  for (const pem of [undefined, null, 5, {}, [5], [{}]] as unknown[]) {
    assert.throws(() => parseCertificates(pem as string), TypeError);
  }
});

test("systemAuthorities are those of Node.js, read once", () => {
  const authorities = systemAuthorities();
  assert.equal(systemAuthorities(), authorities);
  const { getCACertificates } = tls as { readonly getCACertificates?: () => string[] };
  assert.deepEqual(authorities, parseCertificates(getCACertificates?.() ?? tls.rootCertificates));
  assert.ok(Object.isFrozen(authorities));
});

test("any text is certificates or an IdentityError", () => {
  const inputs = alteredPem([certPem, chainPem, authority.certPem, keyPem]);
  fuzz(
    inputs,
    (pem) => {
      try {
        assert.ok(parseCertificates(pem).length > 0);
      } catch (error) {
        assert.ok(isInvalidCertificate(error));
      }
    },
    10_000,
  );
});
