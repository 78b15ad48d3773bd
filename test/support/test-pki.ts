// Authorities and certificates for tests, made on the spot, as strict verifiers (webpki, Chromium) want them.

// The dependency injection of @peculiar/x509 does not load without it.
import "reflect-metadata";

import { webcrypto } from "node:crypto";
import { isIP } from "node:net";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

/** "rsa" has 2048 bits, "ecdsa" is P-256. */
export type KeyKind = "rsa" | "ecdsa" | "ecdsa-p384" | "ed25519";

export interface AuthorityOptions {
  /** Of the root and of the intermediate authority. Default "ecdsa". */
  readonly key?: KeyKind;
  /** Whether certificates are signed by an authority between them and the root. Default false. */
  readonly intermediate?: boolean;
  /** Default "Test Authority". */
  readonly name?: string;
}

export interface CertificateOptions {
  /** Default "ecdsa". */
  readonly key?: KeyKind;
  /** Default a day ago. */
  readonly notBefore?: Date;
  /** Default a year after `notBefore`. */
  readonly notAfter?: Date;
}

export interface TestCertificate {
  readonly certPem: string;
  /** PKCS #8. */
  readonly keyPem: string;
  /** The certificate, and the intermediate authority where there is one. */
  readonly chainPem: string;
}

/** An authority whose word tests trust. Its own certificates are valid from ten years ago for twenty years. */
export class TestAuthority {
  readonly #issuer: Issuer;
  readonly #intermediates: readonly X509Certificate[];
  /** The root: what a verifier has to be given. */
  readonly certPem: string;

  private constructor(root: Issuer, intermediate: Issuer | undefined) {
    this.#issuer = intermediate ?? root;
    this.#intermediates = intermediate === undefined ? [] : [intermediate.certificate];
    this.certPem = pem(root.certificate);
  }

  static async create(options: AuthorityOptions = {}): Promise<TestAuthority> {
    const { key = "ecdsa", intermediate = false, name = "Test Authority" } = options;
    const root = await issueAuthority(`${name} Root`, key, undefined);
    return new TestAuthority(
      root,
      intermediate ? await issueAuthority(`${name} Intermediate`, key, root) : undefined,
    );
  }

  /** A server's certificate for DNS names and IP addresses. */
  async server(
    names: readonly [string, ...string[]],
    options?: CertificateOptions,
  ): Promise<TestCertificate> {
    return await this.#issue(names[0], ExtendedKeyUsage.serverAuth, options, [
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
      ),
    ]);
  }

  /** A client's certificate, whose common name and DNS name is `name`. */
  async client(name: string, options?: CertificateOptions): Promise<TestCertificate> {
    // With a DNS name, because webpki takes no certificate without a subjectAltName.
    return await this.#issue(name, ExtendedKeyUsage.clientAuth, options, [
      new SubjectAlternativeNameExtension([{ type: "dns", value: name }]),
    ]);
  }

  async #issue(
    name: string,
    usage: ExtendedKeyUsage,
    options: CertificateOptions = {},
    extensions: readonly Extension[],
  ): Promise<TestCertificate> {
    const { key: kind = "ecdsa", notBefore = new Date(Date.now() - day) } = options;
    const { notAfter = new Date(notBefore.getTime() + 365 * day) } = options;
    const keys = await generateKeys(kind, "leaf");
    const certificate = await issue({
      subject: name,
      kind,
      keys,
      issuer: this.#issuer,
      notBefore,
      notAfter,
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([usage]),
        ...extensions,
      ],
    });
    const pkcs8 = await webcrypto.subtle.exportKey("pkcs8", keys.privateKey);
    return {
      certPem: pem(certificate),
      keyPem: `${PemConverter.encode(pkcs8, "PRIVATE KEY")}\n`,
      chainPem: [certificate, ...this.#intermediates].map(pem).join(""),
    };
  }
}

interface Issuer {
  readonly name: string;
  readonly kind: KeyKind;
  readonly keys: webcrypto.CryptoKeyPair;
  readonly certificate: X509Certificate;
}

interface Request {
  readonly subject: string;
  readonly kind: KeyKind;
  readonly keys: webcrypto.CryptoKeyPair;
  /** Undefined: the certificate signs itself. */
  readonly issuer: Issuer | undefined;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: readonly Extension[];
}

const day = 86_400_000;

async function issueAuthority(
  name: string,
  kind: KeyKind,
  issuer: Issuer | undefined,
): Promise<Issuer> {
  const keys = await generateKeys(kind, issuer === undefined ? "root" : "intermediate");
  const certificate = await issue({
    subject: name,
    kind,
    keys,
    issuer,
    notBefore: new Date(Date.now() - 3650 * day),
    notAfter: new Date(Date.now() + 3650 * day),
    extensions: [
      new BasicConstraintsExtension(true, issuer === undefined ? 1 : 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { name, kind, keys, certificate };
}

async function issue(request: Request): Promise<X509Certificate> {
  const { subject, kind, keys, issuer = { name: subject, kind, keys } } = request;
  return await X509CertificateGenerator.create({
    subject: commonName(subject),
    issuer: commonName(issuer.name),
    notBefore: request.notBefore,
    notAfter: request.notAfter,
    publicKey: keys.publicKey,
    signingKey: issuer.keys.privateKey,
    signingAlgorithm: signingAlgorithms[issuer.kind],
    extensions: [
      ...request.extensions,
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
      await AuthorityKeyIdentifierExtension.create(issuer.keys.publicKey),
    ],
  });
}

/** As JSON, so that no character of a name means anything. */
function commonName(name: string): { CN: string[] }[] {
  return [{ CN: [name] }];
}

function pem(certificate: X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}

/** RSA keys of this process: each takes a tenth of a second or more. */
const rsaKeys = new Map<KeyRole, Promise<webcrypto.CryptoKeyPair>>();

/** Those of one role may share a key, an authority and what it signs may not. */
type KeyRole = "root" | "intermediate" | "leaf";

async function generateKeys(kind: KeyKind, role: KeyRole): Promise<webcrypto.CryptoKeyPair> {
  if (kind !== "rsa") {
    return await generate(keyAlgorithms[kind]);
  }
  const keys = rsaKeys.get(role) ?? generate(keyAlgorithms.rsa);
  rsaKeys.set(role, keys);
  return await keys;
}

async function generate(
  algorithm: (typeof keyAlgorithms)[KeyKind],
): Promise<webcrypto.CryptoKeyPair> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  if (!("privateKey" in keys)) {
    throw new TypeError(`${algorithm.name} has no key pairs`);
  }
  return keys;
}

const keyAlgorithms = {
  rsa: {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    modulusLength: 2048,
    publicExponent: Uint8Array.of(1, 0, 1),
  },
  ecdsa: { name: "ECDSA", namedCurve: "P-256" },
  "ecdsa-p384": { name: "ECDSA", namedCurve: "P-384" },
  ed25519: { name: "Ed25519" },
} as const;

/** What an authority of a kind signs with. */
const signingAlgorithms = {
  rsa: { name: "RSASSA-PKCS1-v1_5" },
  ecdsa: { name: "ECDSA", hash: "SHA-256" },
  "ecdsa-p384": { name: "ECDSA", hash: "SHA-384" },
  ed25519: { name: "Ed25519" },
} as const;
