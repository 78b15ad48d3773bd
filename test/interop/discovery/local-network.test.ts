// Processes that find each other by multicast on the interfaces of this machine. Against iroh's local discovery:
// test/interop/iroh-rust.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { localNetwork } from "../../../src/discovery/local-network.ts";
import { PeerDiscovery } from "../../../src/discovery/peer-discovery.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { EndpointId } from "../../../src/identity/endpoint-id.ts";
import { startProgram } from "../../support/process.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { addrTexts, find, liveContext } from "./live-context.ts";
import { noMulticast } from "./no-multicast.ts";

stayAlive();

const options = { skip: noMulticast, timeout: 60_000 };
const program = new URL("local-peer.ts", import.meta.url);

interface Greeting {
  readonly id: string;
  readonly port: number;
  readonly found?: { readonly addrs: readonly string[]; readonly userData: string };
}

test("two processes find each other by id alone", options, async () => {
  const context = liveContext();
  const { publicKey: id } = context.secretKey;
  await using ours = new PeerDiscovery([localNetwork()], context);
  ours.publish({
    addr: EndpointAddr.from({ id, addrs: ["192.0.2.9:9", "https://relay.example/"] }),
  });
  await using other = await startProgram(program, { args: [id.toString()] });
  const greeting = other.greeting as Greeting;
  assert.deepEqual(greeting.found?.addrs, ["relay:https://relay.example/", "ip:192.0.2.9:9"]);
  const found = await find(ours, EndpointId.parse(greeting.id));
  assert.deepEqual(addrTexts(found), [
    `ip:192.0.2.1:${greeting.port}`,
    `ip:[2001:db8::1]:${greeting.port}`,
  ]);
  assert.equal(found.userData, `process ${other.pid}`);
  assert.deepEqual(context.reported, []);
});

test(
  "a peer that only looks is answered, and a process that ends leaves the port to others",
  options,
  async () => {
    await using ours = new PeerDiscovery([localNetwork()], liveContext());
    for (let round = 0; round < 2; round += 1) {
      await using other = await startProgram(program);
      const { id, port } = other.greeting as Greeting;
      const found = await find(ours, EndpointId.parse(id));
      assert.ok(addrTexts(found).includes(`ip:192.0.2.1:${port}`));
    }
  },
);

test("nothing that is left open keeps a process alive (F5)", options, async () => {
  const leftOpen = fileURLToPath(new URL("left-open.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", leftOpen], {
    timeout: 30_000,
  });
  assert.equal(stdout, "enough\n");
});
