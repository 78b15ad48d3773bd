// QUIC cuts the bytes of a stream anywhere, and keeps no order between streams (RFC 9000 §2.2): whatever it does, the same
// messages come out.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Conversation, Player, play, type Step } from "./conversation.ts";
import { randomFrom, roomyConversations, streamOfType, tightConversations } from "./scenes.ts";

const slow = process.env.CONNECT_QUIC_TEST === "slow";
const orders = slow ? 20_000 : 500;

for (const conversation of [...roomyConversations, ...tightConversations]) {
  const { name, steps } = conversation;

  test(`${name}: the same messages come byte by byte (RFC 9114 §7.1)`, () => {
    for (const finAlone of [false, true]) {
      checkSame(conversation, (step) => {
        const bytes = Array.from(step.bytes, (byte) => ({
          ...step,
          bytes: Uint8Array.of(byte),
          fin: false,
        }));
        const last = finAlone || bytes.length === 0 ? emptyPiece(step) : bytes.pop();
        return [...bytes, { ...(last ?? emptyPiece(step)), fin: step.fin }];
      });
    }
  });

  test(`${name}: the same messages come of each piece in two, wherever it is cut (RFC 9114 §7.1)`, () => {
    const longest = Math.max(
      ...steps.map((step) => (step.type === "bytes" ? step.bytes.length : 0)),
    );
    assert.ok(longest > 10);
    for (let at = 0; at <= longest; at += 1) {
      checkSame(conversation, (step) => cut(step, at));
    }
    steps.forEach((only, index) => {
      const length = only.type === "bytes" ? only.bytes.length : -1;
      for (let at = 0; at <= length; at += 1) {
        checkSame(conversation, (step, which) => (which === index ? cut(step, at) : [step]));
      }
    });
  });
}

for (const conversation of roomyConversations) {
  test(`${conversation.name}: the same messages come in any order of the streams (RFC 9204 §2.2.1)`, () => {
    const whole = play(conversation);
    let blocked = 0;
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 2 }), (seed) => {
        const { player, wasBlocked } = playInAnyOrder(conversation, randomFrom(seed));
        blocked += wasBlocked ? 1 : 0;
        assert.equal(player.peer.closedWith, undefined, player.peer.closedWith?.reason);
        whole.heard.forEach((expected, index) => {
          const heard = player.heard[index];
          heard?.check();
          if (expected?.outcome === "complete") {
            assert.equal(heard?.transcript, expected.transcript);
          } else {
            // One that was given up or reset: how much of it comes before that is a matter of luck.
            assert.notEqual(heard?.outcome, "complete");
            assert.ok(expected?.content.startsWith(heard?.content ?? ""));
          }
        });
      }),
      { numRuns: orders },
    );
    assert.ok(
      blocked > orders / 10,
      `sections waited for inserts in ${blocked} of ${orders} orders`,
    );
  });
}

type Bytes = Extract<Step, { readonly type: "bytes" }>;

function emptyPiece(step: Bytes): Bytes {
  return { ...step, bytes: new Uint8Array(0) };
}

function cut(step: Bytes, at: number): Bytes[] {
  return [
    { ...step, bytes: step.bytes.slice(0, at), fin: false },
    { ...step, bytes: step.bytes.slice(at) },
  ];
}

/** Plays a conversation with its pieces cut, and compares what comes of it. */
function checkSame(
  conversation: Conversation,
  cutPiece: (step: Bytes, index: number) => readonly Bytes[],
): void {
  const steps = conversation.steps.flatMap((step, index): readonly Step[] =>
    step.type === "bytes" ? cutPiece(step, index) : [step],
  );
  const whole = play(conversation);
  const cut = play({ ...conversation, steps });
  assert.equal(cut.peer.closedWith, undefined, cut.peer.closedWith?.reason);
  assert.deepEqual(transcripts(cut), transcripts(whole));
  assert.deepEqual(written(cut), written(whole), "and what is sent is the same as well");
}

function transcripts({ heard }: Player): (string | undefined)[] {
  return Array.from(heard, (message) => {
    message?.check();
    return message?.transcript;
  });
}

/** What the core wrote on each stream; but its decoder stream acknowledges inserts together or one by one as they come. */
function written({ peer }: Player): unknown[] {
  return [...peer.opened, ...peer.accepted]
    .filter(({ id, bytes }) => (id & 2) === 0 || bytes[0] !== 0x03)
    .map(({ id, bytes, finished, resetCode, stopCode }) => {
      return { id, bytes, finished, resetCode, stopCode };
    });
}

/**
 * Plays a conversation with the pieces of its requests and of the encoder stream cut, and in any order that leaves each
 * stream in its own. All else keeps its order, because the peer said it of what the core had sent by then: the application's
 * acts, control and decoder stream, and what ends a stream before its time.
 */
function playInAnyOrder(
  { steps, ...conversation }: Conversation,
  random: () => number,
): { player: Player; wasBlocked: boolean } {
  const player = new Player(conversation);
  const below = (limit: number) => Math.floor(random() * limit);
  const free = new Map<number, Step[]>();
  const fixed: Step[] = [];
  const encoderStream = streamOfType(steps, 0x02);
  /** How many pieces of which streams come before a step. */
  const before = new Map<Step, ReadonlyMap<number, number>>();
  for (const step of steps) {
    if (step.type === "bytes" && ((step.streamId & 2) === 0 || step.streamId === encoderStream)) {
      const lane = free.get(step.streamId) ?? [];
      free.set(step.streamId, lane);
      lane.push(...cut(step, below(step.bytes.length + 1)));
    } else {
      fixed.push(step);
      if (step.type !== "act") {
        before.set(step, new Map([[step.streamId, free.get(step.streamId)?.length ?? 0]]));
      } else if (step.act.type === "goaway") {
        // It refuses the streams that have not begun to arrive.
        before.set(step, new Map([...free.keys()].map((streamId) => [streamId, 1])));
      }
    }
  }
  const done = new Map<number, number>();
  const lanes = [fixed, ...free.values()];
  /** One is late: only what waits for it waits. Every other time it is the encoder stream. */
  const late = below(2) === 0 ? free.get(encoderStream ?? -1) : lanes[below(lanes.length)];
  let wasBlocked = false;
  const isReady = (lane: readonly Step[]): boolean => {
    const [next] = lane;
    const awaited = [...((next && before.get(next)) ?? [])];
    return (
      next !== undefined &&
      player.isReady(next) &&
      awaited.every(([streamId, count]) => (done.get(streamId) ?? 0) >= count)
    );
  };
  for (;;) {
    const all = lanes.filter(isReady);
    const others = all.filter((lane) => lane !== late);
    const ready = others.length > 0 ? others : all;
    const next = ready[below(ready.length)]?.shift();
    if (next === undefined) {
      assert.ok(
        lanes.every(({ length }) => length === 0),
        "nothing has to wait for ever",
      );
      return { player, wasBlocked };
    }
    player.step(next);
    if (next.type === "bytes") {
      done.set(next.streamId, (done.get(next.streamId) ?? 0) + 1);
      wasBlocked ||= player.isHeldBack(next.streamId);
    }
  }
}
