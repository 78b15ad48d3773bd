// A peer that errs by one byte, wherever it is, and by a few: whatever comes of it, the core stands it, says at most once
// what is wrong, and lets no message pass that is not one.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { H3 } from "../../src/http3/h3-error.ts";
import { Qpack } from "../../src/http3/qpack/qpack-error.ts";
import { fuzz } from "../support/fuzz.ts";
import { type Conversation, Player, type Step } from "./conversation.ts";
import { mutate, mutations, placesOf } from "./mutants.ts";
import { lateConversations, roomyConversations, tightConversations } from "./scenes.ts";

const slow = process.env.CONNECT_QUIC_TEST === "slow";
/**
 * Each byte is changed in every n-th way. As 7 does not divide how many ways there are, each of them has its turn at every
 * seventh byte.
 */
const everyNth = slow ? 1 : 7;
/** Conversations with several faults. */
const combinations = slow ? 20_000 : 400;

const knownCodes = new Set<bigint>([...Object.values(H3), ...Object.values(Qpack)]);
/** What may be allocated for a conversation of a few hundred bytes, twice what it is: no length is a reason for more. */
const maxAllocatedBytes = 8_192;

for (const conversation of [...roomyConversations, ...lateConversations, ...tightConversations]) {
  const { name, steps } = conversation;
  const places = placesOf(steps);

  test(`${name}: any byte may be wrong (RFC 9114 §8, RFC 9204 §6)`, () => {
    withoutStackTraces(() => {
      assert.notEqual(mutations.length % 7, 0);
      let turn = 0;
      for (const place of places) {
        for (const mutation of mutations) {
          turn += 1;
          const changed = turn % everyNth === 0 ? mutate(steps, place, mutation) : undefined;
          if (changed !== undefined) {
            const { step, at } = place;
            check(conversation, changed, () => `${mutation.name} at byte ${at} of step ${step}`);
          }
        }
      }
      assert.ok(turn > 3_000);
    });
  });

  test(`${name}: any few bytes may be wrong (RFC 9114 §8, RFC 9204 §6)`, () => {
    const change = fc.tuple(fc.nat(places.length - 1), fc.constantFrom(...mutations));
    fuzz(
      fc.array(change, { minLength: 2, maxLength: 4 }),
      (changes) => {
        // From the last place to the first, so that those that are to come stay where they are.
        const ordered = changes.toSorted((a, b) => b[0] - a[0]);
        let changed: readonly Step[] = steps;
        for (const [index, mutation] of ordered) {
          const place = places[index];
          changed = (place && mutate(changed, place, mutation)) ?? changed;
        }
        check(conversation, changed, () => "several changes");
      },
      combinations,
    );
  });
}

function check(conversation: Conversation, steps: readonly Step[], what: () => string): void {
  try {
    const before = process.memoryUsage().arrayBuffers;
    const player = new Player(conversation);
    for (const step of steps) {
      player.step(step);
    }
    const allocated = process.memoryUsage().arrayBuffers - before;
    assert.ok(allocated < maxAllocatedBytes, `${allocated} bytes allocated`);
    checkOutcome(player);
  } catch (cause) {
    throw new Error(`${conversation.name}: ${what()}`, { cause });
  }
}

function checkOutcome({ peer, heard }: Player): void {
  const { core } = peer;
  // Time for what waits for the rest of a section, which may never come.
  peer.advance(core.limits.headersTimeoutMs);
  if (peer.closedWith === undefined) {
    const { guard, limits } = core;
    const max = limits.maxPartialSectionBytes;
    assert.ok(guard.partialSectionChanged(max), "nothing is kept of sections that will not come");
    assert.ok(!guard.partialSectionChanged(1), "nor is less than nothing");
  } else {
    assert.ok(knownCodes.has(peer.closedWith.code), `code ${peer.closedWith.code}`);
    assert.ok(peer.closedWith.reason.length < 300);
  }
  assert.ok(peer.closes <= 1, "a connection is closed once");
  core.closed({ type: "timeout", handshaking: false });
  peer.settle();
  assert.equal(core.activeRequests, 0);
  for (const message of heard) {
    message?.check();
    assert.notEqual(message?.outcome, "open", "what was heard of comes to an end");
  }
}

function withoutStackTraces(run: () => void): void {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}
