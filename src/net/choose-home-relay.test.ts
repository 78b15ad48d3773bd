import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseRelayUrl, type RelayUrl } from "../identity/relay-url.ts";
import { chooseHomeRelay, type RelayLatencies } from "./choose-home-relay.ts";

const a = parseRelayUrl("https://a.example");
const b = parseRelayUrl("https://b.example");
const c = parseRelayUrl("https://c.example");

/** Rounds, one a minute, of latencies by relay. */
function rounds(...all: readonly (readonly (readonly [RelayUrl, number])[])[]): RelayLatencies[] {
  return all.map((latencies, minute) => ({ at: minute * 60_000, latencies: new Map(latencies) }));
}

test("chooseHomeRelay takes the quickest relay that answered", () => {
  assert.equal(
    chooseHomeRelay(
      rounds([
        [a, 30],
        [b, 20],
        [c, 40],
      ]),
      undefined,
    ),
    b,
  );
  assert.equal(chooseHomeRelay(rounds([[a, 20]]), undefined), a);
});

test("chooseHomeRelay keeps the home relay when nobody answers", () => {
  assert.equal(chooseHomeRelay([], undefined), undefined);
  assert.equal(chooseHomeRelay([], a), a);
  assert.equal(chooseHomeRelay(rounds([[b, 20]], []), a), a);
});

test("chooseHomeRelay leaves a home relay that answers only for a gain of a third", () => {
  assert.equal(
    chooseHomeRelay(
      rounds([
        [a, 30],
        [b, 20.1],
      ]),
      a,
    ),
    a,
  );
  assert.equal(
    chooseHomeRelay(
      rounds([
        [a, 30],
        [b, 20],
      ]),
      a,
    ),
    b,
  );
  assert.equal(
    chooseHomeRelay(
      rounds([
        [a, 30],
        [b, 29],
      ]),
      undefined,
    ),
    b,
  );
});

test("F21: chooseHomeRelay leaves a home relay that no longer answers for any that does", () => {
  assert.equal(
    chooseHomeRelay(
      rounds(
        [[a, 10]],
        [
          [b, 200],
          [c, 300],
        ],
      ),
      a,
    ),
    b,
  );
});

test("chooseHomeRelay counts the lowest latency of the last 5 minutes", () => {
  assert.equal(
    chooseHomeRelay(
      rounds(
        [
          [a, 10],
          [b, 50],
        ],
        [
          [a, 90],
          [b, 50],
        ],
      ),
      undefined,
    ),
    a,
  );
  const longAgo = rounds(
    [
      [a, 10],
      [b, 50],
    ],
    [],
    [],
    [],
    [],
    [],
    [
      [a, 90],
      [b, 50],
    ],
  );
  assert.equal(chooseHomeRelay(longAgo, undefined), b);
  // A relay that was quick and is gone is not chosen.
  assert.equal(
    chooseHomeRelay(
      rounds(
        [
          [a, 1],
          [b, 50],
        ],
        [[b, 50]],
      ),
      undefined,
    ),
    b,
  );
});

test("chooseHomeRelay does not move to and fro between relays whose latencies differ by chance", () => {
  const latency = fc.double({ min: 70, max: 100, noNaN: true });
  fc.assert(
    fc.property(fc.array(fc.tuple(latency, latency), { minLength: 2, maxLength: 20 }), (pairs) => {
      const all: RelayLatencies[] = [];
      let home: RelayUrl | undefined;
      let moves = -1;
      for (const [index, [ofA, ofB]] of pairs.entries()) {
        all.push({
          at: index * 23_000,
          latencies: new Map([
            [a, ofA],
            [b, ofB],
          ]),
        });
        const next = chooseHomeRelay(all, home);
        moves += next === home ? 0 : 1;
        home = next;
      }
      assert.equal(moves, 0);
    }),
  );
});
