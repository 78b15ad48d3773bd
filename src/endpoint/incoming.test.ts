// What becomes of connections that others make to an endpoint, before anybody takes them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { VirtualPeers } from "../../test/support/virtual-peers.ts";
import type { CloseCause } from "../engine/engine.ts";
import { closeCode, EndpointError } from "./endpoint-error.ts";

stayAlive();

const alpn = "test/1";

test("256 connections wait for accept; more are closed as the endpoint is busy, and accept makes room", async () => {
  const peers = new VirtualPeers();
  const server = await peers.bind(1, { alpns: [alpn] });
  const client = await peers.bind(2);
  const dialed = await peers.during(
    Promise.all(Array.from({ length: 256 }, () => client.connect(server.addr(), alpn))),
  );
  await peers.pass(1_000);
  assert.equal(server.connections.size, 256);
  for (let count = 0; count < 3; count += 1) {
    const one = await peers.during(client.connect(server.addr(), alpn));
    assertClosed(await peers.during(one.closed), closeCode.busy);
  }
  assert.ok(dialed.every(({ closeCause }) => closeCause === undefined));

  const first = await peers.during(server.accept());
  assert.equal(first?.closeCause, undefined);
  const next = await peers.during(client.connect(server.addr(), alpn));
  await peers.pass(1_000);
  assert.equal(next.closeCause, undefined);
  assert.equal(server.connections.size, 257);
  assert.deepEqual(peers.reports, []);
  await peers.close();
});

test("connections that have ended give up their place among those that wait for accept", async () => {
  const peers = new VirtualPeers();
  const server = await peers.bind(1, { alpns: [alpn] });
  const client = await peers.bind(2);
  const dialed = await peers.during(
    Promise.all(Array.from({ length: 256 }, () => client.connect(server.addr(), alpn))),
  );
  await peers.pass(1_000);
  await peers.during(Promise.all(dialed.slice(0, 2).map((connection) => connection.close())));
  await peers.pass(1_000);
  const late = await peers.during(
    Promise.all([client.connect(server.addr(), alpn), client.connect(server.addr(), alpn)]),
  );
  const tooMany = await peers.during(client.connect(server.addr(), alpn));
  assertClosed(await peers.during(tooMany.closed), closeCode.busy);
  assert.ok(late.every(({ closeCause }) => closeCause === undefined));
  for (let count = 0; count < 256; count += 1) {
    const accepted = await peers.during(server.accept());
    assert.equal(accepted?.closeCause, undefined);
  }
  await peers.close();
});

test("an authorize hook that does not decide within 10 seconds has said no, and what it says later changes nothing", async () => {
  const peers = new VirtualPeers();
  const decisions: ((decision: boolean) => void)[] = [];
  const server = await peers.bind(1, {
    alpns: [alpn],
    authorize: () =>
      new Promise((resolve) => {
        decisions.push(resolve);
      }),
  });
  const client = await peers.bind(2);
  const late = await peers.during(client.connect(server.addr(), alpn));
  const inTime = await peers.during(client.connect(server.addr(), alpn));
  await peers.pass(9_900);
  assert.equal(late.closeCause, undefined);
  decisions[1]?.(true);
  await peers.pass(200);
  assertClosed(await peers.during(late.closed), closeCode.notAuthorized);
  await assert.rejects(
    peers.during(late.openBi()),
    (error) => error instanceof EndpointError && error.code === "not-authorized",
  );
  decisions[0]?.(true);
  const accepted = await peers.during(server.accept());
  assert.ok(accepted);
  await peers.pass(20_000);
  assert.equal(inTime.closeCause, undefined);
  assert.deepEqual([...server.connections], [accepted]);
  assert.deepEqual(peers.reports, []);
  await peers.close();
});

function assertClosed(cause: CloseCause, code: bigint): void {
  assert.ok(cause.type === "application");
  assert.deepEqual([cause.origin, cause.code], ["peer", code]);
}
