// Two processes with one key: what nobody should do, and what happens all the same.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import {
  type Connection,
  createPeerRouter,
  createQuicTransport,
  SecretKey,
} from "../../src/index.ts";
import { EchoService } from "../support/echo-service.ts";
import { stayAlive } from "../support/stay-alive.ts";
import { VirtualPeers } from "../support/virtual-peers.ts";

stayAlive();

test("F26: of two servers with one key a client stays at the one it reached, and goes to the other when that is gone", async () => {
  const peers = new VirtualPeers();
  const secretKey = SecretKey.generate();
  const servers = [];
  for (const number of [1, 2]) {
    const server = await peers.bind(number, { secretKey });
    createPeerRouter(server).service(EchoService, {
      echo: () => ({ message: `server ${number}` }),
    });
    servers.push(server);
  }
  const [first, second] = servers;
  assert.ok(first && second);
  const endpoint = await peers.bind(3);
  const transports = servers.map((server) =>
    createQuicTransport({ endpoint, to: server.addr(), keepAlive: "always" }),
  );
  const clients = transports.map((transport) => createClient(EchoService, transport));
  const connections = new Set<Connection>();
  const answers = new Set<string>();
  for (let call = 0; call < 200; call += 1) {
    for (const [index, client] of clients.entries()) {
      answers.add((await peers.during(client.echo({}))).message);
      connections.add((await transports[index]?.connect()) ?? assert.fail());
    }
    await peers.pass(1_000);
  }
  // One id is one peer: the transports share a connection, to whichever server answered first, and nobody ends it.
  assert.equal(connections.size, 1);
  assert.equal(answers.size, 1);
  const [reached] = answers;
  const [gone, left] = reached === "server 1" ? servers : [...servers].reverse();
  await peers.during(gone?.close({ timeoutMs: 0 }) ?? assert.fail());
  for (const client of clients) {
    const answer = await peers.during(client.echo({}));
    assert.notEqual(answer.message, reached);
  }
  assert.equal(left?.connections.size, 1);
  assert.deepEqual(peers.reports, []);
  await peers.close();
});

test("F26: two callers with one key are served both, and neither ends the other's connection", async () => {
  const peers = new VirtualPeers();
  const secretKey = SecretKey.generate();
  const server = await peers.serve(1);
  const clients = [];
  for (const number of [2, 3]) {
    const endpoint = await peers.bind(number, { secretKey });
    const transport = createQuicTransport({ endpoint, to: server.addr(), keepAlive: "always" });
    clients.push({ transport, echo: createClient(EchoService, transport) });
  }
  const connections = new Set<Connection>();
  for (let call = 0; call < 200; call += 1) {
    for (const { transport, echo } of clients) {
      const message = `${call}`;
      assert.equal((await peers.during(echo.echo({ message }))).message, message);
      connections.add(await transport.connect());
    }
    await peers.pass(1_000);
  }
  assert.equal(connections.size, 2);
  assert.equal(server.connections.size, 2);
  const ids = [...server.connections].map(({ remoteId }) => remoteId.toString());
  assert.equal(new Set(ids).size, 1);
  assert.deepEqual(peers.reports, []);
  await peers.close();
});
