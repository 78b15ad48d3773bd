// Calls on one connection in virtual time, with datagrams that get lost.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createPeerRouter, createQuicTransport, Endpoint } from "../../src/index.ts";
import { VirtualNetwork } from "../../src/testing/virtual-network.ts";
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
