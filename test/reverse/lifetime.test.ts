// When the connections come and go that calls back need.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { type Deferred, deferred } from "../../src/base/deferred.ts";
import {
  createPeerRouter,
  createQuicTransport,
  type PeerRouter,
  SecretKey,
} from "../../src/index.ts";
import { EchoService, echoImplementation, Outbox } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { HubLab, type PartyOptions } from "../support/hub-and-device.ts";

/** A handler that says when it has begun, and waits. */
class Gate {
  readonly started: Deferred<void> = deferred();
  readonly opened: Deferred<void> = deferred();

  get implementation(): NonNullable<PartyOptions["implementation"]> {
    return {
      ...echoImplementation,
      echo: async ({ message }) => {
        if (message === "wait") {
          this.started.resolve();
          await this.opened.promise;
        }
        return { message };
      },
    };
  }
}

describe("a router's peers", () => {
  test("come and go with the devices that can be called, by id", async () => {
    await HubLab.run({}, async (lab) => {
      const { peers } = lab.hub.router;
      const events: string[] = [];
      const stop = [
        peers.onOpened(({ id }) => events.push(`opened ${id.short}`)),
        peers.onClosed(({ id }) => events.push(`closed ${id.short}`)),
      ];
      const one = await lab.device();
      await lab.peerOf(one);
      const two = await lab.device();
      await lab.peerOf(two);
      assert.deepEqual(
        [...peers].map(({ id }) => id),
        [one.endpoint.id, two.endpoint.id],
      );
      assert.equal(peers.size, 2);
      assert.ok(peers.get(one.endpoint.id.toString())?.id.equals(one.endpoint.id));
      const gone = lab.gone(one);
      await one.endpoint.close();
      await gone;
      assert.equal(peers.size, 1);
      assert.equal(peers.get(one.endpoint.id), undefined);
      assert.deepEqual(events, [
        `opened ${one.endpoint.id.short}`,
        `opened ${two.endpoint.id.short}`,
        `closed ${one.endpoint.id.short}`,
      ]);
      for (const each of stop) {
        each();
      }
      const twoGone = lab.gone(two);
      await two.transport.close();
      await twoGone;
      assert.equal(events.length, 3);
    });
  });

  test("are told of once, whatever the number of their connections, and called on the latest", async () => {
    await HubLab.run({}, async (lab) => {
      const { peers } = lab.hub.router;
      const device = await lab.device();
      const { secretKey } = device.endpoint;
      const first = await lab.peerOf(device);
      let opened = 0;
      let closed = 0;
      peers.onOpened(() => {
        opened += 1;
      });
      peers.onClosed(() => {
        closed += 1;
      });
      const again = await lab.device({ endpoint: { secretKey } });
      await createClient(EchoService, again.transport).echo({});
      const latest = peers.get(secretKey.publicKey);
      assert.notEqual(latest?.connection, first.connection);
      assert.deepEqual([opened, closed, peers.size], [0, 0, 1]);
      await createClient(EchoService, first.transport()).echo({});
      await first.connection.close();
      assert.deepEqual([opened, closed, peers.size], [0, 0, 1]);
      await createClient(EchoService, first.transport()).echo({});
      await again.endpoint.close();
    });
  });

  test("are told of to all listeners, also when one throws", async () => {
    await HubLab.run({}, async (lab) => {
      const bug = new Error("bug");
      lab.hub.router.peers.onOpened(() => {
        throw bug;
      });
      await lab.peerOf(await lab.device());
      assert.deepEqual(lab.reports, [bug]);
    });
  });
});

describe("a call back", () => {
  for (const ending of ["closes", "is cut off", "stands still"] as const) {
    test(`fails as Unavailable when the device ${ending} meanwhile, and later ones at once`, async () => {
      const gate = new Gate();
      await HubLab.run({}, async (lab) => {
        const device = await lab.device({ implementation: gate.implementation });
        const peer = await lab.peerOf(device);
        const echo = createClient(EchoService, peer.transport());
        const outbox = new Outbox();
        const echoes = echo.converse(outbox)[Symbol.asyncIterator]();
        outbox.send("one");
        await echoes.next();
        const call = echo.echo({ message: "wait" });
        await gate.started.promise;
        const startedAt = lab.network.now;
        if (ending === "closes") {
          void device.endpoint.close({ timeoutMs: 0 });
        } else if (ending === "is cut off") {
          device.host.detach();
        } else {
          device.host.freeze();
        }
        await assert.rejects(call, hasCode(Code.Unavailable));
        await assert.rejects(echoes.next(), hasCode(Code.Unavailable));
        const tookMs = lab.network.now - startedAt;
        assert.ok(tookMs <= (ending === "closes" ? 1_000 : 46_000), `${tookMs} ms`);
        const failedAt = lab.network.now;
        await assert.rejects(echo.echo({}), hasCode(Code.Unavailable, /is not connected/));
        assert.equal(lab.network.now, failedAt);
        assert.equal(lab.hub.router.peers.size, 0);
        gate.opened.resolve();
        device.host.resume();
      });
    });
  }

  test("waits for the device to come back when it is asked to, for so long", async () => {
    await HubLab.run({}, async (lab) => {
      const { secretKey } = (await lab.party()).endpoint;
      const device = await lab.device({ endpoint: { secretKey } });
      const peer = await lab.peerOf(device);
      const patient = createClient(
        EchoService,
        peer.transport({ waitForReady: true, dialTimeoutMs: 20_000 }),
      );
      await device.endpoint.close();
      const startedAt = lab.network.now;
      await assert.rejects(patient.echo({}), hasCode(Code.Unavailable, /within 20000 ms/));
      assert.ok(lab.network.now - startedAt >= 20_000);
      await assert.rejects(patient.echo({}, { timeoutMs: 300 }), hasCode(Code.DeadlineExceeded));
      const answers = [1, 2, 3].map((number) => patient.echo({ message: `${number}` }));
      await lab.network.advance(10_000);
      await lab.device({ endpoint: { secretKey } });
      assert.deepEqual(
        (await Promise.all(answers)).map(({ message }) => message),
        ["1", "2", "3"],
      );
    });
  });
});

describe("a device", () => {
  test("stays connected without calls, and dials again when the hub was away", async () => {
    await HubLab.run({}, async (lab) => {
      const device = await lab.device();
      const peer = await lab.peerOf(device);
      await lab.network.advance(600_000);
      await createClient(EchoService, peer.transport()).echo({});
      await lab.hub.endpoint.close();
      await lab.network.advance(30_000);
      assert.equal(device.endpoint.connections.size, 0);
      await lab.startHub();
      const startedAt = lab.network.now;
      const back = await lab.peerOf(device);
      // A dial that is under way when the hub comes back repeats its first packet, at growing intervals.
      assert.ok(lab.network.now - startedAt <= 10_000, `${lab.network.now - startedAt} ms`);
      await createClient(EchoService, back.transport()).echo({});
      await createClient(EchoService, device.transport).echo({});
    });
  });

  test("is there while it calls, and no longer, when it is not to stay", async () => {
    await HubLab.run({}, async (lab) => {
      const device = await lab.device({ transport: { stayConnected: false } });
      await lab.network.advance(5_000);
      assert.equal(device.endpoint.connections.size, 0);
      await createClient(EchoService, device.transport).echo({});
      await createClient(EchoService, (await lab.peerOf(device)).transport()).echo({});
      await lab.network.advance(60_000);
      assert.equal(lab.hub.router.peers.size, 0);
      assert.equal(device.endpoint.connections.size, 0);
    });
  });

  test("that closes its transport lets calls of the hub end, at most its time", async () => {
    for (const patient of [true, false]) {
      const gate = new Gate();
      await HubLab.run({}, async (lab) => {
        const device = await lab.device({ implementation: gate.implementation });
        const echo = createClient(EchoService, (await lab.peerOf(device)).transport());
        const call = echo.echo({ message: "wait" });
        await gate.started.promise;
        const gone = lab.gone(device);
        const closed = device.transport.close({ timeoutMs: 5_000 });
        await gone;
        await assert.rejects(echo.echo({}), hasCode(Code.Unavailable));
        if (patient) {
          gate.opened.resolve();
          assert.equal((await call).message, "wait");
        } else {
          await assert.rejects(call, hasCode(Code.Unavailable));
          gate.opened.resolve();
        }
        await closed;
        await lab.network.advance(60_000);
        assert.equal(device.endpoint.connections.size, 0, "it does not dial again");
      });
    }
  });

  test("that closes its router is served no more, and calls on", async () => {
    const gate = new Gate();
    await HubLab.run({}, async (lab) => {
      const device = await lab.device({ implementation: gate.implementation });
      const echo = createClient(EchoService, (await lab.peerOf(device)).transport());
      const call = echo.echo({ message: "wait" });
      await gate.started.promise;
      const gone = lab.gone(device);
      const closed = device.router.close();
      await gone;
      gate.opened.resolve();
      assert.equal((await call).message, "wait");
      await createClient(EchoService, device.transport).echo({});
      await closed;
      assert.equal(lab.hub.router.peers.size, 0);
      assert.equal(device.endpoint.connections.size, 1);
      assert.throws(() => lab.connect(device, { serve: device.router }), TypeError);
      // Another one takes its place.
      const next = createPeerRouter(device.endpoint).service(EchoService, echoImplementation);
      await using transport = lab.connect(device, { serve: next });
      await lab.peerOf(device);
      await createClient(EchoService, transport).echo({});
    });
  });

  test("whose hub closes its router gets the answers to what it has begun, and gives its own", async () => {
    const gates = [new Gate(), new Gate()] as const;
    await HubLab.run({ implementation: gates[0].implementation }, async (lab) => {
      const device = await lab.device({ implementation: gates[1].implementation });
      const back = createClient(EchoService, (await lab.peerOf(device)).transport());
      const forth = createClient(EchoService, device.transport);
      const calls = [forth, back].map((each) => each.echo({ message: "wait" }));
      await Promise.all(gates.map(({ started }) => started.promise));
      const closed = lab.hub.router.close({ graceMs: 60_000 });
      await assert.rejects(back.echo({}), hasCode(Code.Unavailable));
      for (const gate of gates) {
        gate.opened.resolve();
      }
      await Promise.all(calls);
      await closed;
      assert.equal(lab.hub.endpoint.connections.size, 0);
    });
  });

  test("begins and ends to serve on a connection that others of its transports use", async () => {
    const gate = new Gate();
    await HubLab.run({ implementation: gate.implementation }, async (lab) => {
      const party = await lab.party();
      const plain = createClient(EchoService, lab.connect(party));
      const call = plain.echo({ message: "wait" });
      await gate.started.promise;
      assert.equal(lab.hub.router.peers.size, 0);
      const serving = lab.connect(party, { serve: party.router });
      const back = createClient(EchoService, (await lab.peerOf(party)).transport());
      await back.echo({});
      gate.opened.resolve();
      await call;
      await plain.echo({});
      assert.equal(party.endpoint.connections.size, 1);
      const gone = lab.gone(party);
      await serving.close();
      await gone;
      await plain.echo({});
      await assert.rejects(back.echo({}), hasCode(Code.Unavailable));
    });
  });
});

describe("router.transportTo", () => {
  test("calls over the connection that the peer has dialed", async () => {
    await HubLab.run({}, async (lab) => {
      const device = await lab.device();
      await lab.peerOf(device);
      await using transport = lab.hub.router.transportTo(device.endpoint.id);
      assert.ok(transport.peer.equals(device.endpoint.id));
      assert.equal(transport.state, "connected");
      await createClient(EchoService, transport).echo({});
      assert.equal(lab.hub.endpoint.connections.size, 1);
      const connection = await transport.connect();
      assert.equal(connection.role, "server");
      await transport.close();
      assert.equal(connection.closeCause, undefined, "it is the device's");
    });
  });

  test("dials where there is none, serves there, and closes that in the end", async () => {
    await HubLab.run({}, async (lab) => {
      const other = await lab.party();
      const transport = lab.hub.router.transportTo(other.endpoint.addr());
      assert.equal(transport.state, "idle");
      await createClient(EchoService, transport).echo({});
      const back = callerOf(other.router, lab.hub.endpoint.id.toString());
      await createClient(EchoService, back).echo({});
      assert.equal(lab.hub.router.peers.size, 1);
      const connection = await transport.connect();
      assert.equal(connection.role, "client");
      await transport.close();
      await connection.closed;
    });
  });

  test("fails where nobody can be dialed, or waits until the peer dials", async () => {
    await HubLab.run({}, async (lab) => {
      const { secretKey } = (await lab.party()).endpoint;
      const id = secretKey.publicKey;
      const hasty = createClient(EchoService, lab.hub.router.transportTo(id));
      await assert.rejects(hasty.echo({}), hasCode(Code.Unavailable, /no address|cannot/));
      const patient = createClient(
        EchoService,
        lab.hub.router.transportTo(id, { waitForReady: true, dialTimeoutMs: 60_000 }),
      );
      const call = patient.echo({ message: "x" });
      await lab.network.advance(20_000);
      await lab.device({ endpoint: { secretKey } });
      assert.equal((await call).message, "x");
      await assert.rejects(
        createClient(
          EchoService,
          lab.hub.router.transportTo(SecretKey.generate().publicKey, {
            waitForReady: true,
            dialTimeoutMs: 1_000,
          }),
        ).echo({}),
        hasCode(Code.Unavailable),
      );
    });
  });

  test("refuses what cannot be", async () => {
    await HubLab.run({}, async (lab) => {
      const { router } = lab.hub;
      assert.throws(() => router.transportTo("x"), hasCode(Code.InvalidArgument));
      await router.close();
      assert.throws(() => router.transportTo(lab.hub.endpoint.id), TypeError);
    });
  });
});

test("options of what is served are checked at once", async () => {
  await HubLab.run({}, async (lab) => {
    const { endpoint, router } = await lab.party();
    const to = lab.hub.endpoint.addr();
    const wrong: Record<string, unknown>[] = [
      { serve: {} },
      { serve: lab.hub.router },
      { serve: router, stayConnected: "yes" },
      { serve: router, to: "https://example.com" },
    ];
    for (const options of wrong) {
      assert.throws(
        () => createQuicTransport({ endpoint, to, ...options } as never),
        TypeError,
        JSON.stringify(Object.keys(options)),
      );
    }
  });
});

function callerOf(router: PeerRouter, id: string) {
  const peer = router.peers.get(id);
  assert.ok(peer);
  return peer.transport();
}
