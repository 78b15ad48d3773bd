import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type PathCandidate, selectPath } from "./select-path.ts";

const path = (key: string, rttMs: number, options: Partial<PathCandidate> = {}): PathCandidate => ({
  key,
  kind: "direct",
  family: 4,
  rttMs,
  lossy: false,
  ...options,
});
const relay = (key: string, rttMs: number, options: Partial<PathCandidate> = {}): PathCandidate =>
  path(key, rttMs, { kind: "relay", family: 6, ...options });

describe("selectPath", () => {
  it("has nothing to choose without paths, and keeps nothing that is gone", () => {
    assert.equal(selectPath(undefined, []), undefined);
    assert.equal(selectPath("a", []), undefined);
    assert.equal(selectPath("gone", [path("a", 10)]), "a");
  });

  it("takes the quickest at first", () => {
    assert.equal(selectPath(undefined, [path("a", 30), path("b", 10), path("c", 20)]), "b");
  });

  const others: readonly (readonly [string, PathCandidate, PathCandidate, "own" | "other"])[] = [
    ["a direct path that is slower than the relay", relay("own", 5), path("other", 500), "other"],
    ["no relay, however quick", path("own", 500), relay("other", 1), "own"],
    ["what is quicker by 5 ms", path("own", 20), path("other", 15), "other"],
    ["nothing that is quicker by less", path("own", 20), path("other", 15.01), "own"],
    ["a relay that is quicker by 5 ms", relay("own", 20), relay("other", 15), "other"],
    ["no relay that is quicker by less", relay("own", 20), relay("other", 15.01), "own"],
    ["IPv6 that is quicker by 2 ms", path("own", 20), path("other", 18, { family: 6 }), "other"],
    ["no IPv6 that gains less", path("own", 20), path("other", 18.01, { family: 6 }), "own"],
    ["IPv4 only for 8 ms", path("own", 20, { family: 6 }), path("other", 12.01), "own"],
    ["IPv4 for 8 ms", path("own", 20, { family: 6 }), path("other", 12), "other"],
    [
      "a clean relay for a lossy direct path",
      path("own", 5, { lossy: true }),
      relay("other", 500),
      "other",
    ],
    [
      "no lossy direct path for a clean relay",
      relay("own", 500),
      path("other", 5, { lossy: true }),
      "own",
    ],
    [
      "a lossy direct path for a lossy relay",
      relay("own", 5, { lossy: true }),
      path("other", 500, { lossy: true }),
      "other",
    ],
    [
      "a clean direct path at once, however slow",
      path("own", 5, { lossy: true }),
      path("other", 500),
      "other",
    ],
  ];
  for (const [name, own, other, expected] of others) {
    it(`takes ${name}`, () => {
      assert.equal(selectPath("own", [own, other]), expected);
      assert.equal(selectPath("own", [other, own]), expected);
    });
  }

  it("judges an address by its best connection", () => {
    assert.equal(selectPath("a", [path("a", 50), path("a", 10), path("b", 6)]), "a");
    assert.equal(selectPath("a", [path("a", 50), path("a", 11), path("b", 6)]), "b");
  });

  it("gives relays no credit for the family of the address that stands for them", () => {
    assert.equal(selectPath("own", [relay("own", 20, { family: 4 }), relay("other", 17)]), "own");
  });
});
