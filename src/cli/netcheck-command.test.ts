import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { RecordedIo } from "../../test/support/recorded-io.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { socketAddress } from "../base/socket-address.ts";
import { decodeStun, encodeStunSuccess } from "../net/stun.ts";
import { RelayServer } from "../relay/server/relay-server.ts";
import { runCommandLine } from "./command-line.ts";

stayAlive();

/** `host:port` of a server that tells everybody where it sees them. */
async function startStun(t: TestContext): Promise<string> {
  const socket = createSocket("udp4");
  socket.on("message", (bytes, { address, port }) => {
    const message = decodeStun(bytes);
    if (message.type === "request") {
      socket.send(encodeStunSuccess(message.id, socketAddress(address, port)), port, address);
    }
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

test("netcheck prints what a relay and a STUN server say, and what failed", async (t) => {
  const relay = await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } });
  t.after(() => relay.close());
  const gone = await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } });
  await gone.close();
  const stun = await startStun(t);
  const args = ["netcheck", "--relay", gone.url, "--relay", relay.url, "--stun", stun];

  const io = new RecordedIo();
  assert.equal(await runCommandLine(args, io), 0);
  const text = io.printed.join("\n");
  assert.match(text, /^UDP {13}gets through$/m);
  assert.match(text, /^NAT {13}not known: it takes two servers/m);
  assert.match(text, new RegExp(`^home relay {6}${relay.url}$`, "m"));
  assert.match(
    text,
    new RegExp(`^ {2}${relay.url} {2}[0-9.]+ ms\n {2}${gone.url} {2}failed: .*ECONN`, "m"),
  );
  assert.match(
    text,
    new RegExp(`^ {2}STUN ${stun} over IPv4 {2}127.0.0.1:\\d+ in [0-9.]+ ms$`, "m"),
  );
  assert.deepEqual(io.notes, []);

  const json = new RecordedIo();
  assert.equal(await runCommandLine([...args, "--json"], json), 0);
  assert.equal(json.printed.length, 1);
  const report = JSON.parse(json.printed[0] ?? "");
  assert.equal(report.udp, true);
  assert.equal(report.homeRelay, relay.url);
  assert.deepEqual(report.publicAddresses, report.ownAddresses);
});

test("netcheck asks nobody who was not given", async () => {
  const io = new RecordedIo();
  assert.equal(await runCommandLine(["netcheck"], io), 0);
  assert.match(io.printed[0] ?? "", /^UDP {13}not known: nobody was asked/);
});

test("Ctrl-C ends netcheck with exit code 130", async (t) => {
  const silent = createSocket("udp4");
  silent.bind(0, "127.0.0.1");
  await once(silent, "listening");
  t.after(() => silent.close());
  const io = new RecordedIo();
  const stun = `127.0.0.1:${silent.address().port}`;
  const ended = runCommandLine(["netcheck", "--stun", stun], io);
  await once(silent, "message");
  io.interrupt();
  assert.equal(await ended, 130);
  assert.deepEqual([io.printed, io.notes], [[], []]);
});
