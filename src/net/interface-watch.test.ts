import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualPlatform } from "../../test/support/manual-platform.ts";
import { type InterfaceChange, InterfaceWatch, sleepGapMs } from "./interface-watch.ts";
import type { InterfaceAddress } from "./network.ts";

/** A host whose clock for dates can be ahead of its timers, and whose timers can come late. */
class SleepyPlatform extends ManualPlatform {
  /** What the monotonic clock has not counted. */
  uncounted = 0;
  /** What the monotonic clock has counted, and timers have not. */
  late = 0;

  override now(): number {
    return super.now() + this.late;
  }

  override unixMs(): number {
    return super.unixMs() + this.uncounted + this.late;
  }
}

function watch(...hosts: string[]) {
  const platform = new SleepyPlatform();
  const changes: InterfaceChange[] = [];
  const host = { addresses: hosts.map(onEth0) };
  const watching = new InterfaceWatch({
    platform,
    interfaces: () => host.addresses,
    changed: (change) => changes.push(change),
  });
  return {
    platform,
    watching,
    /** What was noticed since the last time. */
    noticed: () => changes.splice(0),
    setHosts: (...now: string[]) => {
      host.addresses = now.map(onEth0);
    },
  };
}

function onEth0(host: string): InterfaceAddress {
  return {
    interfaceName: "eth0",
    host,
    family: host.includes(":") ? 6 : 4,
    internal: host === "127.0.0.1",
  };
}

const minor = [{ major: false }];
const major = [{ major: true }];
const slept = [{ major: true, sleptMs: sleepGapMs + 1 }];

test("InterfaceWatch says nothing as long as nothing changes", () => {
  const { platform, watching, noticed, setHosts } = watch("192.0.2.1", "2001:db8::1");
  watching.start();
  setHosts("2001:db8::1", "192.0.2.1");
  platform.advance(3_600_000);
  assert.deepEqual(noticed(), []);
  watching.stop();
});

test("InterfaceWatch notices within 2 s that an address has come or gone", () => {
  const { platform, watching, noticed, setHosts } = watch("192.0.2.1");
  watching.start();
  setHosts("192.0.2.1", "192.0.2.2");
  platform.advance(2_000);
  assert.deepEqual(noticed(), minor);
  setHosts("192.0.2.2");
  platform.advance(2_000);
  assert.deepEqual(noticed(), major);
  setHosts();
  platform.advance(2_000);
  assert.deepEqual(noticed(), major);
  setHosts("192.0.2.3");
  platform.advance(2_000);
  assert.deepEqual(noticed(), major, "the first address of a host that had none");
  setHosts("192.0.2.4");
  platform.advance(2_000);
  assert.deepEqual(noticed(), major, "another address in place of the one that was there");
});

test("InterfaceWatch does not mind loopback and link-local addresses", () => {
  const { platform, watching, noticed, setHosts } = watch("192.0.2.1");
  watching.start();
  setHosts("192.0.2.1", "127.0.0.1", "fe80::1", "169.254.1.1");
  platform.advance(2_000);
  setHosts("192.0.2.1");
  platform.advance(2_000);
  assert.deepEqual(noticed(), []);
});

test("F22: InterfaceWatch notices a sleep that the monotonic clock has not counted", () => {
  const { platform, watching, noticed } = watch("192.0.2.1");
  watching.start();
  platform.advance(10_000);
  platform.uncounted = sleepGapMs + 1;
  platform.advance(2_000);
  assert.deepEqual(noticed(), slept);
  platform.advance(60_000);
  assert.deepEqual(noticed(), [], "it slept once");
  platform.uncounted -= 3_600_000;
  platform.advance(2_000);
  assert.deepEqual(noticed(), [], "a date that is set back is no sleep");
});

test("F22: InterfaceWatch notices a sleep that the monotonic clock has counted", () => {
  const { platform, watching, noticed } = watch("192.0.2.1");
  watching.start();
  platform.advance(1_000);
  platform.late = sleepGapMs - 1;
  platform.advance(2_000);
  assert.deepEqual(noticed(), []);
  platform.late += sleepGapMs + 1;
  platform.advance(2_000);
  assert.deepEqual(noticed(), slept);
  platform.advance(60_000);
  assert.deepEqual(noticed(), []);
});

test("InterfaceWatch notices at its start what has changed while it was stopped", () => {
  const { platform, watching, noticed, setHosts } = watch("192.0.2.1");
  watching.start();
  watching.stop();
  assert.equal(platform.timers, 0);
  setHosts("192.0.2.2");
  platform.advance(3_600_000);
  assert.deepEqual(noticed(), []);
  watching.start();
  assert.deepEqual(noticed(), major);
  watching.stop();
  platform.advance(3_600_000);
  watching.start();
  assert.deepEqual(noticed(), [], "time without looking is no sleep");
});

test("F1: InterfaceWatch can be stopped and started from within its event, and looked at when it is asked", () => {
  const platform = new SleepyPlatform();
  let hosts = ["192.0.2.1"];
  let changes = 0;
  const watching = new InterfaceWatch({
    platform,
    interfaces: () => hosts.map(onEth0),
    changed: () => {
      changes += 1;
      watching.stop();
      watching.start();
      watching.check();
    },
    intervalMs: 500,
  });
  watching.start();
  watching.start();
  assert.equal(platform.timers, 1);
  hosts = [];
  platform.advance(500);
  assert.equal(changes, 1);
  hosts = ["192.0.2.2"];
  watching.check();
  assert.equal(changes, 2);
  assert.equal(platform.timers, 1);
  watching.stop();
  watching.stop();
  assert.equal(platform.timers, 0);
});
