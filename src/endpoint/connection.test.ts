import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "./connection.ts";
import { Endpoint, type EndpointOptions } from "./endpoint.ts";

const alpn = "test/1";

interface Pair extends AsyncDisposable {
  readonly dialed: Connection;
  readonly accepted: Connection;
}

async function pair(serverOptions: EndpointOptions = {}): Promise<Pair> {
  const server = await Endpoint.bind({ bind: "127.0.0.1:0", alpns: [alpn], ...serverOptions });
  const client = await Endpoint.bind({ bind: "127.0.0.1:0" });
  // `closed` alone keeps no process alive.
  client.hold();
  const [dialed, accepted] = await Promise.all([
    client.connect(server.ticket(), alpn),
    server.accept(),
  ]);
  assert.ok(accepted);
  return {
    dialed,
    accepted,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([server.close({ timeoutMs: 0 }), client.close({ timeoutMs: 0 })]);
    },
  };
}

test("a connection that was just closed says so to whoever uses it, before the engine does", async () => {
  await using peers = await pair();
  const { dialed } = peers;
  const { send, receive } = await dialed.openBi();
  await send.write(Buffer.from("x"));
  const blocked = send.write(new Uint8Array(20 << 20));
  const closed = dialed.close({ code: 6n, reason: "enough", timeoutMs: 0 });
  const lost = {
    name: "EndpointError",
    code: "connection-lost",
    message: /closed by this side with code 0x6 \(enough\)/,
  };
  assert.equal(dialed.closeCause, undefined);
  await assert.rejects(dialed.openBi(), lost);
  await assert.rejects(dialed.openUni(), lost);
  await assert.rejects(dialed.sendDatagram(new Uint8Array(1)), lost);
  assert.throws(() => dialed.exportKeyingMaterial(32, "label", new Uint8Array()), lost);
  await assert.rejects(send.write(Buffer.from("y")), lost);
  await assert.rejects(blocked, lost);
  await assert.rejects(receive.read(), lost);
  await closed;
});

test("closing again can make the time shorter, and changes neither code nor reason", async () => {
  await using peers = await pair();
  const { dialed, accepted } = peers;
  const send = await dialed.openUni();
  const unread = send.write(new Uint8Array(20 << 20));
  const finished = send.finish();
  const closing = dialed.close({ code: 1n, reason: "first", timeoutMs: 3_600_000 });
  void dialed.close({ code: 2n });
  await dialed.close({ code: 3n, timeoutMs: 0 });
  await closing;
  await assert.rejects(unread, { code: "connection-lost" });
  await assert.rejects(finished, { code: "connection-lost" });
  const cause = await accepted.closed;
  assert.deepEqual(cause, { type: "application", origin: "peer", code: 1n, reason: "first" });
});

test("datagrams wait for a reader up to the bytes of datagramReceiveBuffer, and newer ones win", async () => {
  await using peers = await pair({ transport: { datagramReceiveBuffer: 3_500 } });
  const { dialed, accepted } = peers;
  for (let number = 0; number < 10; number += 1) {
    await dialed.sendDatagram(new Uint8Array(1_000).fill(number));
    // A round trip for each: of several, some might still wait to be sent when a stream is done.
    const done = await dialed.openUni();
    await done.write(Buffer.from("done"));
    await done.finish();
  }
  const kept: (number | undefined)[] = [];
  for (let index = 0; index < 3; index += 1) {
    kept.push((await accepted.readDatagram())?.[0]);
  }
  assert.deepEqual(kept, [7, 8, 9]);
});

test("a datagramReceiveBuffer of 0 refuses datagrams", async () => {
  await using peers = await pair({ transport: { datagramReceiveBuffer: 0 } });
  assert.equal(peers.dialed.maxDatagramSize, undefined);
  await assert.rejects(peers.dialed.sendDatagram(new Uint8Array(1)), {
    code: "too-large",
    message: /the peer takes none/,
  });
});
