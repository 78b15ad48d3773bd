import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryPkarr, response } from "../../test/support/memory-pkarr.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { formatTransportAddr } from "../identity/transport-addr.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import type { DiscoveredAddr, Discovery, DiscoveryContext, DiscoverySource } from "./discovery.ts";
import { DiscoveryError, type DiscoveryErrorCode } from "./discovery-error.ts";
import { dnsDiscovery } from "./dns-discovery.ts";
import { readEndpointRecord, signEndpointRecord } from "./endpoint-record.ts";
import { PeerDiscovery } from "./peer-discovery.ts";
import { encodePkarrPayload, type PkarrPacket } from "./pkarr-packet.ts";
import { type PkarrPublisherOptions, pkarrPublisher } from "./pkarr-publisher.ts";
import { pkarrResolver } from "./pkarr-resolver.ts";

const relay = "https://pkarr.example/pkarr";
const minute = 60_000;

class World {
  readonly platform: VirtualPlatform = new VirtualPlatform(7);
  readonly network: MemoryPkarr = new MemoryPkarr();
  readonly secretKey: SecretKey = SecretKey.generate();
  readonly reported: string[] = [];

  open(source: DiscoverySource): Discovery {
    const context: DiscoveryContext = {
      secretKey: this.secretKey,
      platform: this.platform,
      network: this.network,
      report: (error) => this.reported.push((error as DiscoveryError).code),
    };
    return source(context);
  }

  publisher(options: Partial<PkarrPublisherOptions> = {}): (...addrs: string[]) => void {
    const publisher = this.open(pkarrPublisher({ relay, ...options }));
    return (...addrs) => publisher.publish?.({ addr: EndpointAddr.from({ id: this.id, addrs }) });
  }

  get id(): SecretKey["publicKey"] {
    return this.secretKey.publicKey;
  }

  async pass(ms: number): Promise<void> {
    await this.platform.runAsync(() => false, ms);
    // Time stands still where nothing is left to do.
    this.platform.runFor(0);
  }

  stored(): string[] {
    const packet = this.network.stored(this.id);
    return packet === undefined
      ? ["nothing"]
      : readEndpointRecord(packet).addrs.map(formatTransportAddr);
  }

  /** A packet of this key, dated from now on. */
  packet(addr: string, aheadMs = 0): PkarrPacket {
    const { addrs } = EndpointAddr.from({ id: this.id, addrs: [addr] });
    const timestampUs = BigInt(this.platform.unixMs() + aheadMs) * 1_000n;
    return signEndpointRecord(this.secretKey, { addrs }, { timestampUs, ttl: 30 });
  }

  async resolve(
    source: DiscoverySource,
    signal = new AbortController().signal,
  ): Promise<DiscoveredAddr[]> {
    const found: DiscoveredAddr[] = [];
    let outcome: { readonly error?: unknown } | undefined;
    void (async () => {
      for await (const result of this.open(source).resolve?.(this.id, { signal }) ?? []) {
        found.push(result);
      }
    })().then(
      () => {
        outcome = {};
      },
      (error: unknown) => {
        outcome = { error };
      },
    );
    assert.ok(await this.platform.runAsync(() => outcome !== undefined));
    if (outcome !== undefined && "error" in outcome) {
      throw outcome.error;
    }
    return found;
  }

  async refuses(source: DiscoverySource, code: DiscoveryErrorCode): Promise<void> {
    await assert.rejects(
      this.resolve(source),
      (error) => error instanceof DiscoveryError && error.code === code,
    );
  }
}

test("what is published is found over HTTP and DNS", async () => {
  const world = new World();
  const publisher = world.open(pkarrPublisher({ relay }));
  const addr = EndpointAddr.from({
    id: world.id,
    addrs: ["https://relay.example./", "10.0.0.1:1"],
  });
  publisher.publish?.({ addr, userData: "hi" });
  await world.pass(1);
  assert.deepEqual(
    world.network.log.map((line) => line.split(" ")[0]),
    ["PUT", "GET"],
  );
  const [overHttp] = await world.resolve(pkarrResolver({ relay: `${relay}/` }));
  const [overDns] = await world.resolve(dnsDiscovery({ origin: "dns.example." }));
  assert.equal(world.network.log.at(-1), `TXT _iroh.${world.id.toZ32()}.dns.example`);
  for (const found of [overHttp, overDns]) {
    // IP addresses stay private unless asked for.
    assert.deepEqual(found?.addr.addrs.map(formatTransportAddr), ["relay:https://relay.example./"]);
    assert.equal(found?.userData, "hi");
    assert.equal(found?.ttlMs, 30_000);
  }
  assert.equal(overHttp?.source, "pkarr https://pkarr.example/pkarr/");
  assert.equal(overHttp?.signedUs, BigInt(world.platform.unixMs() - 1) * 1_000n);
  assert.equal(overDns?.source, "DNS dns.example.");
  assert.equal(overDns?.signedUs, undefined);
  await publisher.close();
});

test("the record follows the address at once, and is published again every five minutes (F21)", async () => {
  const world = new World();
  const publish = world.publisher();
  publish("https://a.example/");
  await world.pass(minute);
  assert.deepEqual(world.stored(), ["relay:https://a.example/"]);
  publish("https://b.example/");
  await world.pass(1);
  assert.deepEqual(world.stored(), ["relay:https://b.example/"]);
  const puts = (): number => world.network.log.filter((line) => line.startsWith("PUT")).length;
  assert.equal(puts(), 2);
  // Changes of what is not published change no record and do not put off the next time.
  for (let index = 0; index < 10; index += 1) {
    publish("https://b.example/", `10.0.0.${index}:1`);
    await world.pass(minute / 2 - 1);
  }
  assert.equal(puts(), 2);
  const before = world.network.stored(world.id)?.timestampUs ?? 0n;
  await world.pass(minute);
  assert.equal(puts(), 3);
  assert.ok((world.network.stored(world.id)?.timestampUs ?? 0n) > before);
  publish();
  await world.pass(1);
  assert.deepEqual(world.stored(), [], "without a relay, none is named");
  assert.deepEqual(world.reported, []);
});

test("all addresses are published where that is asked for", async () => {
  const world = new World();
  world.publisher({ addrs: "all" })("10.0.0.1:1", "https://a.example/");
  await world.pass(1);
  assert.deepEqual(world.stored(), ["relay:https://a.example/", "ip:10.0.0.1:1"]);
});

test("nothing is published while there is nothing to say", async () => {
  const world = new World();
  world.publisher()("10.0.0.1:1");
  await world.pass(10 * minute);
  assert.deepEqual(world.network.log, []);
});

test("what fails is tried again after as many seconds as it failed, and reported once", async () => {
  const world = new World();
  world.network.next = () => Promise.reject(new Error("no route"));
  const publish = world.publisher();
  publish("https://a.example/");
  await world.pass(10_500);
  // At 0, 1, 3, 6 and 10 s.
  assert.equal(world.network.log.length, 5);
  assert.deepEqual(world.reported, ["unavailable"]);
  world.network.next = undefined;
  await world.pass(5_000);
  assert.deepEqual(world.stored(), ["relay:https://a.example/"]);
});

test("a change while publishing fails or hangs goes out in place of what it replaces", async () => {
  const world = new World();
  world.network.next = (_url, { signal }) =>
    new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason)),
    );
  const publish = world.publisher();
  publish("https://a.example/");
  await world.pass(5_000);
  publish("https://b.example/");
  publish("https://c.example/");
  world.network.next = undefined;
  await world.pass(6_001);
  assert.deepEqual(world.stored(), ["relay:https://c.example/"]);
  assert.deepEqual(world.reported, ["timeout"]);
});

test("a relay that gets too many requests is given the time it asks for", async () => {
  const world = new World();
  world.network.next = async () => response(429, undefined, { "retry-after": "7" });
  world.publisher()("https://a.example/");
  await world.pass(7_500);
  assert.equal(world.network.log.length, 1);
  world.network.next = undefined;
  await world.pass(1_000);
  assert.deepEqual(world.stored(), ["relay:https://a.example/"]);
});

test("a record of ours from the future is replaced, as relays keep the later one", async () => {
  const world = new World();
  world.network.store(world.packet("https://old.example/", 365 * 86_400_000));
  const publish = world.publisher();
  publish("https://a.example/");
  await world.pass(1);
  assert.deepEqual(world.stored(), ["relay:https://a.example/"]);
  publish("https://b.example/");
  await world.pass(1_000);
  assert.deepEqual(world.stored(), ["relay:https://b.example/"]);
  assert.deepEqual(world.reported, ["future-record"]);
});

test("two processes with one key do not outbid each other without end (F26)", async () => {
  const world = new World();
  world.publisher()("https://a.example/");
  world.publisher()("https://b.example/");
  await world.pass(10 * minute);
  const puts = world.network.log.filter((line) => line.startsWith("PUT")).length;
  assert.ok(puts <= 2 + 2 + 2 * 2, `${puts} puts`);
});

test("an address that changes all the time is published once a second", async () => {
  const world = new World();
  const publish = world.publisher();
  for (let index = 0; index < 100; index += 1) {
    publish(`https://relay-${index}.example/`);
    world.platform.setTimer(100, () => {});
    await world.pass(100);
  }
  const puts = world.network.log.filter((line) => line.startsWith("PUT")).length;
  assert.ok(puts >= 9 && puts <= 11, `${puts} puts`);
  await world.pass(1_000);
  assert.deepEqual(world.stored(), ["relay:https://relay-99.example/"]);
});

test("closing ends a request that is under way, and what comes later does nothing", async () => {
  const world = new World();
  let aborted = false;
  world.network.next = (_url, { signal }) =>
    new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => {
        aborted = true;
        reject(signal.reason);
      }),
    );
  const publisher = world.open(pkarrPublisher({ relay }));
  const own = { addr: EndpointAddr.from({ id: world.id, addrs: ["https://a.example/"] }) };
  publisher.publish?.(own);
  await publisher.close();
  assert.ok(aborted);
  publisher.publish?.(own);
  await world.pass(minute);
  assert.equal(world.network.log.length, 1);
  assert.deepEqual(world.reported, []);
});

test("user data that does not fit is reported, and what was published before stays", async () => {
  const world = new World();
  const publisher = world.open(pkarrPublisher({ relay }));
  const addr = EndpointAddr.from({ id: world.id, addrs: ["https://a.example/"] });
  publisher.publish?.({ addr });
  publisher.publish?.({ addr, userData: "x".repeat(246) });
  await world.pass(1);
  assert.deepEqual(world.stored(), ["relay:https://a.example/"]);
  assert.deepEqual(world.reported, ["too-large"]);
});

test("hostile answers of a pkarr relay are errors of that source", async () => {
  const world = new World();
  const good = encodePkarrPayload(world.packet("https://a.example/"));
  const answers: readonly (readonly [body: Uint8Array, code: DiscoveryErrorCode])[] = [
    [new Uint8Array(0), "invalid-record"],
    [good.subarray(0, 71), "invalid-record"],
    [new Uint8Array(1_073), "invalid-record"],
    [new Uint8Array(1_072), "bad-signature"],
    [Uint8Array.from([...good, 0]), "bad-signature"],
    [encodePkarrPayload(new World().packet("https://b.example/")), "bad-signature"],
    [encodePkarrPayload(world.packet("https://a.example/", 2 * 86_400_000)), "future-record"],
  ];
  for (const [body, code] of answers) {
    world.network.next = async () => response(200, body);
    await world.refuses(pkarrResolver({ relay }), code);
  }
  for (const status of [204, 301, 400, 500]) {
    world.network.next = async () => response(status, good);
    await world.refuses(pkarrResolver({ relay }), "unavailable");
  }
  world.network.next = () => new Promise(() => {});
  const stop = new AbortController();
  world.network.next = (_url, { signal }) =>
    new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason)),
    );
  await world.refuses(pkarrResolver({ relay }), "timeout");
  world.platform.setTimer(100, () => stop.abort(new Error("enough")));
  await assert.rejects(world.resolve(pkarrResolver({ relay }), stop.signal), /enough/);
  world.network.next = undefined;
  assert.deepEqual(await world.resolve(pkarrResolver({ relay })), []);
});

test("a relay that replays an old record loses to what it has given before", async () => {
  const world = new World();
  const old = world.packet("https://old.example/");
  const recent = world.packet("https://new.example/", 60_000);
  const context: DiscoveryContext = {
    secretKey: SecretKey.generate(),
    platform: world.platform,
    network: world.network,
    report: () => {},
  };
  const discovery = new PeerDiscovery([pkarrResolver({ relay })], context);
  const lookup = async (packet: PkarrPacket): Promise<string[]> => {
    world.network.next = async () => response(200, encodePkarrPayload(packet));
    const found: string[] = [];
    const { signal } = new AbortController();
    for await (const { addr } of discovery.resolve(world.id, { signal, fresh: true })) {
      found.push(...addr.addrs.map(formatTransportAddr));
    }
    return found;
  };
  assert.deepEqual(await lookup(old), ["relay:https://old.example/"]);
  assert.deepEqual(await lookup(recent), ["relay:https://new.example/"]);
  assert.deepEqual(await lookup(old), []);
  const [report] = discovery.outcomes(world.id);
  assert.ok(typeof report?.outcome === "object" && report.outcome.error.code === "stale-record");
  assert.match(report.outcome.error.message, /record of 2024-.*, but .* has signed one on 2024-/);
});

test("a lookup in DNS is repeated, and the first answer counts", async () => {
  const world = new World();
  world.network.store(world.packet("https://a.example/"));
  const asked: number[] = [];
  const ended: AbortSignal[] = [];
  const { resolveTxt } = world.network;
  const network = {
    ...world.network,
    request: () => Promise.reject(new Error("no")),
    resolveTxt: (name: string, { signal }: { readonly signal: AbortSignal }) => {
      asked.push(world.platform.now());
      ended.push(signal);
      return asked.length < 4 ? new Promise<never>(() => {}) : resolveTxt(name);
    },
  };
  const source: DiscoverySource = (context) =>
    dnsDiscovery({ origin: "x" })({ ...context, network });
  assert.equal((await world.resolve(source)).length, 1);
  assert.equal(asked.length, 4);
  for (const [index, atMs] of [0, 200, 300, 600].entries()) {
    assert.ok(Math.abs((asked[index] ?? Infinity) - atMs) <= atMs / 5, `${asked}`);
  }
  assert.ok(ended.slice(0, 3).every((signal) => signal.aborted));
});

test("a lookup in DNS fails when all of its queries have", async () => {
  const world = new World();
  const failing = (resolveTxt: () => Promise<never>): DiscoverySource => {
    const network = {
      ...world.network,
      request: () => Promise.reject(new Error("no")),
      resolveTxt,
    };
    return (context) => dnsDiscovery({ origin: "x" })({ ...context, network });
  };
  await world.refuses(
    failing(() => Promise.reject(new Error("refused"))),
    "unavailable",
  );
  await world.refuses(
    failing(() => {
      throw new Error("broken");
    }),
    "unavailable",
  );
});

test("hostile answers of DNS are errors of that source", async () => {
  const world = new World();
  const answering = (...records: Uint8Array[]): DiscoverySource => {
    const network = {
      ...world.network,
      request: () => Promise.reject(new Error("no")),
      resolveTxt: async () => records,
    };
    return (context) => dnsDiscovery({ origin: "x" })({ ...context, network });
  };
  const text = (string: string): Uint8Array => new TextEncoder().encode(string);
  await world.refuses(answering(text("color=red")), "invalid-record");
  assert.deepEqual(await world.resolve(answering()), []);
  assert.deepEqual(await world.resolve(answering(Uint8Array.of(0xff))), []);
  assert.deepEqual(await world.resolve(answering(text("addr=nonsense"))), []);
  assert.equal(
    (await world.resolve(answering(text("addr=[::1]:1"), Uint8Array.of(0xff)))).length,
    1,
  );
});

test("sources are refused that cannot be", () => {
  assert.throws(() => pkarrPublisher({ relay: "dns.iroh.link" }), TypeError);
  assert.throws(() => pkarrResolver({ relay: "ftp://dns.iroh.link/" }), TypeError);
  assert.throws(() => dnsDiscovery({ origin: "x", servers: ["localhost:53"] }), TypeError);
});
