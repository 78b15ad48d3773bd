import { blake3 } from "@noble/hashes/blake3.js";
import { UnexpectedEndError } from "../base/byte-reader.ts";
import { PostcardError, PostcardReader, PostcardWriter } from "../base/postcard.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { IdentityError } from "../identity/identity-error.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import { verify } from "../identity/verify.ts";
import { RelayError } from "./relay-error.ts";
import { decode, relayFrameType } from "./relay-frame.ts";

// How a client proves its id to a relay (iroh-relay 1.4, src/protos/handshake.rs). Messages are a frame type and a postcard
// value; bytes after the value mean nothing.
//
//   relay  → client  challenge   0 | 16 bytes
//   client → relay   answer      1 | id 32 | 64 as a varint | signature 64
//   relay  → client  confirmed   2 |
//                    denied      3 | varint length | reason in UTF-8

/** Bytes of a challenge. */
export const challengeLength = 16;

/** What a relay says before it relays anything. */
export type HandshakeFrame =
  | { readonly type: "challenge"; readonly challenge: Uint8Array }
  | { readonly type: "confirmed" }
  | { readonly type: "denied"; readonly reason: string };

/** What a client answers to a challenge. */
export interface ChallengeAnswer {
  readonly id: EndpointId;
  /** 64 bytes, not verified yet. */
  readonly signature: Uint8Array;
}

/** Reads what a relay has sent. Throws {@link RelayError} `invalid-frame`. */
export function decodeHandshakeFrame(message: Uint8Array): HandshakeFrame {
  return decodePostcard(message, (type, reader) => {
    switch (type) {
      case relayFrameType.serverChallenge:
        return { type: "challenge", challenge: reader.fixedBytes(challengeLength) };
      case relayFrameType.serverConfirmsAuth:
        return { type: "confirmed" };
      case relayFrameType.serverDeniesAuth:
        return { type: "denied", reason: reader.string() };
      default:
        throw invalid(`type ${type} is not expected here`);
    }
  });
}

/** What a relay sends. A challenge is {@link challengeLength} bytes that nobody can foretell. */
export function encodeHandshakeFrame(frame: HandshakeFrame): Uint8Array {
  switch (frame.type) {
    case "challenge":
      return new PostcardWriter()
        .varint(relayFrameType.serverChallenge)
        .fixedBytes(frame.challenge)
        .finish();
    case "confirmed":
      return Uint8Array.of(relayFrameType.serverConfirmsAuth);
    case "denied":
      return new PostcardWriter()
        .varint(relayFrameType.serverDeniesAuth)
        .string(frame.reason)
        .finish();
  }
}

/** A client's answer to a challenge. */
export function answerChallenge(challenge: Uint8Array, secretKey: SecretKey): Uint8Array {
  return new PostcardWriter()
    .varint(relayFrameType.clientAuth)
    .fixedBytes(secretKey.publicKey.bytes)
    .bytes(secretKey.sign(signedMessage(challenge)))
    .finish();
}

/** Reads a client's answer. Throws {@link RelayError} `invalid-frame`. */
export function decodeChallengeAnswer(message: Uint8Array): ChallengeAnswer {
  return decodePostcard(message, (type, reader) => {
    if (type !== relayFrameType.clientAuth) {
      throw invalid(`type ${type} is not expected here`);
    }
    const id = EndpointId.fromBytes(reader.fixedBytes(32));
    const signature = reader.bytes();
    if (signature.length !== 64) {
      throw invalid(`signature of ${signature.length} bytes, expected 64`);
    }
    return { id, signature };
  });
}

/** Whether `answer` proves that the client is who it says. Takes about 1 ms. */
export function isRightAnswer(challenge: Uint8Array, answer: ChallengeAnswer): boolean {
  return verify(answer.id, signedMessage(challenge), answer.signature);
}

/**
 * What is signed in place of the challenge itself: no relay can make a client sign something that means anything elsewhere.
 */
export function signedMessage(challenge: Uint8Array): Uint8Array {
  return blake3(challenge, { context: signatureContext, dkLen: 32 });
}

function decodePostcard<T>(
  message: Uint8Array,
  read: (type: number, payload: PostcardReader) => T,
): T {
  return decode(message, (type, payload) => {
    try {
      return read(type, new PostcardReader(payload.rest()));
    } catch (error) {
      if (
        error instanceof PostcardError ||
        error instanceof IdentityError ||
        error instanceof UnexpectedEndError
      ) {
        throw new RelayError("invalid-frame", `invalid relay handshake: ${error.message}`, {
          cause: error,
        });
      }
      throw error;
    }
  });
}

function invalid(problem: string): RelayError {
  return new RelayError("invalid-frame", `invalid relay handshake: ${problem}`);
}

const signatureContext = new TextEncoder().encode("iroh-relay handshake v1 challenge signature");
