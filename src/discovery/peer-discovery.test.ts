import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { formatTransportAddr, parseTransportAddr } from "../identity/transport-addr.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import { maxAddrsPerHost, maxAddrsPerPeer } from "./admitted-addrs.ts";
import type { DiscoveredAddr, Discovery, DiscoveryContext, DiscoverySource } from "./discovery.ts";
import { DiscoveryError } from "./discovery-error.ts";
import { PeerDiscovery, type PeerDiscoveryOptions, type ResolveOptions } from "./peer-discovery.ts";
import { staticDiscovery } from "./static-discovery.ts";

const peer = SecretKey.generate().publicKey;
const noSignal = new AbortController().signal;

const never = (): Promise<never> => new Promise(() => {});

/** What a source would say of the peer. */
function answer(addrs: readonly string[], more: Partial<DiscoveredAddr> = {}): DiscoveredAddr {
  return { addr: EndpointAddr.from({ id: peer, addrs }), ttlMs: 30_000, source: "", ...more };
}

function source(name: string, resolve: Discovery["resolve"], more: Partial<Discovery> = {}) {
  return (): Discovery => ({
    name,
    ...(resolve === undefined ? {} : { resolve }),
    close: async () => {},
    ...more,
  });
}

/** A source that says the same at once each time, and counts how often. */
function prompt(name: string, answers: readonly DiscoveredAddr[]) {
  const asked = { times: 0 };
  const build = source(name, async function* () {
    asked.times += 1;
    yield* answers;
  });
  return Object.assign(build, { asked });
}

class Fixture {
  readonly platform: VirtualPlatform = new VirtualPlatform(1);
  readonly reported: unknown[] = [];
  readonly discovery: PeerDiscovery;

  constructor(sources: readonly DiscoverySource[], options?: PeerDiscoveryOptions) {
    const context = {
      secretKey: SecretKey.generate(),
      platform: this.platform,
      network: {} as DiscoveryContext["network"],
      report: (error: unknown) => this.reported.push(error),
    };
    this.discovery = new PeerDiscovery(sources, context, options);
  }

  /** Everything that a lookup finds, with the moments. Rejects when it throws or does not end within an hour. */
  async resolve(options: Partial<ResolveOptions> = {}, id = peer): Promise<string[]> {
    const found: string[] = [];
    const outcome = (async () => {
      for await (const result of this.discovery.resolve(id, { signal: noSignal, ...options })) {
        found.push(`${this.platform.now()} ${result.source}: ${show(result)}`);
      }
    })();
    let over = false;
    const settled = outcome.then(
      () => {
        over = true;
      },
      () => {
        over = true;
      },
    );
    assert.ok(await this.platform.runAsync(() => over), "the lookup ends");
    await settled;
    await outcome;
    return found;
  }

  /** `name found`, or the code of its error. */
  outcomes(): string[] {
    return this.discovery
      .outcomes(peer)
      .map(
        ({ source: name, outcome }) =>
          `${name} ${typeof outcome === "string" ? outcome : outcome.error.code}`,
      );
  }
}

function show({ addr, userData }: DiscoveredAddr): string {
  const addrs = addr.addrs.map(formatTransportAddr).join(" ");
  return userData === undefined ? addrs : `${addrs} "${userData}"`;
}

test("every source is asked at once, and each address comes once, as it is found", async () => {
  const fixture: Fixture = new Fixture([
    source("slow", async function* () {
      await new Promise<void>((resolve) => fixture.platform.setTimer(500, resolve));
      yield answer(["10.0.0.1:1", "10.0.0.2:2"]);
    }),
    prompt("quick", [answer(["10.0.0.1:1"], { userData: "hi" })]),
  ]);
  assert.deepEqual(await fixture.resolve(), [
    '0 quick: ip:10.0.0.1:1 "hi"',
    "500 slow: ip:10.0.0.2:2",
  ]);
  assert.deepEqual(fixture.outcomes(), ["slow found", "quick found"]);
});

test("a source that hangs, throws or says nothing never holds up or aborts another (F24)", async () => {
  const fixture = new Fixture([
    source("hangs", () => ({ [Symbol.asyncIterator]: () => ({ next: never, return: never }) })),
    source("hangs in a generator", async function* () {
      await never();
      yield answer([]);
    }),
    source("throws at once", () => {
      throw new Error("at once");
    }),
    source("throws later", async function* () {
      yield answer(["10.0.0.1:1"]);
      throw new Error("later");
    }),
    // biome-ignore lint/correctness/useYield: that is the fault
    source("throws first", async function* () {
      throw new DiscoveryError("unavailable", "no server");
    }),
    source("is no iterable", () => ({}) as AsyncIterable<DiscoveredAddr>),
    source("only publishes", undefined, { publish: () => {} }),
    prompt("empty", []),
    prompt("good", [answer(["10.0.0.2:2"])]),
  ]);
  assert.deepEqual(await fixture.resolve(), [
    "0 throws later: ip:10.0.0.1:1",
    "0 good: ip:10.0.0.2:2",
  ]);
  assert.equal(fixture.platform.now(), 10_000, "the lookup ends by its timeout");
  assert.deepEqual(fixture.outcomes(), [
    "hangs timeout",
    "hangs in a generator timeout",
    "throws at once source-failed",
    "throws later found",
    "throws first unavailable",
    "is no iterable source-failed",
    "empty nothing",
    "good found",
  ]);
});

test("what is found comes before the sources have ended", async () => {
  const fixture = new Fixture([
    source("hangs", () => hanging()),
    prompt("good", [answer(["10.0.0.2:2"])]),
  ]);
  for await (const result of fixture.discovery.resolve(peer, { signal: noSignal })) {
    assert.equal(result.source, "good");
    break;
  }
  assert.deepEqual(fixture.outcomes(), ["hangs pending", "good found"]);
});

function hanging(): AsyncIterable<DiscoveredAddr> {
  return { [Symbol.asyncIterator]: () => ({ next: never }) };
}

test("answers are remembered until they expire, and asked for again then, or when they led nowhere", async () => {
  const brief = prompt("brief", [answer(["10.0.0.1:1"], { ttlMs: 1_000 })]);
  const long = prompt("long", [answer(["10.0.0.2:2"], { ttlMs: 10_000 })]);
  const none = prompt("none", [answer(["10.0.0.3:3"], { ttlMs: 0 })]);
  const fixture = new Fixture([brief, long, none]);
  const asked = (): number[] => [brief, long, none].map((each) => each.asked.times);
  assert.equal((await fixture.resolve()).length, 3);
  assert.equal((await fixture.resolve()).length, 3);
  assert.deepEqual(asked(), [1, 1, 2]);
  fixture.platform.runFor(1_000);
  assert.equal((await fixture.resolve()).length, 3);
  assert.deepEqual(asked(), [2, 1, 3]);
  assert.equal((await fixture.resolve({ fresh: true })).length, 3);
  assert.deepEqual(asked(), [3, 2, 4]);
});

test("a source that fails after its answer has expired no longer counts as one that found", async () => {
  let fails = false;
  const fixture = new Fixture([
    source("fickle", async function* () {
      if (fails) {
        throw new DiscoveryError("unavailable", "gone");
      }
      yield answer(["10.0.0.1:1"], { ttlMs: 1_000 });
    }),
  ]);
  await fixture.resolve();
  fails = true;
  fixture.platform.runFor(1_000);
  assert.deepEqual(await fixture.resolve(), []);
  assert.deepEqual(fixture.outcomes(), ["fickle unavailable"]);
});

test("with refresh, what expires and what was not found is asked for again until the signal fires", async () => {
  const stop = new AbortController();
  let published = false;
  const fixture = new Fixture([
    source("late", async function* () {
      if (published) {
        yield answer(["10.0.0.1:1"], { ttlMs: 20_000 });
      }
    }),
  ]);
  fixture.platform.setTimer(5_000, () => {
    published = true;
  });
  fixture.platform.setTimer(50_000, () => stop.abort(new Error("enough")));
  const found: number[] = [];
  let outcome: unknown;
  void (async () => {
    for await (const _ of fixture.discovery.resolve(peer, { signal: stop.signal, refresh: true })) {
      found.push(fixture.platform.now());
    }
  })().catch((error: unknown) => {
    outcome = error;
  });
  assert.ok(await fixture.platform.runAsync(() => outcome !== undefined));
  // Tried at 0, 1, 3 and 7 s; then each 20 s.
  assert.deepEqual(found, [7_000, 27_000, 47_000]);
  assert.equal((outcome as Error).message, "enough");
});

test("lookups of the same peer at the same time ask each source once, and all get everything", async () => {
  let asked = 0;
  const stops: AbortSignal[] = [];
  const fixture: Fixture = new Fixture([
    source("slow", async function* (_id, { signal }) {
      asked += 1;
      stops.push(signal);
      yield answer(["10.0.0.1:1"], { ttlMs: 0 });
      await new Promise<void>((resolve) => fixture.platform.setTimer(500, resolve));
      yield answer(["10.0.0.2:2"], { ttlMs: 0 });
    }),
  ]);
  const leaving = fixture.discovery.resolve(peer, { signal: noSignal });
  await leaving.next();
  const [first, second] = await Promise.all([
    fixture.resolve(),
    fixture.resolve(),
    leaving.return(),
  ]);
  assert.deepEqual(first, second);
  assert.equal(first?.length, 2);
  assert.equal(asked, 1);
  assert.equal(stops[0]?.aborted, true, "a source that was asked is told that it is over");
});

test("the sources are no longer asked when nobody waits for an answer any more", async () => {
  let signal: AbortSignal | undefined;
  const fixture = new Fixture([
    source("slow", async function* (_id, options) {
      signal = options.signal;
      yield answer(["10.0.0.1:1"]);
      await never();
    }),
  ]);
  const stop = new AbortController();
  const lookup = fixture.discovery.resolve(peer, { signal: stop.signal });
  await lookup.next();
  const waiting = lookup.next();
  stop.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  await fixture.platform.runAsync(() => signal?.aborted === true);
  assert.equal(signal?.aborted, true);
  await assert.rejects(fixture.discovery.resolve(peer, { signal: stop.signal }).next(), /enough/);
  // And a new lookup is not tied to the one that was left.
  assert.equal((await fixture.discovery.resolve(peer, { signal: noSignal }).next()).done, false);
});

test("addresses of third parties in thousands are cut down, and leave room for those of other sources", async () => {
  const victims = Array.from(
    { length: 5_000 },
    (_, index) => `198.51.${index >> 8}.${index & 255}:53`,
  );
  const relays = Array.from({ length: 500 }, (_, index) => `https://victim-${index}.example/`);
  const fixture: Fixture = new Fixture([
    prompt("floods", [answer([...victims, ...relays])]),
    source("honest", async function* () {
      await new Promise<void>((resolve) => fixture.platform.setTimer(500, resolve));
      yield answer(["https://relay.example/", "10.0.0.1:1", "[2001:db8::1]:1"]);
    }),
  ]);
  const [flood = "", honest] = await fixture.resolve();
  assert.equal(honest, "500 honest: relay:https://relay.example/ ip:10.0.0.1:1 ip:[2001:db8::1]:1");
  assert.ok(flood.split(" ").length - 2 < maxAddrsPerPeer, flood);
  assert.equal(flood.split("relay:").length - 1, 2);
});

test("of one host, or one network of IPv6, a few addresses are given", async () => {
  const ports = Array.from({ length: 100 }, (_, index) => `198.51.100.1:${index + 1}`);
  const mapped = Array.from({ length: 5 }, (_, index) => `[::ffff:198.51.100.1]:${index + 200}`);
  const network = Array.from({ length: 100 }, (_, index) => `[2001:db8::${index + 1}]:53`);
  const fixture = new Fixture([
    prompt("names a victim", [answer([...ports, ...mapped, ...network, "198.51.100.2:1"])]),
  ]);
  const [given = ""] = await fixture.resolve();
  assert.equal(given.split("198.51.100.1:").length - 1, maxAddrsPerHost);
  assert.equal(given.split("[2001:db8::").length - 1, maxAddrsPerHost);
  assert.match(given, /198\.51\.100\.2:1/);
});

test("answers without end are ended", async () => {
  let ended = false;
  const fixture = new Fixture([
    source("endless", async function* () {
      try {
        for (let port = 1; ; port += 1) {
          yield answer([`10.0.0.1:${(port % 60_000) + 1}`]);
        }
      } finally {
        ended = true;
      }
    }),
    source("endless nothing", async function* () {
      for (;;) {
        yield answer([]);
      }
    }),
  ]);
  assert.ok((await fixture.resolve()).length <= maxAddrsPerPeer);
  assert.ok(ended);
  assert.deepEqual(fixture.outcomes(), ["endless found", "endless nothing flood"]);
});

test("addresses that stand for many hosts or any are not given", async () => {
  const bad = [
    "224.0.0.251:5353",
    "255.255.255.255:9",
    "0.0.0.0:1",
    "10.0.0.1:0",
    "[::]:1",
    "[ff02::fb]:5353",
  ];
  const mapped = ["[::ffff:224.0.0.1]:1", "[::ffff:255.255.255.255]:1"];
  const fixture = new Fixture([
    prompt("odd", [answer([...bad, ...mapped, "ftp://relay.example/", "[2001:db8::1]:1"])]),
  ]);
  assert.deepEqual(await fixture.resolve(), ["0 odd: ip:[2001:db8::1]:1"]);
});

test("a record of another peer is refused", async () => {
  const other = SecretKey.generate().publicKey;
  const fixture = new Fixture([
    prompt("confused", [
      { addr: EndpointAddr.from({ id: other, addrs: ["10.0.0.1:1"] }), ttlMs: 1, source: "" },
    ]),
  ]);
  assert.deepEqual(await fixture.resolve(), []);
  assert.deepEqual(fixture.outcomes(), ["confused invalid-record"]);
});

test("a signed record that is older than one seen before loses, also after the newer one has expired", async () => {
  const hourUs = 3_600_000_000n;
  let signedUs = 10n * hourUs;
  let otherUs = 9n * hourUs;
  const signing = (name: string, at: () => bigint, host: string): (() => Discovery) =>
    source(name, async function* () {
      yield answer([`${host}:1`], { signedUs: at(), ttlMs: 1 });
    });
  const fixture = new Fixture([
    signing("a", () => signedUs, "10.0.0.1"),
    signing("b", () => otherUs, "10.0.0.2"),
  ]);
  assert.equal(
    (await fixture.resolve()).length,
    2,
    "places differ by the time between two updates",
  );
  signedUs -= 1n;
  otherUs = 7n * hourUs;
  fixture.platform.runFor(1_000_000);
  assert.deepEqual(await fixture.resolve(), []);
  assert.deepEqual(fixture.outcomes(), ["a stale-record", "b stale-record"]);
  signedUs = 11n * hourUs;
  otherUs = 10n * hourUs;
  fixture.platform.runFor(1_000);
  assert.equal((await fixture.resolve()).length, 2);
});

test("user data that no record holds is dropped", async () => {
  const fixture = new Fixture([
    prompt("large", [answer(["10.0.0.1:1"], { userData: "ä".repeat(123) })]),
    prompt("fits", [answer(["10.0.0.2:2"], { userData: "ä".repeat(122) })]),
  ]);
  assert.deepEqual(await fixture.resolve(), [
    "0 large: ip:10.0.0.1:1",
    `0 fits: ip:10.0.0.2:2 "${"ä".repeat(122)}"`,
  ]);
});

test("a limited number of peers is remembered, those asked for last", async () => {
  const fixture = new Fixture([prompt("none", [])], { maxPeers: 2 });
  const peers = Array.from({ length: 3 }, () => SecretKey.generate().publicKey);
  const [a = peer, b = peer, c = peer] = peers;
  for (const id of [a, b, a, c]) {
    await fixture.resolve({}, id);
  }
  const remembered = [a, b, c].map((id: EndpointId) => fixture.discovery.outcomes(id).length);
  assert.deepEqual(remembered, [1, 0, 1]);
});

test("own addresses go to every source that publishes, whatever the others do, until it is closed", async () => {
  const published: string[] = [];
  let closed = 0;
  const fixture = new Fixture([
    source("throws", undefined, {
      publish: () => {
        throw new Error("no");
      },
      close: () => Promise.reject(new Error("no close either")),
    }),
    source("hangs", undefined, { close: never }),
    source("good", undefined, {
      publish: ({ addr }) => published.push(`${addr.addrs.map(formatTransportAddr)}`),
      close: async () => {
        closed += 1;
      },
    }),
  ]);
  const own = { addr: new EndpointAddr(peer, [parseTransportAddr("10.0.0.1:1")]) };
  fixture.discovery.publish(own);
  assert.deepEqual(published, ["ip:10.0.0.1:1"]);
  assert.equal(fixture.reported.length, 1);
  const closing = fixture.discovery.close();
  assert.equal(fixture.discovery.close(), closing);
  let over = false;
  void closing.then(() => {
    over = true;
  });
  assert.ok(await fixture.platform.runAsync(() => over));
  assert.equal(closed, 1);
  assert.equal(fixture.reported.length, 2);
  fixture.discovery.publish(own);
  assert.equal(published.length, 1);
});

test("closing ends lookups", async () => {
  const fixture = new Fixture([source("hangs", () => hanging())]);
  const lookup = fixture.discovery.resolve(peer, { signal: noSignal, refresh: true });
  const waiting = lookup.next();
  await fixture.discovery.close();
  assert.equal((await waiting).done, true);
  assert.equal((await fixture.discovery.resolve(peer, { signal: noSignal }).next()).done, true);
});

test("a thousand lookups leave no listener on a signal that they share (F27)", async () => {
  const fixture = new Fixture([
    prompt("good", [answer(["10.0.0.1:1"])]),
    source("hangs", () => hanging()),
  ]);
  const { signal } = new AbortController();
  let listeners = 0;
  signal.addEventListener = () => {
    listeners += 1;
  };
  signal.removeEventListener = () => {
    listeners -= 1;
  };
  for (let round = 0; round < 1_000; round += 1) {
    for await (const _ of fixture.discovery.resolve(peer, { signal })) {
      break;
    }
  }
  assert.equal(listeners, 0);
});

test("static addresses can be changed while they are used", async () => {
  const known = staticDiscovery([EndpointAddr.from({ id: peer, addrs: ["10.0.0.1:1"] })]);
  const fixture = new Fixture([known]);
  assert.deepEqual(await fixture.resolve(), ["0 static: ip:10.0.0.1:1"]);
  known.add(EndpointAddr.from({ id: peer, addrs: ["https://relay.example/"] }));
  assert.deepEqual(await fixture.resolve(), [
    "0 static: relay:https://relay.example/ ip:10.0.0.1:1",
  ]);
  assert.equal(known.remove(peer), true);
  assert.equal(known.remove(peer), false);
  assert.deepEqual(await fixture.resolve(), []);
  assert.deepEqual(fixture.outcomes(), ["static nothing"]);
  assert.throws(() => known.add("nonsense"), { code: "invalid-id" });
});
