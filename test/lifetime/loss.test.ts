// One connection in virtual time, with datagrams that get lost.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import {
  type Connection,
  createPeerRouter,
  createQuicTransport,
  Endpoint,
} from "../../src/index.ts";
import { VirtualNetwork } from "../../src/testing/virtual-network.ts";
import type { VirtualPlatform } from "../../src/testing/virtual-platform.ts";
import { EchoService, echoImplementation } from "../support/echo-service.ts";
import { bindVirtual } from "../support/virtual-socket.ts";

const oneWayMs = 50;

for (const lossy of ["client", "server"] as const) {
  test(`F12: a call whose datagram from the ${lossy} got lost does not delay the next one`, async () => {
    const network = new VirtualNetwork({ link: { delayMs: oneWayMs } });
    const { platform } = network;
    const bindSocket = bindVirtual(network);
    const common = {
      platform,
      network: { bindSocket },
      transport: { maxMtu: 1_200, loopbackMtu: 0 },
    };
    const server = await Endpoint.bind({ ...common, bind: "10.0.0.1:1" });
    const client = await Endpoint.bind({ ...common, bind: "10.0.0.2:2" });
    createPeerRouter(server).service(EchoService, echoImplementation);
    const transport = createQuicTransport({ endpoint: client, to: server.addr() });
    const { echo } = createClient(EchoService, transport);
    const finished: Record<string, number> = {};
    const call = async (message: string): Promise<void> => {
      const beganMs = platform.now();
      assert.equal((await echo({ message })).message, message);
      finished[message] = platform.now() - beganMs;
    };

    void call("the first");
    assert.ok(await platform.runAsync(() => "the first" in finished));
    let lost = 0;
    const lossyHost = lossy === "client" ? "10.0.0.2" : "10.0.0.1";
    network.tap = ({ from, bytes }) => {
      if (from.host !== lossyHost || lost > 0) {
        return bytes;
      }
      lost += 1;
      return undefined;
    };
    void call("lost");
    assert.ok(await platform.runAsync(() => lost === 1));
    void call("next");
    assert.ok(await platform.runAsync(() => "next" in finished));
    assert.equal(finished.lost, undefined);
    assert.ok((finished.next ?? 0) < 2 * oneWayMs + 10, `${finished.next} ms`);
    assert.ok(await platform.runAsync(() => "lost" in finished));
    assert.ok((finished.lost ?? 0) > 2 * oneWayMs + 10, `${finished.lost} ms`);
    assert.equal(lost, 1);

    const closed = [client.close({ timeoutMs: 0 }), server.close({ timeoutMs: 0 })];
    let done = false;
    void Promise.all(closed).then(() => {
      done = true;
    });
    assert.ok(await platform.runAsync(() => done));
  });
}

for (const { title, drops, expected } of [
  {
    title: "whose receiver has room for small datagrams only, for a while, keeps its large ones",
    drops: { from: 100, to: 112 },
    expected: [32_000],
  },
  {
    title: "that lets no large datagrams through goes on with small ones, for a while",
    drops: { from: 0, to: Number.POSITIVE_INFINITY },
    expected: [1_200],
  },
  {
    title: "that lets no large datagrams through any more goes on with small ones, for a while",
    drops: { from: 100, to: Number.POSITIVE_INFINITY },
    expected: [1_200],
  },
]) {
  test(`a path within a machine ${title}`, async () => {
    const network = new VirtualNetwork({ link: { delayMs: 0.1, mtu: 65_535 } });
    const { platform } = network;
    const common = { platform, network: { bindSocket: bindVirtual(network) } };
    const server = await Endpoint.bind({ ...common, bind: "127.0.0.1:1", alpns: ["bulk/1"] });
    const client = await Endpoint.bind({ ...common, bind: "127.0.0.1:2" });
    let large = 0;
    network.tap = ({ bytes }) => {
      large += bytes.length > 1_500 ? 1 : 0;
      return bytes.length > 1_500 && large > drops.from && large <= drops.to ? undefined : bytes;
    };
    // Each a large packet and a small one.
    const messages = Array.from({ length: 300 }, () => new Uint8Array(33_000));
    const send = async (): Promise<Connection> => {
      const connection = await client.connect(server.addr(), "bulk/1");
      const stream = await connection.openUni();
      for (const message of messages) {
        await stream.write(message);
        await new Promise<void>((resolve) => platform.setTimer(0.1, resolve));
      }
      await stream.finish();
      return connection;
    };
    const receive = async (): Promise<number | undefined> => {
      const stream = await (await server.accept())?.acceptUni();
      return (await stream?.readToEnd(messages.length * 33_000))?.length;
    };
    const [connection, received] = await finished(platform, Promise.all([send(), receive()]));
    assert.equal(received, messages.length * 33_000);
    const mtus = () => connection.paths().map(({ mtu }) => mtu);
    assert.deepEqual(mtus(), expected);
    network.tap = undefined;
    await finished(platform, new Promise<void>((resolve) => platform.setTimer(120_000, resolve)));
    // What is found by trying is a little less.
    assert.ok(mtus().length === 1 && mtus().every((mtu) => mtu > 31_900), `${mtus()}`);
    await finished(
      platform,
      Promise.all([client, server].map((end) => end.close({ timeoutMs: 0 }))),
    );
  });
}

/** Plays virtual time until `promise` is settled. */
async function finished<T>(platform: VirtualPlatform, promise: Promise<T>): Promise<T> {
  let settled = false;
  const over = (): void => {
    settled = true;
  };
  promise.then(over, over);
  assert.ok(await platform.runAsync(() => settled));
  return promise;
}
