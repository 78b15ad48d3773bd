import {
  type AsymmetricKeyDetails,
  constants,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
  type X509Certificate,
} from "node:crypto";
import { EncodingError } from "../base/encoding-error.ts";
import { IdentityError } from "./identity-error.ts";
import { describeNoBlock, type PemBlock, pemBlocks, pemText } from "./pem-blocks.ts";

/** The private key of a certificate. */
export class CertificateKey {
  readonly #key: KeyObject;
  readonly #schemes: readonly SignatureScheme[];

  /** Throws {@link IdentityError} `invalid-key` for a key that can make no signature, or none that is right. */
  constructor(key: KeyObject) {
    this.#key = key;
    this.#schemes = schemesOf(key);
    if (!this.#isSound()) {
      throw invalid("its parts do not belong together: it is damaged");
    }
  }

  /** Numbers of the signature schemes that the key can make (RFC 8446 §4.2.3), the preferred one first. */
  get signatureSchemes(): number[] {
    return this.#schemes.map(({ number }) => number);
  }

  /** Throws RangeError for a scheme that is not one of `signatureSchemes`. */
  sign(message: Uint8Array, signatureScheme: number): Uint8Array {
    const scheme = this.#schemes.find(({ number }) => number === signatureScheme);
    if (scheme === undefined) {
      const possible = this.signatureSchemes.map(formatScheme).join(", ");
      throw new RangeError(
        `cannot sign by scheme ${formatScheme(signatureScheme)}: this key makes ${possible}`,
      );
    }
    return new Uint8Array(sign(scheme.hash, message, { key: this.#key, ...scheme.padding }));
  }

  /** Whether the certificate has the public key of this one. */
  belongsTo(certificate: X509Certificate): boolean {
    try {
      return certificate.checkPrivateKey(this.#key);
    } catch {
      // A public key of a kind that OpenSSL does not know.
      return false;
    }
  }

  /** PKCS #8 in DER, not encrypted. */
  exportPrivateKey(): Uint8Array {
    return new Uint8Array(this.#key.export({ format: "der", type: "pkcs8" }));
  }

  /** A file may hold private and public parts that do not fit each other, and OpenSSL loads it. */
  #isSound(): boolean {
    const message = new Uint8Array(0);
    try {
      const publicKey = createPublicKey(this.#key);
      return this.#schemes.every(({ number, hash, padding }) =>
        verify(hash, message, { key: publicKey, ...padding }, this.sign(message, number)),
      );
    } catch {
      return false;
    }
  }
}

/**
 * The one private key of a text in PEM: PKCS #8, also encrypted, or the older forms of RSA and EC keys. Blocks of other
 * kinds are ignored, the passphrase is for encrypted keys.
 *
 * Throws {@link IdentityError} `invalid-key`, whose message holds nothing of the text.
 */
export function readCertificateKey(
  pem: string | Uint8Array,
  passphrase: string | undefined,
): CertificateKey {
  const block = findKey(pem);
  const isEncrypted = block.label === "ENCRYPTED PRIVATE KEY" || isOldEncrypted(block);
  if (isEncrypted && passphrase === undefined) {
    throw invalid("it is encrypted: give its passphrase");
  }
  try {
    return new CertificateKey(createPrivateKey({ key: encode(block), passphrase }));
  } catch (error) {
    if (error instanceof IdentityError) {
      throw error;
    }
    // Not as a cause: nobody can tell what OpenSSL's messages hold.
    throw invalid(
      isEncrypted
        ? "it cannot be decrypted: the passphrase is another, or it is damaged"
        : "it is damaged, or of a kind that Node.js does not know",
    );
  }
}

/** Bits of an RSA key: fewer are too weak, and more are refused by peers with rustls. */
const rsaBits = { min: 2048, max: 8192 } as const;

const possibleKinds = `RSA of ${rsaBits.min} to ${rsaBits.max} bits, ECDSA with P-256 or P-384, and Ed25519 are possible`;

interface SignatureScheme {
  readonly number: number;
  /** Undefined where the scheme leaves no choice. */
  readonly hash: "sha256" | "sha384" | "sha512" | undefined;
  /** Of RSA. */
  readonly padding?: { readonly padding: number; readonly saltLength: number };
}

/** The salt is as long as the hash. */
const pss = {
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
} as const;

const rsaSchemes: readonly SignatureScheme[] = [
  { number: 0x0804, hash: "sha256", padding: pss },
  { number: 0x0805, hash: "sha384", padding: pss },
  { number: 0x0806, hash: "sha512", padding: pss },
];
const p256Schemes: readonly SignatureScheme[] = [{ number: 0x0403, hash: "sha256" }];
const p384Schemes: readonly SignatureScheme[] = [{ number: 0x0503, hash: "sha384" }];
const ed25519Schemes: readonly SignatureScheme[] = [{ number: 0x0807, hash: undefined }];

function schemesOf(key: KeyObject): readonly SignatureScheme[] {
  const { modulusLength = 0, namedCurve = "an unnamed curve" } = detailsOf(key);
  switch (key.asymmetricKeyType) {
    case "rsa":
      if (modulusLength < rsaBits.min || modulusLength > rsaBits.max) {
        throw invalid(`it is an RSA key of ${modulusLength} bits: ${possibleKinds}`);
      }
      return rsaSchemes;
    case "ec":
      // OpenSSL's names.
      switch (namedCurve) {
        case "prime256v1":
          return p256Schemes;
        case "secp384r1":
          return p384Schemes;
        default:
          throw invalid(`it is an ECDSA key with ${namedCurve}: ${possibleKinds}`);
      }
    case "ed25519":
      return ed25519Schemes;
    default:
      throw invalid(
        `it is a key of the kind ${key.asymmetricKeyType ?? "unknown"}: ${possibleKinds}`,
      );
  }
}

/**
 * Of the public part alone, read anew: asked for those of an EC key whose private number is too large, Node.js 20 and 22 end
 * the process ("Assertion failed: (ec) != nullptr").
 */
function detailsOf(key: KeyObject): AsymmetricKeyDetails {
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
  return publicKey.asymmetricKeyDetails ?? {};
}

function findKey(pem: string | Uint8Array): PemBlock {
  const blocks = readBlocks(pemText(pem, "key"));
  const [key, ...others] = blocks.filter(({ label }) => label.endsWith("PRIVATE KEY"));
  if (others.length > 0) {
    throw invalid(`there are ${others.length + 1} private keys, and one is expected`);
  }
  if (key === undefined) {
    throw invalid(blocks.length === 0 ? describeNoBlock(pem) : describeOther(blocks));
  }
  if (key.label === "OPENSSH PRIVATE KEY") {
    throw invalid("it is in OpenSSH's format: ssh-keygen -p -m PKCS8 converts it");
  }
  return key;
}

function describeOther(blocks: readonly PemBlock[]): string {
  if (blocks.some(({ label }) => label === "CERTIFICATE")) {
    return "it holds a certificate and no private key: are certificate and key swapped?";
  }
  return blocks.some(({ label }) => label.endsWith("PUBLIC KEY"))
    ? "it is the public key, and the private one is needed"
    : "there is no private key in it";
}

function readBlocks(text: string): PemBlock[] {
  try {
    return pemBlocks(text);
  } catch (error) {
    throw error instanceof EncodingError ? invalid(error.message) : error;
  }
}

/** Keys as OpenSSL wrote them before PKCS #8 say in a header that they are encrypted (RFC 1421 §4.6.1.1). */
function isOldEncrypted({ content }: PemBlock): boolean {
  return /^\s*Proc-Type: *4, *ENCRYPTED/.test(content);
}

/** The one block as a text, so that OpenSSL looks at nothing else. */
function encode({ label, content }: PemBlock): string {
  return `-----BEGIN ${label}-----${content}-----END ${label}-----\n`;
}

function formatScheme(number: number): string {
  return `0x${number.toString(16).padStart(4, "0")}`;
}

function invalid(problem: string): IdentityError {
  return new IdentityError("invalid-key", `cannot use the private key: ${problem}`);
}
