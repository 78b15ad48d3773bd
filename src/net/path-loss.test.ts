import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { PathLoss } from "./path-loss.ts";

/** A path over which so many packets were acknowledged and lost, told in steps. */
function after(...steps: readonly (readonly [acknowledged: number, lost: number])[]): PathLoss {
  const loss = new PathLoss();
  let packetsAcknowledged = 0;
  let packetsLost = 0;
  for (const [acknowledged, lost] of steps) {
    packetsAcknowledged += acknowledged;
    packetsLost += lost;
    loss.update({ packetsAcknowledged, packetsLost });
  }
  return loss;
}

describe("PathLoss", () => {
  it("says nothing below 32 packets", () => {
    assert.equal(after([15, 16]).isLossy, false);
    assert.equal(after([15, 16]).rate, 0);
    assert.equal(after([16, 16]).isLossy, true);
  });

  it("calls a path lossy from a quarter on", () => {
    assert.equal(after([37, 12]).isLossy, false);
    assert.equal(after([36, 12]).isLossy, true);
    assert.equal(after([36, 12]).rate, 0.25);
  });

  it("calls it clean again only below an eighth", () => {
    assert.equal(after([36, 12], [10, 0]).isLossy, true);
    const recovering = after([36, 12], ...Array.from({ length: 10 }, () => [40, 0] as const));
    assert.equal(recovering.isLossy, false);
    assert.ok(recovering.rate < 0.12);
  });

  it("stays clean with a few lost packets", () => {
    assert.equal(after(...Array.from({ length: 50 }, () => [95, 5] as const)).isLossy, false);
  });

  it("forgets what was long ago", () => {
    assert.equal(after([10_000, 0], [20, 60]).isLossy, true);
    assert.equal(
      after([0, 10_000], ...Array.from({ length: 12 }, () => [64, 0] as const)).isLossy,
      false,
    );
  });

  it("takes counters that went back for nothing new", () => {
    const loss = after([40, 10]);
    loss.update({ packetsAcknowledged: 0, packetsLost: 0 });
    assert.equal(loss.rate, 0.2);
  });

  it("has a share between 0 and 1, whatever it is told", () => {
    const counter = fc.integer({ min: 0, max: 1_000_000 });
    fc.assert(
      fc.property(fc.array(fc.tuple(counter, counter)), (steps) => {
        const loss = new PathLoss();
        for (const [packetsAcknowledged, packetsLost] of steps) {
          loss.update({ packetsAcknowledged, packetsLost });
          assert.ok(loss.rate >= 0 && loss.rate <= 1);
        }
      }),
    );
  });
});
