import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { exploreMs, PeerPool, type PeerPoolOptions, type PooledPeer } from "./peer-pool.ts";
import type { SourcePeer } from "./peer-source.ts";

const candidates: readonly SourcePeer[] = Array.from({ length: 12 }, (_, index) => {
  const id = SecretKey.fromBytes(new Uint8Array(32).fill(index + 1)).publicKey;
  return { id, addr: EndpointAddr.from({ id, addrs: [`192.0.2.${index}:4433`] }) };
});

function peer(index: number): SourcePeer {
  const found = candidates[index];
  assert.ok(found !== undefined, `there is no peer ${index}`);
  return found;
}

/** A pool, and what its commands lead to. */
class Harness {
  readonly pool: PeerPool;
  readonly linked = new Set<PooledPeer>();
  readonly busy = new Set<PooledPeer>();
  now = 0;
  nextMs: number | undefined;
  readonly #max: number;

  constructor(options: Partial<PeerPoolOptions> = {}) {
    this.#max = options.maxConnections ?? 3;
    this.pool = new PeerPool({
      policy: "round-robin",
      maxConnections: this.#max,
      maxPeers: 100,
      self: "self",
      patienceMs: 1_000,
      isBusy: (each) => this.busy.has(each),
      ...options,
    });
  }

  put(...indexes: readonly number[]): void {
    for (const index of indexes) {
      this.pool.put(peer(index));
    }
  }

  step(random = 0): PooledPeer[] {
    const { connect, disconnect, nextMs } = this.pool.step(this.now, random);
    for (const each of disconnect) {
      assert.ok(this.linked.delete(each), "only what is connected is let go");
    }
    for (const each of connect) {
      assert.ok(!this.linked.has(each), "nothing is connected twice");
      this.linked.add(each);
    }
    assert.ok(this.linked.size <= this.#max, "no more than it may");
    assert.ok(nextMs === undefined || nextMs > this.now, "the next time is to come");
    this.nextMs = nextMs;
    return [...connect];
  }

  fail(each: PooledPeer): void {
    this.linked.delete(each);
    this.pool.failed(each, new Error("not there"), this.now, 0);
  }

  indexOf(each: PooledPeer | undefined): number {
    return candidates.findIndex(({ id }) => id === each?.id);
  }
}

test("dials as many as may be connected, and waits longer after each failure", () => {
  const harness = new Harness({ maxConnections: 2 });
  harness.put(0);
  for (const waitMs of [200, 400, 800]) {
    const [dialed] = harness.step();
    assert.equal(harness.indexOf(dialed), 0);
    assert.equal(harness.nextMs, harness.now + 1_000);
    harness.fail(dialed as PooledPeer);
    assert.deepEqual(harness.step(), []);
    const untilMs = harness.now + waitMs;
    assert.ok((harness.nextMs ?? 0) <= untilMs, "it asks in time");
    harness.now = untilMs - 1;
    assert.deepEqual(harness.step(), [], "not before its time");
    harness.now = untilMs;
  }
  // It registers again, so it is tried at once.
  const [again] = harness.step();
  harness.fail(again as PooledPeer);
  harness.put(0);
  harness.now += 2_000;
  assert.equal(harness.step().length, 1);
});

test("after several failures in a row it dials more slowly, however many peers there are", () => {
  const harness = new Harness({ maxConnections: 1 });
  harness.put(...candidates.keys());
  let dialed = 0;
  for (; harness.now < 3_000; harness.now += 10) {
    for (const each of harness.step()) {
      dialed += 1;
      harness.fail(each);
    }
  }
  assert.ok(dialed >= 5 && dialed <= 8, `${dialed} dials in 3 s`);
});

test("sets a peer aside that does not serve where another waits for its place", () => {
  const harness = new Harness({ maxConnections: 2 });
  harness.put(0, 1);
  const [one, two] = harness.step();
  assert.ok(one !== undefined && two !== undefined, "both are dialed");
  harness.pool.unhealthy(one);
  harness.pool.ready(two);
  assert.deepEqual(harness.step(), []);
  assert.equal(one.state.type, "unhealthy", "nobody else wants its place");
  harness.put(2);
  assert.deepEqual(
    harness.step().map((each) => harness.indexOf(each)),
    [2],
  );
  assert.equal(one.state.type, "aside");
  assert.equal(one.problem?.type, "unhealthy");
});

test("with sticky, a peer that does not serve leaves its place to the next one of its keys", () => {
  const harness = new Harness({ maxConnections: 1, policy: "sticky" });
  harness.put(0, 1);
  harness.pool.complete();
  const pick = (): PooledPeer | undefined => harness.pool.pick(harness.now, { key: "key" });
  assert.equal(pick(), undefined);
  const [first] = harness.step();
  assert.ok(first, "the one that the key prefers is dialed");
  harness.pool.unhealthy(first);
  assert.equal(pick(), undefined);
  const [second] = harness.step();
  assert.ok(second !== undefined && second !== first, "then the other one");
  harness.pool.ready(second);
  assert.equal(pick(), second);
  assert.deepEqual(harness.step(), [], "and stays");
  assert.equal(pick(), second);
});

test("looks around for nearer peers from time to time, and leaves those that are busy", () => {
  const harness = new Harness({ policy: "nearest", maxConnections: 2 });
  harness.put(0, 1, 2);
  const dialed = harness.step();
  dialed.forEach((each, index) => {
    harness.pool.ready(each);
    each.latencyMs = index === 0 ? 10 : 50;
  });
  const [fast, slow] = dialed;
  assert.equal(harness.pool.pick(harness.now), fast);
  assert.deepEqual(harness.step(0.5), []);
  harness.busy.add(slow as PooledPeer);
  harness.busy.add(fast as PooledPeer);
  harness.now += exploreMs;
  assert.deepEqual(harness.step(0.5), []);
  harness.busy.clear();
  harness.now += exploreMs;
  const [another] = harness.step(0.5);
  assert.ok(another !== undefined && another !== slow, "another one is tried");
  assert.ok(!harness.linked.has(slow as PooledPeer), "in the place of the slowest");
});

test("never has more connections than it may, nor calls a peer that is not ready", () => {
  const index = fc.nat(candidates.length - 1);
  const action = fc.oneof(
    fc.record({ type: fc.constant("put" as const), index }),
    fc.record({ type: fc.constant("gone" as const), index }),
    fc.record({ type: fc.constant("begin" as const), index }),
    fc.record({ type: fc.constant("complete" as const), index }),
    fc.record({ type: fc.constant("ready" as const), index }),
    fc.record({ type: fc.constant("unhealthy" as const), index }),
    fc.record({ type: fc.constant("failed" as const), index }),
    fc.record({ type: fc.constant("busy" as const), index }),
    fc.record({ type: fc.constant("pass" as const), index }),
    fc.record({ type: fc.constant("pick" as const), index }),
  );
  const policy = fc.constantFrom("nearest" as const, "round-robin" as const, "sticky" as const);
  const play = (
    chosen: PeerPoolOptions["policy"],
    actions: readonly { readonly type: string; readonly index: number }[],
  ): void => {
    const harness = new Harness({ policy: chosen, maxPeers: 9, self: peer(11).id.toString() });
    const { pool } = harness;
    const refused = new Set<PooledPeer>();
    for (const { type, index: at } of actions) {
      const linked = [...harness.linked][at % Math.max(1, harness.linked.size)];
      if (type === "put") {
        pool.put(peer(at));
      } else if (type === "gone") {
        pool.gone(peer(at).id);
      } else if (type === "begin") {
        pool.begin();
      } else if (type === "complete") {
        pool.complete();
      } else if (type === "ready" && linked !== undefined) {
        pool.ready(linked);
      } else if (type === "unhealthy" && linked !== undefined) {
        pool.unhealthy(linked);
      } else if (type === "failed" && linked !== undefined) {
        harness.fail(linked);
      } else if (type === "busy" && linked !== undefined) {
        harness.busy.add(linked);
      } else if (type === "pass") {
        harness.now += at * 500;
      } else if (type === "pick") {
        const picked = pool.pick(harness.now, { key: `${at}`, refused });
        if (picked !== undefined) {
          assert.equal(picked.state.type, "ready");
          const others = [...pool.peers].filter(
            (each) => each.state.type === "ready" && !refused.has(each),
          );
          assert.ok(!refused.has(picked) || others.length === 0, "refused, and there are others");
          refused.add(picked);
        }
      }
      harness.step(at / 12);
      const peers = [...pool.peers];
      assert.ok(peers.length <= 9, "no more than are remembered");
      assert.ok(!peers.some(({ id }) => id.equals(peer(11).id)), "never itself");
      const states = ["connecting", "ready", "unhealthy"];
      for (const each of peers) {
        assert.equal(harness.linked.has(each), states.includes(each.state.type), each.state.type);
      }
      for (const each of harness.linked) {
        assert.ok(peers.includes(each), "nobody is connected who is gone");
      }
    }
  };
  fc.assert(fc.property(policy, fc.array(action, { maxLength: 80 }), play), { numRuns: 1_000 });
});
