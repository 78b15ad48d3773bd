import assert from "node:assert/strict";
import { test } from "node:test";
import { LoopbackSession } from "../../test/support/loopback-http3.ts";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { EndpointError } from "../endpoint/endpoint-error.ts";
import { Channel } from "./channel.ts";
import type { HttpSession, SessionEvents, SessionWaiter } from "./session.ts";

interface Attempt extends Deferred<HttpSession> {
  readonly events: SessionEvents;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/** A channel whose dials the test answers. */
class Harness {
  readonly platform: ManualPlatform = new ManualPlatform();
  readonly attempts: Attempt[] = [];
  readonly channel: Channel;

  constructor() {
    this.channel = new Channel({
      peer: "c1c1c1c1c1",
      platform: this.platform,
      backoff: { initialMs: 100, maxMs: 1_000, jitter: 0 },
      dial: (events, { signal, timeoutMs }) => {
        const attempt = { ...deferred<HttpSession>(), events, signal, timeoutMs };
        this.attempts.push(attempt);
        signal.addEventListener("abort", () => attempt.reject(signal.reason));
        return attempt.promise;
      },
    });
  }

  get attempt(): Attempt {
    const last = this.attempts.at(-1);
    assert.ok(last !== undefined, "nothing was dialed");
    return last;
  }

  /** Answers the dial that is under way. */
  async open(): Promise<LoopbackSession> {
    const session = new LoopbackSession({
      onRequest: () => assert.fail("no requests here"),
      events: this.attempt.events,
    });
    this.attempt.resolve(session);
    await settled();
    return session;
  }

  async refuse(message = "nobody there"): Promise<void> {
    this.attempt.reject(new EndpointError("dial-timeout", message));
    await settled();
  }

  /** A call that wants a session. */
  want(timeoutMs = 10_000): Waiter {
    const waiter = new Waiter();
    const session = this.channel.acquire(waiter, timeoutMs);
    if (session !== undefined) {
      waiter.ready(session);
    }
    return waiter;
  }
}

class Waiter implements SessionWaiter {
  readonly got: (HttpSession | Error)[] = [];

  ready(session: HttpSession): void {
    this.got.push(session);
  }

  unreachable(error: unknown): void {
    assert.ok(error instanceof Error);
    this.got.push(error);
  }

  get error(): EndpointError {
    const [error] = this.got;
    assert.ok(error instanceof EndpointError, `got ${error}`);
    return error;
  }
}

test("dials nobody before the first call", () => {
  const harness = new Harness();
  assert.equal(harness.attempts.length, 0);
  assert.equal(harness.channel.state, "idle");
});

test("all calls that wait for a dial share its connection", async () => {
  const harness = new Harness();
  const waiters = [harness.want(), harness.want()];
  assert.equal(harness.channel.state, "connecting");
  const session = await harness.open();
  assert.equal(harness.attempts.length, 1);
  assert.equal(harness.channel.state, "connected");
  for (const waiter of [...waiters, harness.want()]) {
    assert.deepEqual(waiter.got, [session]);
  }
  assert.equal(harness.platform.timers, 0);
});

test("calls that wait fail with the dial, each once", async () => {
  const harness = new Harness();
  harness.want();
  await harness.refuse();
  // Both wait for the same dial.
  const waiters = [harness.want(), harness.want()];
  harness.platform.advance(100);
  await harness.refuse("no answer");
  for (const waiter of waiters) {
    assert.equal(waiter.got.length, 1);
    assert.equal(waiter.error.message, "no answer");
  }
  assert.equal(harness.platform.timers, 0);
});

test("a call that came while a dial was under way is not failed by it, but gets one of its own", async () => {
  const harness = new Harness();
  const early = harness.want(50);
  const late = new Waiter();
  harness.channel.acquire(late, 10_000);
  await harness.refuse();
  assert.equal(early.error.message, "nobody there");
  assert.deepEqual(late.got, []);
  harness.platform.advance(100);
  assert.equal(harness.attempts.length, 2);
  assert.equal(harness.attempt.timeoutMs, 10_000);
  await harness.refuse("still nobody");
  assert.equal(late.error.message, "still nobody");
});

test("a call waits hardly longer than its own limit, and the dial goes on for the next one", async () => {
  const harness = new Harness();
  const waiter = harness.want(50);
  harness.platform.advance(50);
  harness.platform.advance(20);
  assert.equal(waiter.error.code, "dial-timeout");
  assert.equal(waiter.error.message, "cannot connect to c1c1c1c1c1 within 50 ms");
  assert.equal(harness.attempt.signal.aborted, false);
  const session = await harness.open();
  assert.equal(waiter.got.length, 1);
  assert.deepEqual(harness.want().got, [session]);
});

test("a call whose time is up with that of its dial learns from the dial what was tried", async () => {
  const harness = new Harness();
  const waiter = harness.want(50);
  harness.platform.advance(50);
  await harness.refuse("no answer at 192.0.2.1:1");
  assert.equal(waiter.error.message, "no answer at 192.0.2.1:1");
  assert.equal(harness.platform.timers, 0);
});

test("a call does not wait beyond its limit for a dial that still has time", () => {
  const harness = new Harness();
  harness.want(10_000);
  const waiter = harness.want(50);
  harness.platform.advance(50);
  assert.equal(waiter.error.message, "cannot connect to c1c1c1c1c1 within 50 ms");
});

test("a dial gets as long as the most patient call that waits for it", () => {
  const harness = new Harness();
  harness.want(50);
  assert.equal(harness.attempt.timeoutMs, 50);
});

test("a call that is forgotten hears nothing more", async () => {
  const harness = new Harness();
  const waiter = harness.want();
  harness.channel.forget(waiter);
  await harness.open();
  assert.deepEqual(waiter.got, []);
  assert.equal(harness.platform.timers, 0);
});

test("after a failed dial the next call waits for the pause and is then dialed", async () => {
  const harness = new Harness();
  harness.want();
  await harness.refuse();
  const waiter = harness.want();
  assert.equal(harness.channel.state, "waiting");
  harness.platform.advance(99);
  assert.equal(harness.attempts.length, 1);
  harness.platform.advance(1);
  assert.equal(harness.attempts.length, 2);
  const session = await harness.open();
  assert.deepEqual(waiter.got, [session]);
});

test("a call that is given up during the pause does not lead to a dial", async () => {
  const harness = new Harness();
  harness.want();
  await harness.refuse();
  harness.channel.forget(harness.want());
  assert.equal(harness.channel.state, "idle");
  harness.platform.advance(10_000);
  assert.equal(harness.attempts.length, 1);
  assert.equal(harness.platform.timers, 0);
});

test("a call whose limit ends within the pause says why the last dial failed", async () => {
  const harness = new Harness();
  harness.want();
  await harness.refuse("no answer");
  const waiter = harness.want(60);
  harness.platform.advance(60);
  assert.equal(waiter.error.code, "dial-timeout");
  assert.match(String(waiter.error.cause), /no answer/);
});

test("F19: the first call after the peer is up works within the longest pause, however often it failed before", async () => {
  const harness = new Harness();
  for (let i = 0; i < 50; i++) {
    harness.want();
    harness.platform.advance(1_000);
    await harness.refuse();
  }
  // Now the peer is up.
  const waiter = harness.want();
  harness.platform.advance(1_000);
  const session = await harness.open();
  assert.deepEqual(waiter.got, [session]);
});

test("the next call after a loss dials again, at once when the connection had served", async () => {
  const harness = new Harness();
  harness.want();
  const session = await harness.open();
  harness.channel.answered(session);
  session.lose();
  assert.equal(harness.channel.state, "idle");
  assert.equal(harness.attempts.length, 1);
  harness.want();
  assert.equal(harness.attempts.length, 2);
});

test("F26: a connection that is lost before the peer answered anything is not redialed in a loop", async () => {
  const harness = new Harness();
  for (const pause of [100, 200, 400]) {
    const waiter = harness.want();
    await settled();
    (await harness.open()).lose();
    harness.channel.forget(waiter);
    const dialed = harness.attempts.length;
    harness.want();
    harness.platform.advance(pause - 1);
    assert.equal(harness.attempts.length, dialed);
    harness.platform.advance(1);
    assert.equal(harness.attempts.length, dialed + 1);
  }
});

test("after a GOAWAY new calls go to a new connection while the old one is drained", async () => {
  const harness = new Harness();
  harness.want();
  const old = await harness.open();
  harness.channel.answered(old);
  old.goAway();
  const waiter = harness.want();
  assert.equal(harness.attempts.length, 2);
  const session = await harness.open();
  assert.deepEqual(waiter.got, [session]);
  assert.equal(old.state, "closed");
});

test("the end of a drained connection does not touch the new one", async () => {
  const harness = new Harness();
  harness.want();
  const old = await harness.open();
  harness.channel.answered(old);
  old.goAway();
  harness.want();
  const session = await harness.open();
  old.lose();
  assert.deepEqual(harness.want().got, [session]);
});

test("a connection that ends while it is handed over fails those who wait, with how it ended", async () => {
  const harness = new Harness();
  const waiter = harness.want();
  const session = new LoopbackSession({
    onRequest: () => assert.fail("no requests here"),
    events: harness.attempt.events,
  });
  session.lose();
  harness.attempt.resolve(session);
  await settled();
  assert.equal(waiter.got.length, 1);
  assert.equal(waiter.error.code, "connection-lost");
  assert.equal(harness.channel.state, "idle");
});

test("a peer that goes away as soon as it is reached takes no calls", async () => {
  const harness = new Harness();
  const waiter = harness.want();
  const session = new LoopbackSession({
    onRequest: () => assert.fail("no requests here"),
    events: harness.attempt.events,
  });
  session.goAway();
  harness.attempt.resolve(session);
  await settled();
  assert.equal(waiter.got.length, 1);
  assert.equal(waiter.error.code, "connection-lost");
  harness.want();
  assert.equal(harness.channel.state, "waiting");
});

test("a call that comes between the end of a connection and the news of it gets the next one", async () => {
  const harness = new Harness();
  harness.want();
  const session = await harness.open();
  harness.channel.answered(session);
  session.state = "closed";
  const waiter = harness.want();
  assert.equal(harness.attempts.length, 1);
  harness.attempt.events.closed(new EndpointError("connection-lost", "lost"));
  assert.equal(harness.attempts.length, 2);
  const next = await harness.open();
  assert.deepEqual(waiter.got, [next]);
});

test("disconnecting calls off a dial and tells those who wait", async () => {
  const harness = new Harness();
  const waiter = harness.want();
  await harness.channel.disconnect({ timeoutMs: 0 });
  assert.equal(harness.attempt.signal.aborted, true);
  assert.equal(waiter.error.code, "endpoint-closed");
  await settled();
  assert.equal(waiter.got.length, 1);
  assert.equal(harness.channel.state, "idle");
  assert.equal(harness.platform.timers, 0);
});

test("disconnecting closes the connection, and a later call dials again", async () => {
  const harness = new Harness();
  harness.want();
  const session = await harness.open();
  harness.channel.answered(session);
  await harness.channel.disconnect({ timeoutMs: 1_000 });
  assert.equal(session.state, "closed");
  harness.want();
  assert.equal(harness.attempts.length, 2);
});

test("a channel that is kept open dials without calls, and again after each loss and failure", async () => {
  const harness = new Harness();
  harness.channel.keepOpen(7_000);
  assert.equal(harness.attempt.timeoutMs, 7_000);
  await harness.refuse();
  assert.equal(harness.channel.state, "waiting");
  harness.channel.forget(harness.want());
  harness.platform.advance(100);
  assert.equal(harness.attempts.length, 2, "a call that is given up changes nothing");
  const session = await harness.open();
  harness.channel.answered(session);
  session.lose();
  harness.platform.advance(1_000);
  assert.equal(harness.attempts.length, 3);
  const next = await harness.open();
  assert.equal(harness.channel.session, next);
  next.goAway();
  harness.platform.advance(1_100);
  assert.equal(harness.attempts.length, 4);
});

test("channels that were kept open do not all dial in the moment in which a peer loses them", async () => {
  const dialed = new Set<number>();
  for (let number = 0; number < 20; number += 1) {
    const harness = new Harness();
    harness.platform.randomByte = number * 12;
    harness.channel.keepOpen(7_000);
    const session = await harness.open();
    harness.channel.answered(session);
    session.lose();
    for (let passedMs = 0; harness.attempts.length === 1; passedMs += 10) {
      harness.platform.advance(10);
      dialed.add(passedMs);
    }
    assert.equal(harness.attempts.length, 2);
  }
  assert.ok(dialed.size > 10, `${dialed.size}`);
});

test("a call dials at once where a channel that is kept open would wait", async () => {
  const harness = new Harness();
  harness.channel.keepOpen(7_000);
  const session = await harness.open();
  harness.channel.answered(session);
  session.lose();
  harness.want();
  assert.equal(harness.attempts.length, 2);
  await harness.open();
  assert.equal(harness.platform.timers, 0);
});

test("a channel that is let go dials no more, and keeps what it has", async () => {
  const harness = new Harness();
  harness.channel.keepOpen(7_000);
  await harness.refuse();
  harness.channel.letGo();
  assert.equal(harness.channel.state, "idle");
  assert.equal(harness.platform.timers, 0);
  harness.channel.keepOpen(7_000);
  harness.platform.advance(100);
  const session = await harness.open();
  harness.channel.letGo();
  assert.deepEqual(harness.want().got, [session]);
  session.lose();
  assert.equal(harness.attempts.length, 2);
});

test("a channel that is kept open dials no more when its endpoint is closed", async () => {
  const harness = new Harness();
  harness.channel.keepOpen(7_000);
  harness.attempt.reject(new EndpointError("endpoint-closed", "the endpoint is closed"));
  await settled();
  assert.equal(harness.channel.state, "idle");
  assert.equal(harness.platform.timers, 0);
});

test("a channel that is renewed drains its connection, and dials for the next call", async () => {
  const harness = new Harness();
  harness.channel.renew();
  assert.equal(harness.attempts.length, 0);
  harness.want();
  const old = await harness.open();
  harness.channel.answered(old);
  harness.channel.renew();
  await settled();
  assert.equal(old.state, "closed");
  assert.equal(harness.attempts.length, 1);
  const waiter = harness.want();
  const session = await harness.open();
  assert.deepEqual(waiter.got, [session]);
});

test("F27: thousands of dials and losses leave no timer and no listener", async () => {
  const harness = new Harness();
  for (let i = 0; i < 2_000; i++) {
    harness.want();
    const session = await harness.open();
    harness.channel.answered(session);
    session.lose();
  }
  assert.equal(harness.platform.timers, 0);
  assert.equal(harness.channel.state, "idle");
});
