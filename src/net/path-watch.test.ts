import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PathWatch } from "./path-watch.ts";

const interval = PathWatch.intervalMs;

/** A path that is looked at as often as it wants to be. */
class Scene {
  rttMs = 40;
  bytesReceived = 0;
  packetsAcknowledged = 0;
  packetsWaiting = 0;
  packetsLost = 0;
  now = 0;
  readonly watch = new PathWatch(this, 0);

  /** What a look says after so long, with looks in between. */
  after(ms: number): string {
    const end = this.now + ms;
    let found = "";
    while (this.now < end) {
      this.now += Math.min(interval, end - this.now);
      found = this.watch.look(this, this.now);
    }
    return found;
  }
}

describe("PathWatch", () => {
  it("has nothing to say of a path on which nothing goes on", () => {
    const scene = new Scene();
    assert.equal(scene.after(60_000), "alive");
    assert.equal(scene.watch.isIdle(scene.now), true);
  });

  it("asks after 400 ms without an acknowledgement, once, and gives up after a second", () => {
    const scene = new Scene();
    scene.packetsWaiting = 1;
    assert.equal(scene.after(interval), "alive");
    assert.equal(scene.watch.isIdle(scene.now), false);
    assert.equal(scene.after(400 - interval), "alive");
    assert.equal(scene.after(interval), "ask");
    assert.equal(scene.after(600 - interval), "alive");
    assert.equal(scene.after(interval), "silent");
    assert.equal(scene.after(10_000), "silent");
  });

  it("is patient where the round trip is long: three of them, and six", () => {
    const scene = new Scene();
    scene.rttMs = 1_000;
    scene.packetsWaiting = 1;
    assert.equal(scene.after(3_000), "alive");
    assert.equal(scene.after(interval), "ask");
    assert.equal(scene.after(3_000 - interval), "alive");
    assert.equal(scene.after(interval), "silent");
  });

  it("starts again when it was asked and the answer has come", () => {
    const scene = new Scene();
    scene.packetsWaiting = 1;
    assert.equal(scene.after(interval), "alive");
    for (let round = 0; round < 10; round += 1) {
      assert.equal(scene.after(400), "ask");
      scene.packetsWaiting += 1;
      assert.equal(scene.after(400), "alive");
      scene.packetsAcknowledged += 2;
      scene.packetsWaiting -= 1;
      assert.equal(scene.after(interval), "alive");
      assert.equal(scene.watch.askedAt, undefined);
      assert.equal(scene.watch.lifeAt, scene.now - 400);
    }
  });

  it("takes a late acknowledgement for what it is: the path lived when the packet was sent", () => {
    const scene = new Scene();
    scene.packetsWaiting = 1;
    scene.after(interval);
    scene.packetsWaiting = 2;
    assert.equal(scene.after(900 - interval), "alive");
    scene.packetsAcknowledged += 1;
    scene.packetsWaiting -= 1;
    assert.equal(scene.after(interval), "alive");
    assert.equal(scene.watch.lifeAt, interval);
    assert.equal(scene.after(2 * interval), "silent");
  });

  it("does not take what arrives for an answer to what was sent", () => {
    const scene = new Scene();
    scene.packetsWaiting = 1;
    for (let round = 0; round < 5; round += 1) {
      scene.after(200);
      scene.bytesReceived += 50;
    }
    assert.equal(scene.after(200), "silent");
  });

  it("expects more where data came in, for 3 s", () => {
    const scene = new Scene();
    scene.bytesReceived = 201;
    assert.equal(scene.after(400), "alive");
    assert.equal(scene.after(interval), "ask");
    assert.equal(scene.after(600 - interval), "alive");
    assert.equal(scene.after(interval), "silent");
    assert.equal(scene.after(2_100), "alive");
  });

  it("expects nothing where a little came in", () => {
    const scene = new Scene();
    scene.bytesReceived = 200;
    assert.equal(scene.after(5_000), "alive");
    assert.equal(scene.watch.isIdle(scene.now), true);
  });
});
