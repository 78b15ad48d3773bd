// Conversations that use what HTTP/3 and QPACK have between them.

import type { Field, FieldSection } from "../../src/http3/qpack/field.ts";
import { concat, get, ok, post, text } from "../support/http3-peer.ts";
import type { Side } from "../support/joined-cores.ts";
import { type Act, type Conversation, record, type Scene, type Step } from "./conversation.ts";

type Script = Scene["script"];
type Line = Script[number];

const shared: FieldSection = [
  ["x-user", "somebody"],
  ["content-type", "application/proto"],
];
const head: FieldSection = [[":method", "HEAD"], ...get.slice(1)];

const at =
  (side: Side) =>
  (type: "end" | "cancel" | "stopReceiving", request: number): Line => [side, { type, request }];
const client = at("client");
const server = at("server");
const request = (fields: FieldSection, ...more: readonly Field[]): Line => [
  "client",
  { type: "request", fields: [...fields, ...shared, ...more] },
];
const answer = (
  number: number,
  more: readonly Field[] = [],
  options: Partial<Answer> = {},
): Line => [
  "server",
  { type: "answer", request: number, fields: [...ok, ...shared, ...more], ...options },
];
const content = (side: Side, number: number, bytes: string): Line => [
  side,
  { type: "content", request: number, bytes: text(bytes) },
];
const trailers = (side: Side, number: number, ...fields: readonly Field[]): Line => [
  side,
  { type: "trailers", request: number, fields },
];
const goaway = (side: Side): Line => [side, { type: "goaway" }];

type Answer = Extract<Act, { type: "answer" }>;

const everything: Script = [
  request(get),
  client("end", 0),
  answer(0, [], { interim: [[":status", "103"], ...shared] }),
  server("end", 0),
  request(post),
  content("client", 1, "some content"),
  content("client", 1, "and more"),
  trailers("client", 1, ["x-user", "somebody"], ["x-sum", "12"]),
  answer(1),
  content("server", 1, "an answer"),
  trailers("server", 1, ["grpc-status", "0"]),
  // Two at a time, answered in the other order.
  request(post, ["content-length", "5"], ["x-sum", "12"]),
  request(head),
  client("end", 3),
  answer(3, [["content-length", "10"]]),
  server("end", 3),
  content("client", 2, "12345"),
  client("end", 2),
  answer(2, [["content-length", "3"]]),
  content("server", 2, "abc"),
  server("end", 2),
  // Given up by the client, by the server, and half so.
  request(post),
  content("client", 4, "never mind"),
  answer(4, [], { early: true }),
  client("cancel", 4),
  request(post),
  server("cancel", 5),
  request(post),
  answer(6, [], { early: true }),
  server("stopReceiving", 6),
  content("server", 6, "enough"),
  server("end", 6),
  // One that is under way while both say that they take no more.
  request(post),
  goaway("server"),
  goaway("client"),
  content("client", 7, "as long as it takes for its length to need two bytes".padEnd(70)),
  client("end", 7),
  answer(7),
  content("server", 7, "and so is this one".padEnd(70)),
  trailers("server", 7, ["grpc-status", "0"]),
];

/** Fields that come and go: what a table of 150 bytes cannot hold. */
const changing: Script = Array.from({ length: 8 }, (_, number): Script => {
  const fields: Field[] = [
    ["x-a", `value ${number >> 1}`],
    ["x-b", `value ${number % 3}`],
  ];
  return [
    request(get, ...fields),
    client("end", number),
    answer(number, fields),
    trailers("server", number, ...fields),
  ];
}).flat();

/** Its encoders refer to entries at once, so that sections may have to wait for the encoder stream (RFC 9204 §2.1.2). */
const eager = { qpackEncoder: { maxBlockedStreams: 16 } };
const small = { ...eager, limits: { qpackMaxTableCapacity: 150 } };

/** In each, the tables have room for all that is inserted. */
export const roomyConversations: readonly Conversation[] = [
  ...record({
    name: "everything",
    client: {},
    server: {},
    script: everything,
    random: () => 0.999_999,
  }),
  ...record({
    name: "everything, with eager encoders",
    client: eager,
    server: eager,
    script: everything,
    random: randomFrom(1),
    slow: 0.3,
  }),
];

/**
 * In each, all inserts come last and at once, so that whatever needs one is blocked until then and goes on together. Without
 * the peer's decoder stream, which would acknowledge what has not been sent.
 */
export const lateConversations: readonly Conversation[] = roomyConversations.map((conversation) => {
  const { name, steps } = conversation;
  const inserts: Uint8Array[] = [];
  const encoderStream = streamOfType(steps, 0x02) ?? -1;
  const decoderStream = streamOfType(steps, 0x03);
  const others = steps.filter((step) => {
    if (step.type !== "bytes") {
      return true;
    }
    if (step.streamId === encoderStream) {
      inserts.push(step.bytes);
    }
    return step.streamId !== encoderStream && step.streamId !== decoderStream;
  });
  const last: Step = { type: "bytes", streamId: encoderStream, bytes: concat(inserts), fin: false };
  return { ...conversation, name: `${name}, inserts last`, steps: [...others, last] };
});

/** In each, entries are evicted, and sections are blocked. */
export const tightConversations: readonly Conversation[] = record({
  name: "a small table",
  client: small,
  server: small,
  script: changing,
  random: randomFrom(2),
  slow: 0.5,
});

/** The peer's unidirectional stream of a type (RFC 9114 §6.2). */
export function streamOfType(steps: readonly Step[], type: number): number | undefined {
  const first = steps.find(
    (step) => step.type === "bytes" && (step.streamId & 2) !== 0 && step.bytes[0] === type,
  );
  return first?.type === "bytes" ? first.streamId : undefined;
}

/** Numbers in [0, 1), the same for the same seed from 1 to 2^31-2 (Lehmer's generator). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}
