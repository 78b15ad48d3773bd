import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import {
  concat,
  frame,
  get,
  hex,
  ok,
  PeerOf,
  type PeerStream,
  post,
  Recorder,
  text,
} from "../../test/support/http3-peer.ts";
import { JoinedCores } from "../../test/support/joined-cores.ts";
import { H3 } from "./h3-error.ts";
import type { Field } from "./qpack/field.ts";
import { Qpack } from "./qpack/qpack-error.ts";

/** Mutated conversations for each role. */
const conversations = process.env.CONNECT_QUIC_TEST === "slow" ? 200_000 : 30_000;

test("two cores understand each other however the channel cuts and reorders (RFC 9114 §4.1, RFC 9204 §2.2)", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 31 - 2 }),
      fc.array(
        fc.record({
          user: fc.nat(3),
          pieces: fc.array(fc.nat(2_000), { maxLength: 3 }),
          trailers: fc.boolean(),
          cancelled: fc.boolean(),
        }),
        { minLength: 1, maxLength: 6 },
      ),
      (seed, plans) => {
        const random = randomFrom(seed);
        const cores = new JoinedCores(random);
        const responses = plans.map((plan) => {
          const response = new Recorder();
          const fields: Field[] = [...post, ["x-user", `user ${plan.user}`], ["x-app", "test"]];
          const request = cores.client.core.request(fields, response);
          for (const length of plan.pieces) {
            request.sendData(new Uint8Array(length).fill(length));
          }
          request.end();
          for (let steps = Math.floor(random() * 5); steps > 0; steps -= 1) {
            cores.step();
          }
          answerAll(cores.server, plan.trailers);
          if (plan.cancelled) {
            request.cancel(H3.REQUEST_CANCELLED);
          }
          return response;
        });
        do {
          cores.run();
        } while (answerAll(cores.server, true));
        assert.equal(cores.client.closedWith, undefined, cores.client.closedWith?.reason);
        assert.equal(cores.server.closedWith, undefined, cores.server.closedWith?.reason);
        responses.forEach((response, index) => {
          const plan = plans[index];
          if (plan?.cancelled === false) {
            const total = plan.pieces.reduce((sum, length) => sum + length, 0);
            assert.equal(response.log[0], `headers :status=200 x-user=user ${plan.user}`);
            assert.equal(concat(response.content).length, total);
            assert.equal(response.log.at(-1), "end");
          }
        });
        assert.equal(cores.client.core.activeRequests, 0);
        assert.equal(cores.server.core.activeRequests, 0);
      },
    ),
    { numRuns: 500 },
  );
});

/** What a peer sends in a conversation, piece by piece. */
interface Piece {
  /** Which stream, counted from 0 among those of its direction; on a client, bidirectional ones are its own requests. */
  readonly direction: "bidirectional" | "unidirectional";
  readonly index: number;
  readonly bytes: Uint8Array;
  readonly fin: boolean;
}

type Mutation =
  | { readonly type: "flip"; readonly piece: number; readonly at: number; readonly to: number }
  | {
      readonly type: "insert";
      readonly piece: number;
      readonly at: number;
      readonly bytes: Uint8Array;
    }
  | { readonly type: "cut"; readonly piece: number; readonly at: number }
  | { readonly type: "drop"; readonly piece: number }
  | { readonly type: "repeat"; readonly piece: number }
  | { readonly type: "swap"; readonly piece: number; readonly with: number }
  | { readonly type: "end"; readonly piece: number }
  | { readonly type: "reset" | "stop"; readonly piece: number; readonly code: bigint }
  | { readonly type: "wait"; readonly piece: number };

type StreamEvent = Extract<Mutation, { readonly type: "reset" | "stop" | "wait" }>;

const at = fc.nat(120);
const piece = fc.nat(40);
const frames = [
  frame(0x00),
  frame(0x01),
  frame(0x03, hex("00")),
  frame(0x04),
  frame(0x05, hex("00")),
  frame(0x07, hex("04")),
  frame(0x0d, hex("00")),
  frame(0x02),
  frame(0x21, text("grease")),
];
const anyMutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ type: fc.constant("flip"), piece, at, to: fc.nat(255) } as const),
  fc.record({
    type: fc.constant("insert"),
    piece,
    at: fc.oneof(fc.constant(0), at),
    bytes: fc.oneof(fc.uint8Array({ maxLength: 6 }), fc.constantFrom(...frames)),
  } as const),
  fc.record({ type: fc.constant("cut"), piece, at } as const),
  fc.record({ type: fc.constant("drop"), piece } as const),
  fc.record({ type: fc.constant("repeat"), piece } as const),
  fc.record({ type: fc.constant("swap"), piece, with: piece } as const),
  fc.record({ type: fc.constant("end"), piece } as const),
  fc.record({
    type: fc.constantFrom("reset", "stop"),
    piece,
    code: fc.constantFrom(H3.NO_ERROR, H3.REQUEST_CANCELLED, H3.REQUEST_REJECTED, 0n),
  } as const),
  fc.record({ type: fc.constant("wait"), piece } as const),
);

const knownCodes = new Set<bigint>([...Object.values(H3), ...Object.values(Qpack)]);

for (const role of ["server", "client"] as const) {
  test(`mutated conversations do a ${role} no harm: it answers, or ends with a code of its own`, () => {
    const conversation = record(role);
    assert.ok(conversation.length >= 10);
    assert.equal(play(role, conversation, []).closedWith, undefined, "unchanged, it is in order");
    const mutations = fc.array(anyMutation, { minLength: 1, maxLength: 3 });
    fuzz(
      mutations,
      (chosen) => {
        const peer = play(role, conversation, chosen);
        if (peer.closedWith !== undefined) {
          assert.ok(knownCodes.has(peer.closedWith.code));
          assert.ok(peer.closedWith.reason.length < 300);
        }
      },
      conversations,
    );
  });
}

/** What the other side of a `role` sends in a conversation that uses all of the protocol. */
function record(role: "client" | "server"): Piece[] {
  const cores = new JoinedCores(() => 0.999_999);
  for (let count = 0; count < 4; count += 1) {
    const fields: Field[] = [...(count === 0 ? get : post), ["x-user", "same"], ["x-app", "test"]];
    const request = cores.client.core.request(fields, new Recorder());
    if (count > 0) {
      request.sendData(text("some content"));
      request.sendData(text("more"));
    }
    if (count > 1) {
      request.sendTrailers([["x-user", "same"]]);
    } else {
      request.end();
    }
    cores.run();
    answerAll(cores.server, count > 1);
    cores.run();
  }
  const side = role === "server" ? cores.client : cores.server;
  if (role === "server") {
    side.core.goaway();
  }
  const own = side.opened;
  const unidirectional = own.filter(({ id }) => (id & 2) !== 0);
  const bidirectional = role === "server" ? own.filter(({ id }) => (id & 2) === 0) : side.accepted;
  const pieces: Piece[] = [];
  for (const [direction, streams] of [
    ["unidirectional", unidirectional],
    ["bidirectional", bidirectional],
  ] as const) {
    streams.forEach((stream, index) => {
      // Acknowledgments fit to what the other side sent then, and not to what it sends this time.
      const isDecoder = direction === "unidirectional" && stream.bytes[0] === 0x03;
      const written = isDecoder ? [hex("03")] : stream.written;
      written.forEach((bytes, part) => {
        const fin = stream.finished && part === written.length - 1;
        pieces.push({ direction, index, bytes, fin });
      });
    });
  }
  return pieces;
}

function play(
  role: "client" | "server",
  conversation: readonly Piece[],
  mutations: readonly Mutation[],
): PeerOf {
  const peer = new PeerOf({ role });
  const heard: Recorder[] = [];
  if (role === "client") {
    for (let count = 0; count < 4; count += 1) {
      const response = new Recorder();
      heard.push(response);
      peer.core.request(count === 0 ? get : post, response, { end: count % 2 === 0 });
    }
  }
  const streams = new Map<string, PeerStream>();
  const streamOf = ({ direction, index }: Piece): PeerStream | undefined => {
    const key = `${direction} ${index}`;
    let stream = streams.get(key);
    if (stream === undefined) {
      stream =
        role === "client" && direction === "bidirectional"
          ? peer.opened.find(({ id }) => id === index * 4)
          : peer.open(direction);
      if (stream !== undefined) {
        streams.set(key, stream);
      }
    }
    return stream;
  };
  const { pieces, events } = mutate(conversation, mutations);
  pieces.forEach((part, index) => {
    const stream = streamOf(part);
    stream?.send(part.bytes, { fin: part.fin });
    for (const event of events) {
      if (event.piece % pieces.length === index) {
        happen(event, peer, stream);
      }
    }
    answerAll(peer, true);
    peer.settle();
  });
  peer.advance(20_000);
  peer.core.closed({ type: "timeout", handshaking: false });
  peer.settle();
  assert.equal(peer.core.activeRequests, 0);
  for (const message of [...heard, ...peer.requests.map((request) => request.message)]) {
    assert.match(message.log.map((entry) => entry.split(" ", 1)[0]).join(" "), grammar);
  }
  return peer;
}

/** What a handler may hear, in its order. */
const grammar =
  /^((informational|stopped) )*(headers( (data|stopped|writable))*( trailers)?( stopped)*( (end|failed))?( stopped| writable| failed)*|failed|stopped|)$/;

function mutate(conversation: readonly Piece[], mutations: readonly Mutation[]) {
  const pieces = [...conversation];
  const events: StreamEvent[] = [];
  for (const mutation of mutations) {
    const index = mutation.piece % pieces.length;
    const part = pieces[index];
    if (part === undefined) {
      break;
    }
    const { bytes } = part;
    switch (mutation.type) {
      case "flip": {
        const changed = bytes.slice();
        changed[mutation.at % Math.max(bytes.length, 1)] = mutation.to;
        pieces[index] = { ...part, bytes: changed };
        break;
      }
      case "insert": {
        const place = mutation.at % (bytes.length + 1);
        const changed = concat([bytes.subarray(0, place), mutation.bytes, bytes.subarray(place)]);
        pieces[index] = { ...part, bytes: changed };
        break;
      }
      case "cut":
        pieces[index] = { ...part, bytes: bytes.subarray(0, mutation.at % (bytes.length + 1)) };
        break;
      case "drop":
        if (pieces.length > 1) {
          pieces.splice(index, 1);
        }
        break;
      case "repeat":
        pieces.splice(index, 0, { ...part, fin: false });
        break;
      case "swap": {
        const other = mutation.with % pieces.length;
        pieces[index] = pieces[other] ?? part;
        pieces[other] = part;
        break;
      }
      case "end":
        pieces[index] = { ...part, fin: true };
        break;
      case "reset":
      case "stop":
      case "wait":
        events.push(mutation);
        break;
      default:
        mutation satisfies never;
    }
  }
  return { pieces, events };
}

function happen(event: StreamEvent, peer: PeerOf, stream: PeerStream | undefined): void {
  if (event.type === "reset") {
    stream?.sendReset(event.code);
  } else if (event.type === "stop") {
    stream?.sendStop(event.code);
  } else {
    peer.advance(11_000);
  }
}

/** Answers requests that are complete and were not answered yet; echoes their content. True when there were any. */
function answerAll(peer: PeerOf, trailers: boolean): boolean {
  let any = false;
  for (const request of peer.requests) {
    if (request.answered || request.message.log.at(-1) !== "end") {
      continue;
    }
    any = true;
    request.answered = true;
    const user = /x-user=(user \d|same)/.exec(request.message.log[0] ?? "")?.[1];
    request.stream.sendHeaders(user === undefined ? ok : [...ok, ["x-user", user]]);
    for (const content of request.message.content) {
      request.stream.sendData(content);
    }
    if (trailers) {
      request.stream.sendTrailers([["grpc-status", "0"]]);
    } else {
      request.stream.end();
    }
  }
  return any;
}

/** Numbers in [0, 1), the same for the same seed (Lehmer's generator). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}
