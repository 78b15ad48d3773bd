// Many random networks: no call is lost in any. A seed that fails is printed with its story, and is played alone by
// SEED=<seed> npm test -- random-networks.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Outcome, playRandomNetwork } from "./random-networks.ts";

const isSlow = process.env.CONNECT_QUIC_TEST === "slow";
const onlySeed = process.env.SEED;
/** Disjoint, so that the slow suite tries others. */
const [firstSeed, count] = isSlow ? [10_000, 3_000] : [1, 50];

test("no call is lost in random networks, whatever happens to them", async () => {
  const seeds =
    onlySeed === undefined
      ? Array.from({ length: count }, (_, index) => firstSeed + index)
      : [Number(onlySeed)];
  const failed: Outcome[] = [];
  let calls = 0;
  for (const seed of seeds) {
    const outcome = await playRandomNetwork(seed);
    calls += outcome.calls;
    if (outcome.failure !== undefined) {
      failed.push(outcome);
    }
  }
  const lines = failed.map(
    ({ seed, story, failure }) => `seed ${seed}: ${failure}\n  ${story.join("\n  ")}`,
  );
  assert.equal(lines.join("\n"), "");
  assert.ok(calls > 20 * seeds.length, `${calls} calls`);
});

test("a seed is one run: the same twice", async () => {
  const one = await playRandomNetwork(7);
  const other = await playRandomNetwork(7);
  assert.deepEqual(one, other);
  assert.notDeepEqual((await playRandomNetwork(8)).traffic, one.traffic);
});
