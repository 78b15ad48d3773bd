import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import { formatSocketAddress, parseSocketAddress } from "../base/socket-address.ts";
import { PortMapper, type PortMapping, type PortMappingMethod } from "./port-mapper.ts";

/** A gateway that does what the test wants. */
class FakeMethod implements PortMappingMethod {
  /** What `map` gives: a mapping, an error, or nothing ever. */
  outcome: PortMapping | Error | "never";
  readonly calls: string[] = [];

  constructor(outcome: PortMapping | Error | "never") {
    this.outcome = outcome;
  }

  async map(
    localPort: number,
    { previous }: Parameters<PortMappingMethod["map"]>[1],
  ): Promise<PortMapping> {
    this.calls.push(`map ${localPort}${previous ? ` as ${formatSocketAddress(previous)}` : ""}`);
    return await this.#answer();
  }

  async unmap(localPort: number): Promise<void> {
    this.calls.push(`unmap ${localPort}`);
    await this.#answer();
  }

  async #answer(): Promise<PortMapping> {
    if (this.outcome === "never") {
      return await new Promise(() => {});
    }
    if (this.outcome instanceof Error) {
      throw this.outcome;
    }
    return this.outcome;
  }
}

function mapping(address: string, lifetimeMs = 7_200_000): PortMapping {
  return { address: parseSocketAddress(address), lifetimeMs };
}

function mapper(...methods: readonly PortMappingMethod[]) {
  const platform = new ManualPlatform();
  const told: (string | undefined)[] = [];
  const made = new PortMapper({
    platform,
    methods,
    changed: (address) => told.push(address && formatSocketAddress(address)),
  });
  /** Lets time pass in steps, and promises settle in between. */
  const pass = async (ms: number, stepMs = ms): Promise<void> => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      platform.advance(stepMs);
      await settled();
    }
  };
  return { platform, mapper: made, told: () => told.splice(0), pass };
}

const refusal = new Error("refused");
const hour = 3_600_000;

test("PortMapper maps a port and renews it at half of its lifetime", async () => {
  const method = new FakeMethod(mapping("198.51.100.7:7", 1_200_000));
  const { mapper: mapped, told, pass } = mapper(method);
  assert.equal(mapped.current, undefined);
  mapped.start(7);
  await pass(1);
  assert.deepEqual(told(), ["198.51.100.7:7"]);
  assert.deepEqual(mapped.current, parseSocketAddress("198.51.100.7:7"));
  await pass(599_000);
  assert.deepEqual(method.calls, ["map 7"]);
  await pass(1_000);
  assert.deepEqual(method.calls, ["map 7", "map 7 as 198.51.100.7:7"]);
  assert.deepEqual(told(), []);
  await mapped.close();
});

test("PortMapper tells when the gateway gives another address", async () => {
  const method = new FakeMethod(mapping("198.51.100.7:7"));
  const { mapper: mapped, told, pass } = mapper(method);
  mapped.start(7);
  await pass(1);
  method.outcome = mapping("198.51.100.8:8");
  await pass(hour);
  assert.deepEqual(told(), ["198.51.100.7:7", "198.51.100.8:8"]);
  await mapped.close();
  assert.deepEqual(told(), [undefined]);
});

test("PortMapper takes the first method that works, and tries again now and then where none does", async () => {
  const first = new FakeMethod(refusal);
  const second = new FakeMethod(refusal);
  const { mapper: mapped, told, pass } = mapper(first, second);
  mapped.start(7);
  await pass(1);
  assert.deepEqual([first.calls.length, second.calls.length], [1, 1]);
  await pass(60_000);
  assert.equal(first.calls.length, 2);
  await pass(60_000);
  assert.equal(first.calls.length, 2);
  await pass(24 * hour, 60_000);
  assert.ok(first.calls.length > 45 && first.calls.length < 55, `${first.calls.length} in a day`);
  second.outcome = mapping("198.51.100.7:7");
  await pass(hour, 60_000);
  assert.deepEqual(told(), ["198.51.100.7:7"]);
  const tries = first.calls.length;
  await pass(2 * hour, 60_000);
  assert.equal(first.calls.length, tries);
  await mapped.close();
});

test("PortMapper goes on to the next method when a gateway does not answer in 5 s", async () => {
  const silent = new FakeMethod("never");
  const good = new FakeMethod(mapping("198.51.100.7:7"));
  const { mapper: mapped, told, pass } = mapper(silent, good);
  mapped.start(7);
  await pass(1);
  await pass(4_900);
  assert.deepEqual(told(), []);
  await pass(100);
  assert.deepEqual(told(), ["198.51.100.7:7"]);
  await mapped.close();
});

test("PortMapper keeps a mapping that it cannot renew until it ends, and then looks for another", async () => {
  const method = new FakeMethod(mapping("198.51.100.7:7", hour));
  const { mapper: mapped, told, pass } = mapper(method);
  mapped.start(7);
  await pass(1);
  method.outcome = refusal;
  await pass(hour - 60_000, 1_000);
  assert.deepEqual(told(), ["198.51.100.7:7"]);
  assert.ok(method.calls.length > 3, "it was tried again");
  await pass(60_000, 1_000);
  assert.deepEqual(told(), [undefined]);
  method.outcome = mapping("198.51.100.7:9");
  await pass(60_000, 1_000);
  assert.deepEqual(told(), ["198.51.100.7:9"]);
  await mapped.close();
});

test("PortMapper maps at once when the network has changed, and another port when there is one", async () => {
  const method = new FakeMethod(mapping("198.51.100.7:7"));
  const { mapper: mapped, told, pass } = mapper(method);
  mapped.networkChanged();
  await pass(1);
  assert.deepEqual(method.calls, []);
  mapped.start(7);
  mapped.start(7);
  await pass(1);
  mapped.networkChanged();
  await pass(1);
  mapped.start(8);
  await pass(1);
  assert.deepEqual(method.calls.splice(0), [
    "map 7",
    "map 7 as 198.51.100.7:7",
    "unmap 7",
    "map 8",
  ]);
  assert.deepEqual(told(), ["198.51.100.7:7", undefined, "198.51.100.7:7"]);
  await mapped.close();
});

test("a hostile gateway gets PortMapper neither to hurry nor to believe in nonsense", async () => {
  const method = new FakeMethod(mapping("198.51.100.7:7", 1));
  const { mapper: mapped, told, pass } = mapper(method);
  mapped.start(7);
  await pass(1);
  await pass(600_000, 1_000);
  assert.ok(method.calls.length <= 21, `${method.calls.length} in 10 min`);
  told();
  for (const [address, lifetimeMs] of [
    ["0.0.0.0:7", hour],
    ["127.0.0.1:7", hour],
    ["224.0.0.1:7", hour],
    ["198.51.100.9:0", hour],
    ["198.51.100.9:9", 0],
    ["198.51.100.9:9", -1],
  ] as const) {
    method.outcome = mapping(address, lifetimeMs);
    mapped.networkChanged();
    await pass(60_000, 1_000);
    assert.equal(mapped.current, undefined, address);
  }
  await mapped.close();
});

test("F1: PortMapper unmaps at its close, within a second, and never throws", async () => {
  for (const outcome of [refusal, "never"] as const) {
    const method = new FakeMethod(mapping("198.51.100.7:7"));
    const { platform, mapper: mapped, told, pass } = mapper(method);
    mapped.start(7);
    await pass(1);
    method.outcome = outcome;
    const closing = mapped.close();
    assert.equal(mapped.close(), closing);
    await pass(1_000);
    await closing;
    assert.equal(method.calls.at(-1), "unmap 7");
    assert.deepEqual(told(), ["198.51.100.7:7", undefined]);
    mapped.start(8);
    mapped.networkChanged();
    assert.equal(platform.timers, 0);
  }
});

test("F1: PortMapper closed while it maps lets go of it", async () => {
  const method = new FakeMethod("never");
  const { platform, mapper: mapped, told, pass } = mapper(method);
  mapped.start(7);
  await pass(1);
  await mapped.close();
  await settled();
  assert.equal(platform.timers, 0);
  assert.deepEqual(told(), []);
});
