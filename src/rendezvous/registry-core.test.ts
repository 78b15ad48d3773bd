import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { sweepMs } from "./lease-clock.ts";
import { type PeerRecord, signRegistration } from "./registration.ts";
import { type Moment, RegistryCore } from "./registry-core.ts";
import { defaultRendezvousLimits } from "./rendezvous-limits.ts";

const startUnixMs = 1_700_000_000_000;
const keys = Array.from({ length: 4 }, () => SecretKey.generate());
const limits = {
  ...defaultRendezvousLimits,
  maxRegistrations: 5,
  maxRegistrationsPerPeer: 2,
  maxNamespaces: 3,
  maxClockSkewMs: 20_000,
};

function recordOf(peer: number, namespace: string, signedUs: bigint): PeerRecord {
  const key = keys[peer] ?? SecretKey.generate();
  const addr = new EndpointAddr(key.publicKey);
  return signRegistration(key, {
    addr,
    namespace,
    audience: "",
    signedUs,
    services: [],
    labels: {},
  });
}

function newCore(): { core: RegistryCore; at: (nowMs: number) => Moment } {
  let epochs = 0;
  const at = (nowMs: number): Moment => ({ nowMs, unixMs: startUnixMs + nowMs });
  return { core: new RegistryCore(limits, at(0), () => String(epochs++)), at };
}

const peer = fc.nat({ max: keys.length - 1 });
const namespace = fc.constantFrom("", "a", "b", "c");
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant("register" as const), peer, namespace }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("replay" as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("renew" as const), which: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant("release" as const), which: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant("unregister" as const), which: fc.nat() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant("pass" as const), sweeps: fc.nat({ max: 6 }) }),
  },
);

test("RegistryCore does what a plain model of leases does, whatever comes in whichever order", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: "max" }), (steps) => {
      const { core, at } = newCore();
      const leaseMs = 2_000;
      const graceMs = 1_000;
      /** By peer and namespace: who is registered, and until when. */
      const model = new Map<string, { lease: string; until: number }>();
      const taken: { record: PeerRecord; peer: number; namespace: string; lease: string }[] = [];
      let nowMs = 0;
      let signed = 0n;
      const keyOf = (peer: number, namespace: string): string => `${peer} ${namespace}`;
      for (const each of steps) {
        if (each.type === "pass") {
          for (let index = 0; index < each.sweeps; index += 1) {
            nowMs += sweepMs;
            core.sweep(at(nowMs));
            for (const [key, { until }] of model) {
              if (until <= nowMs) {
                model.delete(key);
              }
            }
          }
        } else if (each.type === "register") {
          signed += 1n;
          const signedUs = BigInt(startUnixMs + nowMs) * 1_000n + signed;
          const record = recordOf(each.peer, each.namespace, signedUs);
          const lease = String(signed);
          const outcome = core.register(record, { lease, leaseMs }, at(nowMs));
          const key = keyOf(each.peer, each.namespace);
          const ofPeer = [...model.keys()].filter((other) => other.startsWith(`${each.peer} `));
          const full =
            !model.has(key) &&
            (model.size >= limits.maxRegistrations ||
              ofPeer.length >= limits.maxRegistrationsPerPeer);
          if (full) {
            assert.equal(outcome.type, "full");
          } else if (outcome.type === "full") {
            // Empty namespaces count until the next sweep.
            assert.equal(outcome.limit, "3 namespaces");
          } else {
            assert.equal(outcome.type, "registered");
            model.set(key, { lease, until: nowMs + leaseMs });
            taken.push({ record, peer: each.peer, namespace: each.namespace, lease });
          }
        } else if (taken.length > 0) {
          const one = taken[each.which % taken.length];
          assert.ok(one, "there is one");
          const key = keyOf(one.peer, one.namespace);
          const known = model.get(key);
          const lease = {
            namespace: one.namespace,
            id: one.record.id.toString(),
            lease: one.lease,
          };
          const expected =
            known === undefined ? "unknown" : known.lease === one.lease ? "renewed" : "replaced";
          switch (each.type) {
            case "replay": {
              const outcome = core.register(one.record, { lease: "x", leaseMs }, at(nowMs));
              assert.equal(outcome.type, "refused", "nothing is taken twice");
              break;
            }
            case "renew":
              assert.equal(core.renew(lease, at(nowMs)).type, expected);
              if (known?.lease === one.lease) {
                known.until = nowMs + leaseMs;
              }
              break;
            case "release":
              core.release(lease, graceMs, at(nowMs));
              if (known?.lease === one.lease) {
                known.until = Math.min(known.until, nowMs + graceMs);
              }
              break;
            case "unregister":
              assert.equal(core.unregister(lease).type, expected);
              if (known?.lease === one.lease) {
                model.delete(key);
              }
              break;
          }
        }
        const found = [...core.namespaces].flatMap((name) =>
          (core.set(name)?.entries ?? []).map(({ record, lease }) => [
            keyOf(
              keys.findIndex((key) => key.publicKey.equals(record.id)),
              name,
            ),
            lease,
          ]),
        );
        assert.deepEqual(
          new Map(found as [string, string][]),
          new Map([...model].map(([key, { lease }]) => [key, lease])),
        );
        assert.equal(core.registrations, model.size);
      }
    }),
    { numRuns: 300 },
  );
});

test("what was signed before the registry began, or is not newer than the last, is refused with the moment from which on", () => {
  const { core, at } = newCore();
  const startUs = BigInt(startUnixMs) * 1_000n;
  const register = (signedUs: bigint): unknown =>
    core.register(recordOf(0, "", signedUs), { lease: "l", leaseMs: 1_000 }, at(0));
  assert.deepEqual(register(startUs - 1n), { type: "refused", notBeforeUs: startUs });
  assert.deepEqual(register(startUs + 5n), { type: "registered", leaseMs: 1_000 });
  assert.deepEqual(register(startUs + 5n), { type: "refused", notBeforeUs: startUs + 6n });
});

test("a registration that is gone cannot be brought back, also when too many are gone to remember each", () => {
  const { core, at } = newCore();
  const startUs = BigInt(startUnixMs) * 1_000n;
  const records = Array.from({ length: 12 }, (_, index) =>
    recordOf(-1, "", startUs + BigInt(index)),
  );
  for (const [index, record] of records.entries()) {
    const lease = String(index);
    const { type } = core.register(record, { lease, leaseMs: 1_000 }, at(0));
    assert.equal(type, "registered");
    core.unregister({ namespace: "", id: record.id.toString(), lease });
    core.sweep(at(0));
  }
  for (const record of records) {
    assert.equal(core.register(record, { lease: "x", leaseMs: 1_000 }, at(0)).type, "refused");
  }
});

test("a clock that jumps by hours, and one that stands still, cost nobody the lease", () => {
  const { core } = newCore();
  const at = (nowMs: number, unixMs: number): Moment => ({ nowMs, unixMs });
  const record = recordOf(0, "", BigInt(startUnixMs) * 1_000n);
  core.register(record, { lease: "l", leaseMs: 5_000 }, at(0, startUnixMs));
  // The process was frozen for a day, and the date was set back.
  core.sweep(at(86_400_000, startUnixMs - 1_000_000));
  assert.equal(core.registrations, 1);
  core.sweep(at(86_400_000 - 50_000, startUnixMs));
  assert.equal(core.registrations, 1);
  // From then on the lease runs as ever.
  let now = 86_400_000 - 50_000;
  for (let passed = 0; passed < 5_000; passed += sweepMs) {
    now += sweepMs;
    core.sweep(at(now, startUnixMs));
  }
  assert.equal(core.registrations, 0);
});
