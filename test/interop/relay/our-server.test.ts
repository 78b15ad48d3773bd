// Real iroh endpoints at our relay.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { SecretKey } from "../../../src/identity/secret-key.ts";
import { allowIds } from "../../../src/relay/server/relay-access.ts";
import { RelayServer, type RelayServerOptions } from "../../../src/relay/server/relay-server.ts";
import { noIroh } from "../iroh/iroh.ts";
import { IrohPeer, numbers } from "../iroh/iroh-peer.ts";
import { call, echo } from "./iroh-echo.ts";
import type { OverRelayReport } from "./iroh-over-relay.ts";

const options = { skip: noIroh, timeout: 120_000 };
const alpn = "connect-quic-interop/relay";

/** A network of its own, with a loopback on which UDP gets lost, for the command that follows. */
const withoutUdp = [
  ...["--map-root-user", "--net", "sh", "-c"],
  `ip link set lo up && printf 'table inet f {\\nchain i {\\ntype filter hook input priority 0\\nmeta l4proto udp drop\\n}\\n}\\n' | nft -f - && exec "$@"`,
  "sh",
];
const noNamespace = spawnSync("unshare", [...withoutUdp, "true"], { stdio: "ignore" }).status !== 0;

function start(more: Partial<RelayServerOptions> = {}): Promise<RelayServer> {
  return RelayServer.start({ listen: { host: "127.0.0.1", port: 0 }, ...more });
}

for (const host of ["127.0.0.1", "::1"]) {
  test(`F25: two iroh endpoints find each other over our relay on ${host}`, options, async () => {
    await using relay = await start({ listen: { host, port: 0 } });
    await using server = await IrohPeer.bind(alpn, "127.0.0.1:0", relay.url);
    await using client = await IrohPeer.bind(alpn, "127.0.0.1:0", relay.url);
    const dialed = await client.connectByRelay(server, relay.url, alpn);
    void echo(await server.accept());
    assert.deepEqual(await call(dialed, numbers("hello")), numbers("hello"));
    // At least the handshake: they know nothing of each other but the relay.
    const { bytesReceived, bytesSent, framesDropped } = relay.metrics;
    assert.ok(bytesReceived > 3_000, `${bytesReceived} bytes over the relay`);
    assert.equal(bytesSent, bytesReceived);
    assert.equal(framesDropped, 0);
    assert.equal(relay.clients, 2);
  });
}

test("F21, F23, F25: without UDP iroh endpoints move bulk data over our relay, small calls go on, and a restart breaks nothing", {
  skip: noIroh || (noNamespace && "no network namespace with nftables (needs util-linux, nft)"),
  timeout: 120_000,
}, async () => {
  const program = fileURLToPath(new URL("iroh-over-relay.ts", import.meta.url));
  const child = spawn("unshare", [...withoutUdp, process.execPath, "--import=tsx", program], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 100_000,
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  assert.equal(code, 0, output);
  const report = JSON.parse(output) as OverRelayReport;
  assert.equal(report.hello, "hello");
  assert.equal(report.afterRestart, "after");
  assert.equal(report.bulkBytes, 8_000_000);
  assert.ok(report.bulkIntact);
  assert.equal(report.directPaths, 0);
  assert.ok(report.relayedBytes > 16_000_000, output);
});

test("an iroh endpoint that is not on the list does not get in", options, async () => {
  await using relay = await start({ authorize: allowIds([SecretKey.generate().publicKey]) });
  await using _stranger = await IrohPeer.bind(alpn, "127.0.0.1:0", relay.url, { online: false });
  while (relay.metrics.handshakesFailed === 0) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.equal(relay.metrics.accepts, 0);
});
