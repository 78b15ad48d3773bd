import assert from "node:assert/strict";
import {
  constants,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  type VerifyKeyObjectInput,
  verify,
} from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import { alteredPem } from "../../test/support/altered-pem.ts";
import { fuzz } from "../../test/support/fuzz.ts";
import { type CertificateKey, readCertificateKey } from "./certificate-key.ts";
import { IdentityError } from "./identity-error.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
const p256 = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
const p384 = generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey;
const ed25519 = generateKeyPairSync("ed25519").privateKey;

const pkcs8 = (key: KeyObject): string => key.export({ format: "pem", type: "pkcs8" }).toString();
const encrypted = (key: KeyObject): string =>
  key
    .export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "open sesame" })
    .toString();
const encryptedOld = (key: KeyObject, type: "pkcs1" | "sec1"): string =>
  key.export({ format: "pem", type, cipher: "aes-256-cbc", passphrase: "open sesame" }).toString();

/** An altered bit in the middle of the private part: the public one of the file is another key's. */
const unsound = pkcs8(p256).replace(/^(-.*\n.{60})(.)/, (_, before, symbol) =>
  before.concat(symbol === "A" ? "B" : "A"),
);

function isInvalidKey(error: unknown): error is IdentityError {
  return error instanceof IdentityError && error.code === "invalid-key";
}

function read(pem: string | Uint8Array, passphrase?: string): CertificateKey {
  return readCertificateKey(pem, passphrase);
}

/** RFC 8446 §4.2.3: number, hash, and what Node's `verify` has to know besides. */
const pss = (saltLength: number): Partial<VerifyKeyObjectInput> => ({
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength,
});
const kinds: readonly {
  readonly name: string;
  readonly key: KeyObject;
  readonly schemes: readonly (readonly [number, string | null, Partial<VerifyKeyObjectInput>])[];
}[] = [
  {
    name: "RSA",
    key: rsa,
    schemes: [
      [0x0804, "sha256", pss(32)],
      [0x0805, "sha384", pss(48)],
      [0x0806, "sha512", pss(64)],
    ],
  },
  { name: "P-256", key: p256, schemes: [[0x0403, "sha256", { dsaEncoding: "der" }]] },
  { name: "P-384", key: p384, schemes: [[0x0503, "sha384", { dsaEncoding: "der" }]] },
  { name: "Ed25519", key: ed25519, schemes: [[0x0807, null, {}]] },
];

for (const { name, key, schemes } of kinds) {
  test(`${name} keys sign what Node.js verifies by each of their schemes (RFC 8446 §4.2.3)`, () => {
    const certificateKey = read(pkcs8(key));
    assert.deepEqual(
      certificateKey.signatureSchemes,
      schemes.map(([number]) => number),
    );
    const message = new TextEncoder().encode("hello");
    for (const [number, hash, options] of schemes) {
      const signature = certificateKey.sign(message, number);
      assert.equal(signature.constructor, Uint8Array);
      const verifier = { key: createPublicKey(key), ...options };
      assert.ok(verify(hash, message, verifier, signature), `${number}`);
      assert.ok(!verify(hash, message.subarray(1), verifier, signature));
    }
  });

  test(`${name} keys refuse the schemes of others`, () => {
    const certificateKey = read(pkcs8(key));
    for (const number of [0, 0x0401, 0x0403, 0x0503, 0x0603, 0x0804, 0x0807, 0x0808, -1, 1e9]) {
      if (!certificateKey.signatureSchemes.includes(number)) {
        assert.throws(() => certificateKey.sign(new Uint8Array(1), number), RangeError);
      }
    }
  });

  test(`${name} keys are exported as PKCS #8`, () => {
    const exported = read(pkcs8(key)).exportPrivateKey();
    assert.equal(exported.constructor, Uint8Array);
    assert.deepEqual(exported, new Uint8Array(key.export({ format: "der", type: "pkcs8" })));
  });
}

test("keys are read in every form of PEM that Node.js reads", () => {
  const forms: readonly (readonly [pem: string, key: KeyObject, passphrase?: string])[] = [
    [pkcs8(rsa), rsa],
    [pkcs8(rsa), rsa, "not needed"],
    [rsa.export({ format: "pem", type: "pkcs1" }).toString(), rsa],
    [p384.export({ format: "pem", type: "sec1" }).toString(), p384],
    [encrypted(rsa), rsa, "open sesame"],
    [encrypted(p256), p256, "open sesame"],
    [encrypted(ed25519), ed25519, "open sesame"],
    [encryptedOld(rsa, "pkcs1"), rsa, "open sesame"],
    [encryptedOld(p256, "sec1"), p256, "open sesame"],
  ];
  // As `openssl ecparam -genkey` writes it.
  const parameters =
    "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
  for (const [pem, key, passphrase] of forms) {
    const expected = new Uint8Array(key.export({ format: "der", type: "pkcs8" }));
    for (const given of [pem, Buffer.from(pem), pem.replaceAll("\n", "\r\n"), parameters + pem]) {
      assert.deepEqual(read(given, passphrase).exportPrivateKey(), expected, pem.slice(0, 40));
    }
  }
});

const possible = /: RSA of 2048 to 8192 bits, ECDSA with P-256 or P-384, and Ed25519 are possible$/;

test("keys of other kinds are refused with what is possible", () => {
  const kinds: readonly (readonly [key: KeyObject, message: RegExp])[] = [
    [generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey, /an RSA key of 1024 bits/],
    [generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).privateKey, /the kind rsa-pss/],
    [generateKeyPairSync("ec", { namedCurve: "P-521" }).privateKey, /with secp521r1/],
    [generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey, /with secp256k1/],
    [generateKeyPairSync("ed448").privateKey, /the kind ed448/],
    [generateKeyPairSync("x25519").privateKey, /the kind x25519/],
    [
      generateKeyPairSync("dsa", { modulusLength: 1024, divisorLength: 160 }).privateKey,
      /the kind dsa/,
    ],
  ];
  for (const [key, message] of kinds) {
    assert.throws(
      () => read(pkcs8(key)),
      (error) => isInvalidKey(error) && message.test(error.message) && possible.test(error.message),
      `${message}`,
    );
  }
});

const mistakes: readonly (readonly [
  pem: string | Uint8Array,
  message: RegExp,
  passphrase?: string,
])[] = [
  ["", /: it is empty$/],
  ["hello", /: it is not PEM/],
  [rsa.export({ format: "der", type: "pkcs8" }), /: it looks like DER/],
  [encrypted(rsa), /: it is encrypted: give its passphrase$/],
  [encryptedOld(rsa, "pkcs1"), /: it is encrypted: give its passphrase$/],
  [encrypted(rsa), /: it cannot be decrypted: the passphrase is another/, "open barley"],
  [encryptedOld(p256, "sec1"), /: it cannot be decrypted/, "open barley"],
  [encrypted(rsa), /: it cannot be decrypted/, "x".repeat(5000)],
  [
    pkcs8(rsa).replaceAll("PRIVATE KEY", "CERTIFICATE"),
    /: it holds a certificate and no private key: are certificate and key swapped\?$/,
  ],
  [
    createPublicKey(rsa).export({ format: "pem", type: "spki" }).toString(),
    /: it is the public key, and the private one is needed$/,
  ],
  [
    pkcs8(rsa).replaceAll("PRIVATE KEY", "OPENSSH PRIVATE KEY"),
    /: it is in OpenSSH's format: ssh-keygen -p -m PKCS8 converts it$/,
  ],
  [pkcs8(rsa).replaceAll("PRIVATE KEY", "X"), /: there is no private key in it$/],
  [pkcs8(rsa) + pkcs8(p256), /: there are 2 private keys, and one is expected$/],
  [pkcs8(rsa).slice(0, 800), /: block 1, "PRIVATE KEY", lacks its beginning or end/],
  [pkcs8(rsa).replace(/\n.{64}\n/, "\n"), /: it is damaged, or of a kind that Node/],
  [unsound, /: its parts do not belong together: it is damaged$/],
];

test("a key that cannot be used is an error that says why", () => {
  for (const [pem, message, passphrase] of mistakes) {
    assert.throws(
      () => read(pem, passphrase),
      (error) => {
        assert.ok(isInvalidKey(error), `${error}`);
        assert.match(error.message, message);
        assert.match(error.message, /^cannot use the private key: /);
        return true;
      },
      `${message}`,
    );
  }
});

test("an error about a private key holds nothing of it", () => {
  for (const [pem, , passphrase] of mistakes) {
    assert.throws(
      () => read(pem, passphrase),
      (error) => !showsPartOf(inspect(error, { depth: 9, showHidden: true }), pem, passphrase),
    );
  }
});

test("a key of the wrong type is a TypeError that holds nothing of it", () => {
  const pem: unknown = { pem: pkcs8(rsa) };
  assert.throws(
    () => read(pem as string),
    (error) => error instanceof TypeError && !showsPartOf(inspect(error), pkcs8(rsa)),
  );
  const passphrase: unknown = { open: "sesame" };
  assert.throws(
    () => read(encrypted(rsa), passphrase as string),
    (error) => isInvalidKey(error) && !inspect(error).includes("sesame"),
  );
});

test("a private key does not show when it is printed", () => {
  const key = read(pkcs8(rsa));
  const shown = [
    inspect(key, { showHidden: true, depth: 9 }),
    JSON.stringify(key),
    `${key}`,
  ].join();
  assert.ok(!showsPartOf(shown, pkcs8(rsa)));
});

test("any text is a private key or an IdentityError that holds nothing of it", () => {
  const inputs = alteredPem([pkcs8(rsa), pkcs8(p256), pkcs8(ed25519), encryptedOld(rsa, "pkcs1")]);
  fuzz(
    inputs,
    (pem) => {
      try {
        const { signatureSchemes } = read(pem);
        assert.ok(signatureSchemes.length > 0);
      } catch (error) {
        assert.ok(isInvalidKey(error));
        assert.equal(error.cause, undefined);
        assert.ok(!showsPartOf(error.message, pem));
      }
    },
    2_500,
  );
});

/** Whether a text has a piece of a key's base64, or its passphrase. */
function showsPartOf(text: string, pem: string | Uint8Array, passphrase?: string): boolean {
  const lines = Buffer.from(pem).toString("latin1").split(/\r?\n/);
  const base64 = lines.filter((line) => /^[A-Za-z0-9+/]{16,}=*$/.test(line)).join("");
  for (let at = 0; at + 12 <= base64.length; at++) {
    if (text.includes(base64.slice(at, at + 12))) {
      return true;
    }
  }
  return passphrase !== undefined && text.includes(passphrase);
}
