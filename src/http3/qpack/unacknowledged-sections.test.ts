import assert from "node:assert/strict";
import { test } from "node:test";
import type { EncoderEntry } from "./encoder-table.ts";
import { UnacknowledgedSections } from "./unacknowledged-sections.ts";

function entryAt(absoluteIndex: number): EncoderEntry {
  return { field: ["name", "value"], absoluteIndex, pins: 0, lastUse: 0 };
}

test("UnacknowledgedSections pins the oldest entry of each section until it is acknowledged or cancelled", () => {
  const sent = new UnacknowledgedSections();
  const oldest = entryAt(3);
  sent.add(0, { requiredInsertCount: 5, oldest });
  sent.add(4, { requiredInsertCount: 4, oldest });
  sent.add(4, { requiredInsertCount: 4, oldest });
  assert.equal(oldest.pins, 3);
  assert.equal(sent.count, 3);
  assert.equal(sent.acknowledge(0), true);
  assert.equal(oldest.pins, 2);
  sent.cancel(4);
  assert.equal(oldest.pins, 0);
  assert.equal(sent.count, 0);
  assert.equal(sent.acknowledge(4), false);
});

test("UnacknowledgedSections acknowledges the sections of a stream in their order (RFC 9204 §4.4.1)", () => {
  const sent = new UnacknowledgedSections();
  sent.add(0, { requiredInsertCount: 2, oldest: entryAt(1) });
  sent.add(0, { requiredInsertCount: 7, oldest: entryAt(1) });
  sent.acknowledge(0);
  assert.equal(sent.knownReceivedCount, 2);
  sent.acknowledge(0);
  assert.equal(sent.knownReceivedCount, 7);
});

test("UnacknowledgedSections never knows of fewer inserts than before", () => {
  const sent = new UnacknowledgedSections();
  sent.add(0, { requiredInsertCount: 2, oldest: entryAt(1) });
  sent.receive(5);
  sent.acknowledge(0);
  assert.equal(sent.knownReceivedCount, 5);
});

test("UnacknowledgedSections counts a stream as at risk until all inserts that it needs have arrived", () => {
  const sent = new UnacknowledgedSections();
  sent.receive(1);
  sent.add(0, { requiredInsertCount: 1, oldest: entryAt(0) });
  assert.equal(sent.isAtRisk(0), false);
  sent.add(0, { requiredInsertCount: 4, oldest: entryAt(0) });
  sent.add(0, { requiredInsertCount: 3, oldest: entryAt(0) });
  sent.add(4, { requiredInsertCount: 2, oldest: entryAt(0) });
  assert.equal(sent.streamsAtRisk, 2);
  sent.receive(3);
  assert.equal(sent.isAtRisk(0), true);
  assert.equal(sent.isAtRisk(4), false);
  sent.receive(4);
  assert.equal(sent.streamsAtRisk, 0);
});

test("UnacknowledgedSections counts a cancelled stream as at risk no more", () => {
  const sent = new UnacknowledgedSections();
  sent.add(0, { requiredInsertCount: 4, oldest: entryAt(0) });
  sent.cancel(0);
  assert.equal(sent.streamsAtRisk, 0);
});
