import assert from "node:assert/strict";
import { test } from "node:test";
import { parseLoopback } from "./usage.ts";

test("the counters of the loopback interface are those of lo", () => {
  const text = `Inter-|   Receive                |  Transmit
 face |bytes    packets errs drop |bytes    packets errs drop
  eth0: 999 9 0 0 999 9 0 0
    lo:    5432      21    0    0     5432      21    0    0
`;
  assert.deepEqual(parseLoopback(text), { bytes: 5_432, packets: 21 });
  assert.deepEqual(parseLoopback(""), { bytes: 0, packets: 0 });
});
