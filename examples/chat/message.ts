import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EndpointId, type SecretKey, verify } from "connect-quic";
import {
  MessageSchema,
  type SignedMessage,
  SignedMessageSchema,
} from "../../gen/chat/v1/chat_pb.ts";
import type { Entry } from "./history.ts";
import { maxTextBytes } from "./limits.ts";
import { isName } from "./printable.ts";
import { Violation } from "./violation.ts";

/** Something that was said. */
export interface ChatMessage extends Entry {
  readonly nick: string;
  readonly text: string;
  /** As it goes from member to member. */
  readonly signed: SignedMessage;
}

/** What is signed begins so, lest a signature for something else passes for one of a message. */
const domain = new TextEncoder().encode("connect-quic/examples/chat/v1\0");

/** Makes a message of `key`. */
export function signMessage(
  key: SecretKey,
  { room, nick, timeMs, text }: { room: string; nick: string; timeMs: number; text: string },
): ChatMessage {
  const author = key.publicKey;
  const content = toBinary(
    MessageSchema,
    create(MessageSchema, { room, nick, text, author: author.bytes, timeMs: BigInt(timeMs) }),
  );
  const signature = key.sign(signedBytes(content));
  const signed = create(SignedMessageSchema, { content, signature });
  return { author: author.toString(), nick, timeMs, text, signature: hex(signature), signed };
}

/** What tells a message from others, before it is read. */
export function signatureOf(signed: SignedMessage): string {
  return hex(signed.signature);
}

/** Reads a message that came for `room`. Throws {@link Violation} unless its author has signed it, for this room. */
export function readMessage(room: string, signed: SignedMessage): ChatMessage {
  const message = parse(() => fromBinary(MessageSchema, signed.content));
  const author = parse(() => EndpointId.fromBytes(message.author));
  const { nick, text } = message;
  if (message.room !== room) {
    throw new Violation("sent a message of another room");
  }
  if (!isName(nick) || !isText(text) || message.timeMs > Number.MAX_SAFE_INTEGER) {
    throw new Violation("sent a message that cannot be");
  }
  if (!verify(author, signedBytes(signed.content), signed.signature)) {
    throw new Violation("sent a message that its author has not signed");
  }
  const timeMs = Number(message.timeMs);
  return { author: author.toString(), nick, timeMs, text, signature: signatureOf(signed), signed };
}

/** Whether that can be said at once. */
export function isText(text: string): boolean {
  return text !== "" && Buffer.byteLength(text) <= maxTextBytes;
}

/** The first 8 bytes of a message's signature, as FollowRequest has them. */
export function shortSignature(message: ChatMessage): bigint {
  return BigInt(`0x${message.signature.slice(0, 16)}`);
}

function parse<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Violation("sent a message that cannot be read", { cause });
  }
}

function signedBytes(content: Uint8Array): Uint8Array {
  return Buffer.concat([domain, content]);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
