// Instances of a place that share what they know in a real Redis.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Code, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import fc from "fast-check";
import { nodePlatform } from "../../../src/base/node-platform.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { SecretKey } from "../../../src/index.ts";
import { MemoryState } from "../../../src/rendezvous/memory-state.ts";
import type { PeerChange } from "../../../src/rendezvous/peer-watch.ts";
import { redisState } from "../../../src/rendezvous/redis/redis-state.ts";
import { type PeerRecord, signRegistration } from "../../../src/rendezvous/registration.ts";
import { Rendezvous } from "../../../src/rendezvous/rendezvous.ts";
import { defaultRendezvousLimits } from "../../../src/rendezvous/rendezvous-limits.ts";
import type { RendezvousState } from "../../../src/rendezvous/rendezvous-state.ts";
import { paperPeer, startPlace } from "../../rendezvous/place.ts";
import { hasCode } from "../../support/expect-code.ts";
import { type Program, startProgram } from "../../support/process.ts";
import { noRedis, RedisProcess } from "../../support/redis-server.ts";
import { stayAlive } from "../../support/stay-alive.ts";

stayAlive();

/** The slowest waits 15 s by itself. */
const options = { skip: noRedis ?? false, timeout: 120_000 };

async function startRedis(t: TestContext): Promise<RedisProcess> {
  const redis = await RedisProcess.start();
  t.after(() => redis[Symbol.asyncDispose]());
  return redis;
}

async function startInstance(
  t: TestContext,
  redis: RedisProcess,
  limits: object = {},
): Promise<{ program: Program; url: string; transport: Transport }> {
  const program = await startProgram(new URL("instance.ts", import.meta.url), {
    args: [redis.url, JSON.stringify(limits)],
  });
  t.after(() => program.kill());
  const { url } = program.greeting as { readonly url: string };
  return { program, url, transport: createConnectTransport({ baseUrl: url, httpVersion: "1.1" }) };
}

async function nextChange(changes: AsyncIterator<PeerChange>): Promise<PeerChange> {
  for (;;) {
    const { value } = await changes.next();
    if ((value as PeerChange).type !== "complete") {
      return value as PeerChange;
    }
  }
}

/** Resolves when a page says this. */
async function untilPage(url: string, pattern: RegExp): Promise<void> {
  for (;;) {
    const answer = await fetch(url).then(
      async (response) => `${response.status} ${await response.text()}`,
      String,
    );
    if (pattern.test(answer)) {
      return;
    }
    await delay(20);
  }
}

test(
  "what one instance is told, the others tell: registrations, watches and pairs",
  options,
  async (t) => {
    const redis = await startRedis(t);
    const places = await Promise.all(
      [0, 1].map(() => startPlace(t, { state: redisState({ url: redis.url }) })),
    );
    const [a, b] = await Promise.all(places.map((place) => place.rendezvous("http")));
    assert.ok(a !== undefined && b !== undefined, "there are two");
    const changes = b.watch({ labels: { zone: "north" } });
    await changes.next();
    const atA = a.register(paperPeer(), { labels: { zone: "north" } });
    const came = await nextChange(changes);
    assert.ok(came.type === "put" && came.peer.id.equals(atA.id) && came.peer.isGenuine(), "put");
    await atA.ready();
    const atB = b.register(paperPeer());
    await atB.ready();
    const [one, two] = await Promise.all([a.pair(atA), b.pair(atB)]);
    assert.equal(one.id, two.id);
    assert.ok(one.partner.id.equals(atB.id) && two.partner.id.equals(atA.id), "each other");
    await one.leave();
    assert.equal(await two.ended, "left by the partner");
    atA.update({ labels: { zone: "south" } });
    assert.equal((await nextChange(changes)).type, "gone");
    await atA.close();
    const left: string[] = [];
    for await (const peer of b.lookUp()) {
      left.push(peer.id.toString());
    }
    assert.deepEqual(left, [atB.id.toString()]);
    await atB.close();
    await changes.return();
    assert.deepEqual(
      places.map(({ reports }) => reports),
      [[], []],
    );
  },
);

test(
  "an instance is killed: its peers go on at another, nobody sees them go, and pairs that it knew of end",
  options,
  async (t) => {
    const redis = await startRedis(t);
    const [a, b] = await Promise.all([startInstance(t, redis), startInstance(t, redis)]);
    let current = a.transport;
    const balanced: Transport = {
      unary: (...args) => current.unary(...args),
      stream: (...args) => current.stream(...args),
    };
    const atB = new Rendezvous({ transport: b.transport });
    const changes = atB.watch();
    const seen: string[] = [];
    const registrations = Array.from({ length: 20 }, () =>
      new Rendezvous({ transport: balanced }).register(paperPeer()),
    );
    const other = atB.register(paperPeer());
    for (const expected of [...registrations, other]) {
      assert.ok(expected, "one for each");
      assert.equal((await nextChange(changes)).type, "put");
    }
    await Promise.all([...registrations, other].map((each) => each.ready()));
    const follow = (async () => {
      for await (const change of { [Symbol.asyncIterator]: () => changes }) {
        seen.push(change.type);
      }
    })();
    const [first] = registrations;
    assert.ok(first, "there is one");
    const [, pair] = await Promise.all([
      new Rendezvous({ transport: balanced }).pair(first),
      atB.pair(other),
    ]);
    await untilPage(`${a.url}/metrics`, /^rendezvous_holds 20$/m);
    current = b.transport;
    await a.program.kill();
    await untilPage(`${b.url}/metrics`, /^rendezvous_holds 21$/m);
    assert.equal(await pair.ended, "left by the partner");
    assert.ok(!seen.includes("gone"), String(seen));
    await Promise.all([...registrations, other].map((each) => each.close()));
    await changes.return();
    await follow;
  },
);

for (const how of ["frozen", "killed"] as const) {
  test(
    `Redis is ${how} for longer than the leases: that is told, and nobody loses one`,
    options,
    async (t) => {
      const redis = await startRedis(t);
      const limits = { leaseMs: 9_000 };
      const a = await startInstance(t, redis, limits);
      const rendezvous = new Rendezvous({ transport: a.transport });
      const changes = rendezvous.watch();
      const registrations = Array.from({ length: 10 }, () => rendezvous.register(paperPeer()));
      for (let count = 0; count < registrations.length; count += 1) {
        assert.equal((await nextChange(changes)).type, "put");
      }
      await untilPage(`${a.url}/metrics`, /^rendezvous_holds 10$/m);
      if (how === "frozen") {
        redis.signal("SIGSTOP");
      } else {
        await redis.kill();
      }
      await untilPage(`${a.url}/healthz`, /^503 Redis /);
      await assert.rejects(
        rendezvous.register(paperPeer()).ready({ signal: AbortSignal.timeout(1) }),
      );
      const lookUp = new Rendezvous({ transport: a.transport, namespace: "other" }).lookUp();
      await assert.rejects(lookUp.next(), hasCode(Code.Unavailable, /no state: Redis /));
      // Longer than a lease.
      await delay(10_000);
      if (how === "frozen") {
        redis.signal("SIGCONT");
      } else {
        await redis.start();
      }
      await untilPage(`${a.url}/healthz`, /^200 ok/);
      // All leases run again, and are renewed.
      await delay(4_000);
      const last = rendezvous.register(paperPeer());
      const seen: string[] = [];
      for (;;) {
        const change = await nextChange(changes);
        seen.push(change.type);
        if (change.type === "put" && change.peer.id.equals(last.id)) {
          break;
        }
      }
      assert.ok(!seen.includes("gone"), String(seen));
      const page = (await (await fetch(`${a.url}/debug/list_workers`)).json()) as {
        workers: { id: string }[];
      };
      const there = new Set(page.workers.map(({ id }) => id));
      for (const { id } of [...registrations, last]) {
        assert.ok(there.has(id.toString()), "nobody was lost");
      }
      await Promise.all([...registrations, last].map((each) => each.close({ timeoutMs: 0 })));
      await changes.return();
    },
  );
}

test(
  "Redis forgets everything: peers register again, and watchers see who is there",
  options,
  async (t) => {
    const redis = await startRedis(t);
    const place = await startPlace(t, {
      state: redisState({ url: redis.url }),
      limits: { minLeaseMs: 300, leaseMs: 300 },
    });
    const rendezvous = await place.rendezvous("http");
    const changes = rendezvous.watch();
    const registration = rendezvous.register(paperPeer());
    assert.equal((await nextChange(changes)).type, "put");
    await registration.ready();
    const { createClient } = await import("@redis/client");
    const redisClient = createClient({ url: redis.url });
    await redisClient.connect();
    await redisClient.sendCommand(["FLUSHALL"]);
    redisClient.destroy();
    const late = rendezvous.register(paperPeer());
    const there = new Set([registration.id.toString()]);
    while (
      there.size < 2 ||
      !there.has(late.id.toString()) ||
      !there.has(registration.id.toString())
    ) {
      const change = await nextChange(changes);
      if (change.type === "put") {
        there.add(change.peer.id.toString());
      } else if (change.type === "gone") {
        there.delete(change.id.toString());
      }
    }
    await Promise.all([registration.close(), late.close()]);
    await changes.return();
  },
);

const keys = Array.from({ length: 4 }, () => SecretKey.generate());
const steps = fc.array(
  fc.oneof(
    fc.record({
      type: fc.constant("register" as const),
      peer: fc.nat({ max: 3 }),
      namespace: fc.constantFrom("", "a b", 'c"\\', "d"),
      date: fc.nat({ max: 3 }),
    }),
    fc.record({ type: fc.constantFrom("renew" as const, "unregister" as const), which: fc.nat() }),
    fc.record({
      type: fc.constant("pair" as const),
      peer: fc.nat({ max: 3 }),
      pool: fc.constantFrom("", "x"),
    }),
    fc.record({ type: fc.constant("leave" as const), which: fc.nat() }),
  ),
  { maxLength: 40, size: "max" },
);

test(
  "Redis answers what the memory of one process answers, whatever is asked",
  options,
  async (t) => {
    const redis = await startRedis(t);
    const limits = {
      ...defaultRendezvousLimits,
      maxRegistrations: 5,
      maxRegistrationsPerPeer: 2,
      maxNamespaces: 3,
    };
    let run = 0;
    const startMs = Date.now();
    const { createClient } = await import("@redis/client");
    const client = createClient({ url: redis.url, RESP: 2 });
    client.on("error", () => {});
    await client.connect();
    t.after(() => client.destroy());
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        run += 1;
        const context = { limits, platform: nodePlatform, dateMs: () => startMs, report: () => {} };
        const states: RendezvousState[] = [
          new MemoryState(context),
          redisState({ url: redis.url, prefix: `{run ${run}}:` })(context),
        ];
        const both = async (
          ask: (state: RendezvousState, index: number) => Promise<unknown>,
        ): Promise<void> => {
          const [memory, stored] = await Promise.all(states.map(ask));
          assert.deepEqual(stored, memory);
        };
        const leases: { namespace: string; id: string; lease: string }[] = [];
        const seats: (() => void)[][] = [];
        const news: string[][] = [[], []];
        try {
          let signed = 0;
          for (const step of all) {
            if (step.type === "register") {
              signed += step.date;
              const record = recordOf(
                step.peer,
                step.namespace,
                BigInt(startMs) * 1_000n + BigInt(signed),
              );
              const lease = String(leases.length);
              leases.push({ namespace: step.namespace, id: record.id.toString(), lease });
              await both((state) => state.register(record, { lease, leaseMs: 60_000 }));
              // Watched, or it depends on the time when a namespace that nobody is in counts no more.
              for (const state of states) {
                (await state.set(record.namespace))?.retain();
              }
            } else if (step.type === "pair") {
              const id = keys[step.peer]?.publicKey.toString() ?? "";
              const ticket = String(seats.length);
              const leaves: (() => void)[] = [];
              seats.push(leaves);
              for (const [index, state] of states.entries()) {
                const tell = (what: string): void => void news[index]?.push(`${ticket} ${what}`);
                leaves.push(
                  await state.pair(
                    { namespace: "", pool: step.pool, id, ticket },
                    {
                      paired: ({ partner, first }) => tell(`paired ${partner} ${first}`),
                      left: () => tell("left"),
                      replaced: () => tell("replaced"),
                    },
                  ),
                );
              }
            } else if (step.type === "leave") {
              for (const leave of seats[step.which % (seats.length || 1)] ?? []) {
                leave();
              }
              // Redis is told a moment later.
              const ticket = String(step.which % (seats.length || 1));
              const seat = ["HEXISTS", `{run ${run}}:seats`, ticket];
              while (Number(await client.sendCommand(seat)) !== 0) {
                await delay(1);
              }
            } else {
              const lease = leases[step.which % (leases.length || 1)];
              if (lease !== undefined) {
                await both((state) => state[step.type](lease));
              }
            }
            await both(async (state) => await state.registrations());
            // News of Redis come a moment later, and who has left gets none.
            for (let waits = 0; waits < 5_000 && news[1]?.length !== news[0]?.length; waits += 1) {
              await delay(1);
            }
          }
          await both(async (state) => [...(await state.namespaces())].sort());
          for (const namespace of new Set(leases.map((lease) => lease.namespace))) {
            const [memory, stored] = await Promise.all(states.map((state) => state.set(namespace)));
            // What is watched is told of changes a moment later.
            while ((stored?.version ?? 0) < (memory?.version ?? 0)) {
              await delay(1);
            }
            await both(
              async (state) =>
                (await state.set(namespace))?.entries.map(
                  ({ record, lease, joined, registeredAtMs }) => ({
                    id: record.id.toString(),
                    lease,
                    joined,
                    registeredAtMs,
                  }),
                ) ?? [],
            );
          }
          assert.deepEqual([...(news[1] ?? [])].sort(), [...(news[0] ?? [])].sort());
        } finally {
          await Promise.all(states.map((state) => state.close()));
        }
      }),
      { numRuns: 40, endOnFailure: true },
    );
  },
);

function recordOf(peer: number, namespace: string, signedUs: bigint): PeerRecord {
  const key = keys[peer] ?? SecretKey.generate();
  return signRegistration(key, {
    addr: new EndpointAddr(key.publicKey),
    namespace,
    audience: "",
    signedUs,
    services: [],
    labels: {},
  });
}
