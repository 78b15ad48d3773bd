import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { IdentityError } from "./identity-error.ts";
import { decodeOpensshKey, encodeOpensshKey } from "./openssh-key.ts";
import { decodePem } from "./pem.ts";
import { SecretKey } from "./secret-key.ts";

// Keys of ssh-keygen 9.2, made for this test.
const plain = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW
QyNTUxOQAAACAXpCA1K5Ifb6c2PJonVyF4RHpR9MnehFpLfdo6PwFlrAAAAIhfGSDvXxkg
7wAAAAtzc2gtZWQyNTUxOQAAACAXpCA1K5Ifb6c2PJonVyF4RHpR9MnehFpLfdo6PwFlrA
AAAEDcHkPAdx28+LPdVIESDQg/vOt3CKES5XkQTSqhVMxLwBekIDUrkh9vpzY8midXIXhE
elH0yd6EWkt92jo/AWWsAAAAAAECAwQF
-----END OPENSSH PRIVATE KEY-----
`;

const encrypted = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABB9HBoCjs
Ll9bZ2PEDJPSLzAAAAEAAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIP4Iibysd9+3SK1y
VC7u++vvGins/gD/mUNkoWF7IOOSAAAAkPwPrx96vJWu21fKUE9QmN9T6JGL0zBYCqerw/
lYaCgU25wu+dsg3OZXteSsAh5osyLOL2ZgmqDdw3cs8FMMQDPQFAZ47CCFBexjMmrwnkvg
ZqpEn7f2yXIa0jARkqjGk83u7AffQxDkSRoSo1KArsRt9qPBoX8EhWU8rHuJWEqCmI5vp0
/rXVCbzo4NvFakQA==
-----END OPENSSH PRIVATE KEY-----
`;

const ecdsa = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAaAAAABNlY2RzYS
1zaGEyLW5pc3RwMjU2AAAACG5pc3RwMjU2AAAAQQQfxHKD175NlDQJb2x5bIZRJ0Ww/3Us
p7tAcOne6Xd8PoEQLxgePo3Qz1ATYzdDPK+hlx9URo+IjwBoafnimG9nAAAAoI57T3+Oe0
9/AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBB/EcoPXvk2UNAlv
bHlshlEnRbD/dSynu0Bw6d7pd3w+gRAvGB4+jdDPUBNjN0M8r6GXH1RGj4iPAGhp+eKYb2
cAAAAhANgpPIgU69gJb/7u4rZcm9bykTolSf6FPCkQV/LQSPqhAAAAAAECAwQFBgc=
-----END OPENSSH PRIVATE KEY-----
`;

const bytesOf = (pem: string): Uint8Array =>
  new Uint8Array(Buffer.from(pem.replace(/-----[^-]+-----/g, ""), "base64"));

test("an OpenSSH key file is read", () => {
  const key = SecretKey.fromPem(plain);
  // As ssh-keygen -y says it: the last 32 bytes.
  const line = "AAAAC3NzaC1lZDI1NTE5AAAAIBekIDUrkh9vpzY8midXIXhEelH0yd6EWkt92jo/AWWs";
  assert.deepEqual(Buffer.from(key.publicKey.bytes), Buffer.from(line, "base64").subarray(-32));
});

test("a file is written as ssh-keygen writes it, but for the numbers that are random there", () => {
  const { bytes, publicKey } = SecretKey.fromPem(plain);
  const written = encodeOpensshKey(bytes, publicKey.bytes);
  const checkAt = 98;
  const withoutCheck = (pem: string): Uint8Array => bytesOf(pem).fill(0, checkAt, checkAt + 8);
  assert.deepEqual(withoutCheck(written), withoutCheck(plain));
  assert.equal(written.length, plain.length);
  assert.deepEqual(SecretKey.fromPem(written).bytes, bytes);
});

test("other keys of OpenSSH are errors that say what they are", () => {
  for (const [pem, message] of [
    [encrypted, /it is encrypted/],
    [ecdsa, /its key is not Ed25519/],
    [plain.replace("b3BlbnNz", "c3BlbnNz"), /does not begin as such a file/],
  ] as const) {
    assert.throws(
      () => decodePem(pem),
      (error) => error instanceof IdentityError && message.test(error.message),
    );
  }
});

test("a file that is cut anywhere is an error", () => {
  const file = bytesOf(plain);
  // Behind the key comes an empty comment, and what fills up the block.
  for (let length = 0; length < file.length - 9; length++) {
    assert.throws(() => decodeOpensshKey(file.subarray(0, length)), IdentityError);
  }
});

test("whatever is in the file, there is a key or an error of ours", () => {
  const file = bytesOf(plain);
  const bent = fc
    .array(fc.tuple(fc.nat(file.length - 1), fc.integer({ min: 0, max: 255 })), { maxLength: 4 })
    .map((changes) => {
      const bytes = file.slice();
      for (const [at, value] of changes) {
        bytes[at] = value;
      }
      return bytes;
    });
  fuzz(
    fc.oneof(bent, fc.uint8Array({ maxLength: 300 })),
    (bytes) => {
      try {
        assert.equal(decodeOpensshKey(bytes).length, 32);
      } catch (error) {
        assert.ok(error instanceof IdentityError, `${error}`);
      }
    },
    10_000,
  );
});
