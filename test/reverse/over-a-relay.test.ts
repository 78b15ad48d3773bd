import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import type { TestRelay } from "../../src/testing.ts";
import { EchoService, Outbox } from "../support/echo-service.ts";
import { HubLab } from "../support/hub-and-device.ts";

test("a device without UDP is called over a relay, and the call goes on when the relay was away", async () => {
  let relay: TestRelay | undefined;
  await HubLab.run(
    ({ network }) => {
      relay = network.relay();
      return { host: { behind: network.nat() } };
    },
    async (lab) => {
      const device = await lab.device({ host: { behind: lab.network.nat({ udp: "blocked" }) } });
      const peer = await lab.peerOf(device);
      const echo = createClient(EchoService, peer.transport());
      const outbox = new Outbox();
      const echoes = echo.converse(outbox)[Symbol.asyncIterator]();
      outbox.send("one");
      assert.equal((await echoes.next()).value?.message, "one");
      assert.equal(peer.connection.remoteAddress.type, "relay");
      relay?.kill();
      outbox.send("two");
      await lab.network.advance(8_000);
      relay?.start();
      assert.equal((await echoes.next()).value?.message, "two");
      outbox.finish();
      assert.equal((await echoes.next()).done, true);
    },
  );
});

test("a device behind a NAT is called over a relay first, and directly when there is a path", async () => {
  await HubLab.run(
    ({ network }) => {
      network.relay();
      return { host: { behind: network.nat() } };
    },
    async (lab) => {
      const device = await lab.device({ host: { behind: lab.network.nat() } });
      const peer = await lab.peerOf(device);
      const echo = createClient(EchoService, peer.transport());
      assert.equal(peer.connection.remoteAddress.type, "relay");
      let calls = 0;
      while (peer.connection.remoteAddress.type === "relay" && calls < 1_000) {
        await echo.echo({ message: "x" });
        calls += 1;
      }
      assert.equal(peer.connection.remoteAddress.type, "ip");
      await echo.echo({ message: "x" });
    },
  );
});
