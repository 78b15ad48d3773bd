import assert from "node:assert/strict";
import {
  constants,
  createPrivateKey,
  generateKeyPairSync,
  verify,
  X509Certificate,
} from "node:crypto";
import { test } from "node:test";
import { format, inspect } from "node:util";
import fc from "fast-check";
import { alteredPem } from "../../test/support/altered-pem.ts";
import { fuzz } from "../../test/support/fuzz.ts";
import { type KeyKind, TestAuthority } from "../../test/support/test-pki.ts";
import { IdentityError, type IdentityErrorCode } from "./identity-error.ts";
import { WebCertificate, type WebCertificateOptions } from "./web-certificate.ts";

const authority = await TestAuthority.create({ intermediate: true });
const names = ["peer.example", "*.peer.example", "127.0.0.1", "2001:db8::1", "::1"] as const;
const server = await authority.server(names);
const other = await authority.server(["other.example"]);
const client = await authority.client("alice", { key: "ed25519" });
const pair: WebCertificateOptions = { cert: server.chainPem, key: server.keyPem };

const failsWith =
  (code: IdentityErrorCode, message: RegExp) =>
  (error: unknown): true => {
    assert.ok(error instanceof IdentityError, `${error}`);
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  };

const der = (pem: string): Uint8Array => new Uint8Array(new X509Certificate(pem).raw);

test("a certificate has its chain, names, dates and subject", async () => {
  const notBefore = new Date("2020-01-02T03:04:05Z");
  const notAfter = new Date("2120-01-31T23:59:59Z");
  const { chainPem, certPem, keyPem } = await authority.server(names, { notBefore, notAfter });
  const certificate = WebCertificate.fromPem({ cert: Buffer.from(chainPem), key: keyPem });
  assert.equal(certificate.chain.length, 2);
  assert.deepEqual(certificate.chain[0], der(certPem));
  assert.deepEqual(certificate.names, names);
  assert.deepEqual(certificate.notBefore, notBefore);
  assert.deepEqual(certificate.notAfter, notAfter);
  assert.equal(certificate.subject, "CN=peer.example");
});

const kinds: readonly (readonly [kind: KeyKind, hash: string | null, schemes: number[]])[] = [
  ["rsa", "sha256", [0x0804, 0x0805, 0x0806]],
  ["ecdsa", "sha256", [0x0403]],
  ["ecdsa-p384", "sha384", [0x0503]],
  ["ed25519", null, [0x0807]],
];
for (const [kind, hash, schemes] of kinds) {
  test(`${kind}: what is signed by the first scheme is right for the certificate (RFC 8446 §4.2.3)`, async () => {
    const { certPem, keyPem } = await authority.server(["peer.example"], { key: kind });
    const certificate = WebCertificate.fromPem({ cert: certPem, key: keyPem });
    assert.deepEqual(certificate.signatureSchemes, schemes);
    const message = Buffer.from("hello");
    const signature = certificate.sign(message, schemes[0] ?? 0);
    const key = new X509Certificate(certPem).publicKey;
    const padding =
      kind === "rsa" ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 } : {};
    assert.ok(verify(hash, message, { key, ...padding }, signature));
    assert.throws(() => certificate.sign(message, 0x0401), RangeError);
    const pkcs8 = createPrivateKey(keyPem).export({ format: "der", type: "pkcs8" });
    assert.deepEqual(certificate.exportPrivateKey(), new Uint8Array(pkcs8));
  });
}

test("a key may be encrypted, and certificates of clients are read too", () => {
  const key = createPrivateKey(client.keyPem)
    .export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "x" })
    .toString();
  const certificate = WebCertificate.fromPem({ cert: client.chainPem, key, passphrase: "x" });
  assert.deepEqual(certificate.names, ["alice"]);
  assert.throws(
    () => WebCertificate.fromPem({ cert: client.chainPem, key }),
    failsWith("invalid-key", /encrypted: give its passphrase/),
  );
});

test("a certificate and a key that do not make a pair are an error that says why", () => {
  const { certPem, chainPem, keyPem } = server;
  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey;
  const longest = certPem.repeat(10);
  const bad: readonly (readonly [WebCertificateOptions, IdentityErrorCode, RegExp])[] = [
    [{ cert: keyPem, key: certPem }, "invalid-certificate", /^cannot read cert: .* swapped\?$/],
    [{ cert: certPem, key: certPem }, "invalid-key", /no private key: .* swapped\?$/],
    [{ cert: "", key: keyPem }, "invalid-certificate", /^cannot read cert: it is empty$/],
    [{ cert: "hello", key: keyPem }, "invalid-certificate", /it is not PEM/],
    [{ cert: certPem + keyPem, key: keyPem }, "invalid-certificate", /block 2 is a "PRIVATE KEY"/],
    [{ cert: chainPem.slice(0, -9), key: keyPem }, "invalid-certificate", /block 2.* cut\?$/],
    [{ cert: longest + certPem, key: keyPem }, "invalid-certificate", /11 .* has at most 10$/],
    [
      { cert: certPem, key: other.keyPem },
      "invalid-key",
      /belongs to another certificate than "DNS:peer\.example, .*"$/,
    ],
    [{ cert: certPem, key: client.keyPem }, "invalid-key", /belongs to another certificate/],
    [
      { cert: other.certPem + certPem, key: keyPem },
      "invalid-key",
      /belongs to certificate 2 of cert, which has to come first$/,
    ],
    [
      { cert: certPem, key: weak.export({ format: "pem", type: "pkcs8" }) },
      "invalid-key",
      /an RSA key of 1024 bits: RSA of 2048/,
    ],
  ];
  for (const [options, code, message] of bad) {
    assert.throws(() => WebCertificate.fromPem(options), failsWith(code, message), `${message}`);
  }
  assert.equal(WebCertificate.fromPem({ cert: longest, key: keyPem }).chain.length, 10);
});

test("a chain of more than 64 KiB is refused", async () => {
  const many = Array.from({ length: 400 }, (_, index) => `${index}.a-rather-long-name.example`);
  const { certPem, keyPem } = await authority.server(["first.example", ...many]);
  const { length } = der(certPem);
  const fitting = Math.floor(65_536 / length);
  assert.ok(fitting < 10);
  const cert = certPem.repeat(fitting);
  assert.equal(WebCertificate.fromPem({ cert, key: keyPem }).chain.length, fitting);
  assert.throws(
    () => WebCertificate.fromPem({ cert: cert + certPem, key: keyPem }),
    failsWith(
      "invalid-certificate",
      new RegExp(`${(fitting + 1) * length} bytes, and at most 65536`),
    ),
  );
});

test("names are those of the certificate, whatever characters they have", async () => {
  const odd = [
    "a, DNS:evil.example",
    'quote".example',
    "back\\slash",
    "line\nend",
    "plain.example",
  ];
  const { certPem, keyPem } = await authority.server(["first.example", ...odd]);
  const certificate = WebCertificate.fromPem({ cert: certPem, key: keyPem });
  assert.deepEqual(certificate.names, ["first.example", ...odd]);
  assert.ok(!`${certificate}`.includes("\n"));
});

test("an EC key whose private number is too large is an error, and not the end of the process", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  // The length of the number, which takes in what follows.
  assert.equal(der[35], 32);
  der[35] = 0x66;
  const key = `-----BEGIN PRIVATE KEY-----\n${der.toString("base64")}\n-----END PRIVATE KEY-----\n`;
  assert.throws(() => WebCertificate.fromPem({ ...pair, key }), {
    name: "IdentityError",
    code: "invalid-key",
  });
});

test("what is not text is a TypeError that shows nothing of it", () => {
  const notText: unknown = { secret: server.keyPem };
  for (const options of [
    { ...pair, cert: notText as string },
    { ...pair, key: notText as string },
  ]) {
    assert.throws(
      () => WebCertificate.fromPem(options),
      (error) => error instanceof TypeError && !inspect(error).includes("PRIVATE"),
    );
  }
});

test("a web certificate is printed with its names and its end, and never with its key", () => {
  const certificate = WebCertificate.fromPem(pair);
  const end = certificate.notAfter.toISOString();
  const shown = `WebCertificate("peer.example, *.peer.example, 127.0.0.1, 2001:db8::1, ::1" until ${end})`;
  assert.equal(inspect(certificate), shown);
  assert.equal(`${certificate}`, shown);
  assert.equal(JSON.stringify({ certificate }), JSON.stringify({ certificate: shown }));
  const everything = [
    inspect(certificate, { showHidden: true, depth: 9, customInspect: false }),
    format("%s %o %O %j", certificate, certificate, certificate, certificate),
    JSON.stringify(structuredClone({ ...certificate })),
  ].join("\n");
  const key = Buffer.from(certificate.exportPrivateKey());
  const secret = key.subarray(36, 68);
  for (const piece of [
    secret.toString("hex").slice(0, 12),
    server.keyPem.split("\n")[2] ?? "",
    [...secret.subarray(0, 4)].join(", "),
    [...secret.subarray(0, 4)].join(","),
  ]) {
    assert.ok(!everything.includes(piece));
  }
});

test("F28: web certificates take Buffers, copy, and give plain Uint8Arrays", () => {
  const [cert, key] = [Buffer.from(server.chainPem), Buffer.from(server.keyPem)];
  const certificate = WebCertificate.fromPem({ cert, key });
  cert.fill(0);
  key.fill(0);
  assert.deepEqual(certificate.chain[0], der(server.certPem));
  certificate.exportPrivateKey().fill(0);
  const [scheme = 0] = certificate.signatureSchemes;
  const signature = certificate.sign(Buffer.from("hello"), scheme);
  for (const bytes of [...certificate.chain, signature, certificate.exportPrivateKey()]) {
    assert.equal(bytes.constructor, Uint8Array);
  }
  assert.ok(certificate.exportPrivateKey().some((byte) => byte !== 0));
  assert.ok(Object.isFrozen(certificate.chain) && Object.isFrozen(certificate.names));
});

test("any two texts are a web certificate or an IdentityError that holds nothing of the key", () => {
  const certs = alteredPem([server.certPem, server.chainPem, client.certPem]);
  const keys = alteredPem([server.keyPem, client.keyPem]);
  const inputs = fc.oneof(
    fc.record({ cert: certs, key: fc.constantFrom(server.keyPem, client.keyPem) }),
    fc.record({ cert: fc.constantFrom(server.chainPem, client.chainPem), key: keys }),
    fc.record({ cert: certs, key: keys }),
  );
  const secrets = [server, client].map(({ keyPem }) => keyPem.split("\n")[1]?.slice(-24) ?? "");
  fuzz(
    inputs,
    (options) => {
      try {
        const certificate = WebCertificate.fromPem(options);
        assert.ok(!Number.isNaN(certificate.notAfter.getTime()));
        assert.ok(`${certificate}`.startsWith("WebCertificate("));
      } catch (error) {
        assert.ok(error instanceof IdentityError, `${error}`);
        assert.ok(secrets.every((secret) => !error.message.includes(secret)));
      }
    },
    5_000,
  );
});
