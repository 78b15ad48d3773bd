import assert from "node:assert/strict";
import { test } from "node:test";
import { describePingEvent } from "./ping-event.ts";
import { PingStatistics } from "./ping-statistics.ts";

const relay = { type: "relay", url: "https://relay.example/" } as const;
const direct = { type: "direct", address: "192.0.2.1:4433" } as const;

test("lines of ping say which way an answer came and how long it took", () => {
  const lines = [
    { type: "connected", peer: "a".repeat(64), ms: 45.21, path: relay },
    { type: "pong", seq: 1, ms: 23.44, path: relay },
    { type: "path", from: relay, to: direct },
    { type: "pong", seq: 2, ms: 2.07, path: direct },
    { type: "estimate", seq: 3, ms: 0.314, path: direct },
    { type: "lost", seq: 4, error: "the deadline has passed" },
  ] as const;
  assert.deepEqual(
    lines.flatMap((event) => describePingEvent(event, "aaaaaaaaaa")),
    [
      "connected to aaaaaaaaaa via relay https://relay.example/ in 45.2 ms",
      "pong from aaaaaaaaaa via relay https://relay.example/ in 23.4 ms",
      "path changed to direct 192.0.2.1:4433, was via relay https://relay.example/",
      "pong from aaaaaaaaaa direct 192.0.2.1:4433 in 2.1 ms",
      "round trip to aaaaaaaaaa direct 192.0.2.1:4433: 0.31 ms",
      "no pong from aaaaaaaaaa: the deadline has passed",
    ],
  );
});

test("statistics are by way, the one taken first in front", () => {
  const statistics = new PingStatistics();
  const answers = [
    ["relay", 30],
    ["direct", 2],
    ["relay", 20],
    ["direct", 4],
    ["direct", 3],
  ] as const;
  for (const [way, ms] of answers) {
    statistics.handleSent();
    statistics.handleAnswer(way, ms);
  }
  statistics.handleSent();
  assert.equal(statistics.answered, 5);
  const event = { type: "statistics", ...statistics.summary() } as const;
  assert.deepEqual(describePingEvent(event, "a"), [
    "",
    "6 sent, 5 answered",
    "via relay: 2 answered, fastest 20.0 ms, mean 25.0 ms, slowest 30.0 ms",
    "direct: 3 answered, fastest 2.0 ms, mean 3.0 ms, slowest 4.0 ms",
  ]);
});
