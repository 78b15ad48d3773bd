import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { relayHandshakeVectors } from "../../test/vectors/relay-vectors.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { RelayError } from "./relay-error.ts";
import {
  answerChallenge,
  decodeChallengeAnswer,
  decodeHandshakeFrame,
  encodeHandshakeFrame,
  isRightAnswer,
  signedMessage,
} from "./relay-handshake.ts";

const { challenges, confirmation_frame, denials, server_cases } = relayHandshakeVectors;

test("a challenge is answered as iroh answers it", () => {
  assert.ok(challenges.length > 0);
  for (const vector of challenges) {
    const challenge = decodeHex(vector.challenge_hex);
    assert.equal(encodeHex(signedMessage(challenge)), vector.message_hex);
    const frame = encodeHandshakeFrame({ type: "challenge", challenge });
    assert.equal(encodeHex(frame), vector.server_challenge_frame);
    assert.deepEqual(decodeHandshakeFrame(frame), { type: "challenge", challenge });
    const answer = answerChallenge(challenge, SecretKey.parse(vector.secret_hex));
    assert.equal(encodeHex(answer), vector.client_auth_frame);
    const read = decodeChallengeAnswer(answer);
    assert.equal(read.id.toString(), vector.public_hex);
    assert.equal(encodeHex(read.signature), vector.signature_hex);
    assert.ok(isRightAnswer(challenge, read));
  }
});

test("confirmations and denials read and write as iroh's", () => {
  const confirmed = encodeHandshakeFrame({ type: "confirmed" });
  assert.equal(encodeHex(confirmed), confirmation_frame);
  for (const { reason, frame } of denials) {
    assert.equal(encodeHex(encodeHandshakeFrame({ type: "denied", reason })), frame);
    assert.deepEqual(decodeHandshakeFrame(decodeHex(frame)), { type: "denied", reason });
  }
});

test("what a client may answer comes to what iroh's relay makes of it", () => {
  const key = SecretKey.generate();
  const challenge = crypto.getRandomValues(new Uint8Array(16));
  const right = answerChallenge(challenge, key);
  const direct = new Uint8Array(right);
  direct.set(key.sign(challenge), 34);
  const other = new Uint8Array(right);
  other.set(SecretKey.generate().publicKey.bytes, 1);
  const noPoint = new Uint8Array(right);
  noPoint.fill(0, 1, 33)[1] = 2;
  const flipped = new Uint8Array(right);
  flipped[40] = (flipped[40] ?? 0) ^ 1;
  const short = new Uint8Array(right.subarray(0, -1));
  short[33] = 63;
  const answers: Readonly<Record<string, Uint8Array>> = {
    "right answer": right,
    "flipped signature bit": flipped,
    "challenge signed directly, without the derived key": direct,
    "other public key": other,
    "trailing bytes": Uint8Array.of(...right, 1, 2),
    "no length byte before the signature": Uint8Array.of(
      ...right.subarray(0, 33),
      ...right.subarray(34),
    ),
    "signature of 63 bytes": short,
    "public key not a point": noPoint,
    "ping instead of the answer": Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0, 0),
    "empty message": new Uint8Array(0),
    "unknown frame type": Uint8Array.of(0x0e),
  };
  for (const { name, server_sends_after, result } of server_cases) {
    const answer = answers[name];
    if (answer === undefined) {
      assert.equal(name, "closed");
      continue;
    }
    if (result === "authenticated" || server_sends_after.length > 0) {
      const valid = result === "authenticated";
      assert.equal(isRightAnswer(challenge, decodeChallengeAnswer(answer)), valid, name);
    } else {
      assert.throws(() => decodeChallengeAnswer(answer), RelayError, name);
    }
  }
});

test("an answer is right for its own challenge alone", () => {
  const key = SecretKey.generate();
  const answer = decodeChallengeAnswer(answerChallenge(new Uint8Array(16), key));
  assert.ok(isRightAnswer(new Uint8Array(16), answer));
  assert.ok(!isRightAnswer(new Uint8Array(16).fill(1), answer));
});

test("F30: random bytes read as a handshake message or are an invalid one", () => {
  const bytes = fc
    .tuple(fc.integer({ min: 0, max: 4 }), fc.uint8Array({ maxLength: 110 }))
    .map(([type, rest]) => Uint8Array.of(type, ...rest));
  fuzz(
    bytes,
    (message) => {
      for (const read of [decodeHandshakeFrame, decodeChallengeAnswer]) {
        try {
          read(message);
        } catch (error) {
          assert.ok(error instanceof RelayError && error.code === "invalid-frame", String(error));
        }
      }
    },
    20_000,
  );
});
