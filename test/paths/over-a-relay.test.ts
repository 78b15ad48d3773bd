// What holds on any connection holds over a relay too. The numbers are those of the list of failures of other systems.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createPeerRouter, createQuicTransport, Endpoint, EndpointAddr } from "../../src/index.ts";
import { createTestNetwork, type HostOptions, type TestNetwork } from "../../src/testing.ts";
import { EchoService, echoImplementation, Outbox } from "../support/echo-service.ts";
import { PathLab } from "../support/path-lab.ts";

const onRelay = (network: TestNetwork): { client: HostOptions; server: HostOptions } => ({
  client: { behind: network.nat({ udp: "blocked" }) },
  server: { behind: network.nat() },
});
const isUnavailable = (error: unknown): boolean =>
  error instanceof ConnectError && error.code === Code.Unavailable;

test("bulk over a relay travels in large datagrams, and a little of it does not", async () => {
  await PathLab.run({ places: onRelay }, async (lab) => {
    const mtus = () =>
      [lab.client, lab.server].flatMap(({ connections }) =>
        [...connections].flatMap((connection) => connection.paths().map(({ mtu }) => mtu)),
      );
    await lab.call("a little");
    await lab.network.advance(5_000);
    assert.deepEqual(mtus(), [1_452, 1_452]);
    for (let number = 0; number < 4; number += 1) {
      await lab.call("x".repeat(50_000));
    }
    await lab.network.advance(1_000);
    assert.deepEqual(mtus(), [16_000, 16_000]);
    await lab.call("x".repeat(500_000));
  });
});

test("F1: nothing is thrown out of a timer when the relay and the peer are gone for good", async () => {
  await PathLab.run({ places: onRelay }, async (lab) => {
    await lab.call("before");
    lab.relay.kill({ silently: true });
    lab.serverHost.detach();
    await assert.rejects(lab.call("lost"), isUnavailable);
    await lab.network.advance(600_000);
    await assert.rejects(lab.call("still lost"), isUnavailable);
  });
});

test("F2: a relay that is away for 8 s ends no call", async () => {
  await PathLab.run({ places: onRelay }, async (lab) => {
    await lab.call("before");
    const { converse } = createClient(EchoService, lab.transport);
    const outbox = new Outbox();
    const echoes = converse(outbox)[Symbol.asyncIterator]();
    outbox.send("one");
    assert.equal((await echoes.next()).value?.message, "one");
    lab.relay.kill();
    const calls = Promise.all([1, 2, 3].map((number) => lab.call(`${number}`)));
    outbox.send("two");
    await lab.network.advance(8_000);
    lab.relay.start();
    assert.equal((await echoes.next()).value?.message, "two");
    await calls;
    outbox.finish();
    assert.equal((await echoes.next()).done, true);
  });
});

test("F3: an open loop ends with unavailable when the peer stands still", async () => {
  await PathLab.run({ places: onRelay }, async (lab) => {
    const { converse } = createClient(EchoService, lab.transport);
    const outbox = new Outbox();
    const echoes = converse(outbox)[Symbol.asyncIterator]();
    outbox.send("one");
    assert.equal((await echoes.next()).value?.message, "one");
    lab.serverHost.freeze();
    const frozenAt = lab.network.now;
    await assert.rejects(echoes.next(), isUnavailable);
    const tookMs = lab.network.now - frozenAt;
    assert.ok(tookMs <= 46_000, `${tookMs} ms`);
    lab.serverHost.resume();
  });
});

test("F4: a connection that is to stay stays for an hour without calls", async () => {
  await PathLab.run({ places: onRelay }, async (lab) => {
    const transport = createQuicTransport({
      endpoint: lab.client,
      to: lab.server.addr(),
      keepAlive: "always",
    });
    const { echo } = createClient(EchoService, transport);
    await echo({ message: "before" });
    const connections = [...lab.client.connections];
    await lab.network.advance(3_600_000);
    const startedAt = lab.network.now;
    await echo({ message: "after" });
    assert.deepEqual([...lab.client.connections], connections);
    assert.ok(lab.network.now - startedAt <= lab.relayRoundTripMs);
    await transport.close();
  });
});

test("F23: 20 MB over a relay arrive, and small calls are quick meanwhile", async () => {
  const places = (network: TestNetwork): { client: HostOptions; server: HostOptions } => ({
    client: { behind: network.nat({ udp: "blocked", link: { bandwidth: 12_500_000 } }) },
    server: { behind: network.nat({ link: { bandwidth: 12_500_000 } }) },
  });
  await PathLab.run({ places }, async (lab) => {
    await lab.call("before");
    const { repeat } = createClient(EchoService, lab.transport);
    const message = "x".repeat(65_536);
    const count = 320;
    let slowestMs = 0;
    let isOver = false;
    const small = (async () => {
      while (!isOver) {
        const startedAt = lab.network.now;
        await lab.call("small");
        slowestMs = Math.max(slowestMs, lab.network.now - startedAt);
        await lab.network.advance(100);
      }
    })();
    const startedAt = lab.network.now;
    let arrived = 0;
    for await (const echo of repeat({ message, count })) {
      arrived += echo.message.length;
    }
    isOver = true;
    await small;
    const rate = arrived / (lab.network.now - startedAt) / 1_000;
    assert.equal(arrived, 65_536 * count);
    assert.ok(rate > 4, `${rate} MB/s of 12.5`);
    assert.ok(slowestMs < 1_000, `a small call took ${slowestMs} ms`);
  });
});

test("F24: a stored address where nobody is holds up no dial, and a LAN that is none does not either", async () => {
  await PathLab.run({}, async (lab) => {
    const dead = ["203.0.113.99:1", "192.168.1.10:4433", "10.1.2.3:9", "[2001:db8:dead::1]:5"];
    const { addrs } = lab.server.addr();
    const to = new EndpointAddr(lab.server.id, [
      ...EndpointAddr.fromJSON({
        id: lab.server.id.toString(),
        addrs: dead.map((address) => ({ Ip: address })),
      }).addrs,
      ...addrs,
    ]);
    const transport = createQuicTransport({ endpoint: lab.client, to });
    const startedAt = lab.network.now;
    await createClient(EchoService, transport).echo({ message: "hi" });
    assert.ok(lab.network.now - startedAt <= 2 * lab.relayRoundTripMs);
    await transport.close();
  });
});

for (const family of [4, 6] as const) {
  test(`F25: over IPv${family} the bytes of a call cross the relay, and none go past it`, async () => {
    const ip = family === 6 ? { ipv4: false, ipv6: true } : {};
    const places = (): { client: HostOptions; server: HostOptions } => ({
      client: { udp: "blocked", ...ip },
      server: { udp: "blocked", ...ip },
    });
    await PathLab.run({ places }, async (lab) => {
      await lab.call("before");
      const before = lab.relay.bytesRelayed;
      lab.network.tap = ({ host }) => assert.fail(`${host.name} sends UDP`);
      await lab.call("x".repeat(50_000));
      const relayed = lab.relay.bytesRelayed - before;
      assert.ok(relayed > 100_000 && relayed < 130_000, `${relayed} bytes`);
    });
  });
}

test("F26: two endpoints with one key do not throw each other off the relay again and again", async () => {
  const network = createTestNetwork();
  const relay = network.relay();
  await network.run(async () => {
    const one = await Endpoint.bind(network.host().options);
    const twin = { ...network.host().options, secretKey: one.secretKey };
    const other = await Endpoint.bind(twin);
    for (const endpoint of [one, other]) {
      createPeerRouter(endpoint).service(EchoService, echoImplementation);
      await endpoint.online();
    }
    const client = await Endpoint.bind({ ...network.host({ udp: "blocked" }).options });
    const transport = createQuicTransport({ endpoint: client, to: other.addr() });
    await createClient(EchoService, transport).echo({ message: "hi" });
    await network.advance(300_000);
    assert.equal(relay.core.metrics.accepts, 3);
    await transport.close();
    await Promise.all([one, other, client].map((each) => each.close({ timeoutMs: 0 })));
  });
});

test("F29: the rate does not fall apart where the round trip is long", async () => {
  for (const [delayMs, maxMs] of [
    [5, 1_500],
    [50, 4_000],
  ] as const) {
    const line = { link: { delayMs, bandwidth: 12_500_000 } };
    await PathLab.run({ places: () => ({ client: line, server: line }) }, async (lab) => {
      await lab.call("before");
      await lab.network.advance(2_000);
      const { repeat } = createClient(EchoService, lab.transport);
      const startedAt = lab.network.now;
      let arrived = 0;
      for await (const { message } of repeat({ message: "x".repeat(65_536), count: 128 })) {
        arrived += message.length;
      }
      assert.equal(arrived, 65_536 * 128);
      const tookMs = lab.network.now - startedAt;
      assert.ok(tookMs < maxMs, `8 MB in ${tookMs} ms with a round trip of ${4 * delayMs} ms`);
    });
  }
});
