import assert from "node:assert/strict";
import { test } from "node:test";
import { relayHandshakeVectors } from "../../test/vectors/relay-vectors.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { ClientHandshake } from "./client-handshake.ts";
import { RelayError } from "./relay-error.ts";
import { decodeChallengeAnswer, isRightAnswer } from "./relay-handshake.ts";

/** What our client makes of messages of a relay. */
function play(messages: readonly string[]): { answers: string[]; outcome: string } {
  const handshake = new ClientHandshake(SecretKey.generate());
  const answers: string[] = [];
  try {
    for (const message of messages) {
      const step = handshake.handleMessage(decodeHex(message));
      if (step.type === "confirmed") {
        return { answers, outcome: "connected" };
      }
      answers.push(encodeHex(step.message));
    }
    return { answers, outcome: "waiting" };
  } catch (error) {
    assert.ok(error instanceof RelayError, String(error));
    return { answers, outcome: error.code };
  }
}

test("every course of the handshake ends as with iroh's client", () => {
  assert.ok(relayHandshakeVectors.client_cases.length > 0);
  for (const vector of relayHandshakeVectors.client_cases) {
    const { name, server_sends, client_sends, result, error = "" } = vector;
    const { answers, outcome } = play(server_sends);
    const failed = error.startsWith("ServerDeniedAuth")
      ? "denied"
      : error === "UnexpectedEnd"
        ? "waiting"
        : "invalid-frame";
    assert.equal(outcome, result === "connected" ? "connected" : failed, name);
    assert.equal(answers.length, client_sends.length, name);
    for (const [index, answer] of answers.entries()) {
      // Another key than the vector's, which is secret.
      const [ours, theirs] = [answer, client_sends[index] ?? ""].map((hex) =>
        decodeChallengeAnswer(decodeHex(hex)),
      );
      const challenge = decodeHex(server_sends[0] ?? "").subarray(1, 17);
      assert.ok(ours !== undefined && isRightAnswer(challenge, ours), name);
      assert.ok(theirs !== undefined && isRightAnswer(challenge, theirs), name);
    }
  }
});

test("the reason of a denial is shown, however long and odd it is", () => {
  const handshake = new ClientHandshake(SecretKey.generate());
  const reason = `\u001b[2J\n${"x".repeat(300)}`;
  const bytes = new TextEncoder().encode(reason);
  const message = Uint8Array.of(3, 0x80 | (bytes.length & 0x7f), bytes.length >> 7, ...bytes);
  assert.throws(
    () => handshake.handleMessage(message),
    (error: RelayError) =>
      error.code === "denied" &&
      error.message.startsWith('the relay denies access: "\\u001b[2J\\nxxx') &&
      error.message.length < 250,
  );
});

test("the answer tells the id of the client's own key", () => {
  const key = SecretKey.generate();
  const step = new ClientHandshake(key).handleMessage(new Uint8Array(17));
  assert.ok(step.type === "answer");
  const { id } = decodeChallengeAnswer(step.message);
  assert.ok(id instanceof EndpointId && id.equals(key.publicKey));
});
