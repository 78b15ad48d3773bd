import assert from "node:assert/strict";
import { networkInterfaces } from "node:os";
import { test } from "node:test";
import { deferred } from "../../../src/base/deferred.ts";
import { nodePlatform } from "../../../src/base/node-platform.ts";
import {
  parseSocketAddress,
  type SocketAddress,
  socketAddress,
} from "../../../src/base/socket-address.ts";
import { nodeNetwork } from "../../../src/net/node-network.ts";
import { OwnAddresses } from "../../../src/net/own-addresses.ts";
import { StunProber } from "../../../src/net/stun-prober.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { Coturn, coturnMissing } from "./coturn.ts";

const skip = coturnMissing() ?? false;
const hasIpv6 = Object.values(networkInterfaces()).some((entries) =>
  entries?.some(({ address }) => address === "::1"),
);
/** coturn takes a while to start on a busy machine, and answers nothing before. */
const startTimeoutMs = 30_000;

stayAlive();

/** A prober on a UDP socket of its own, which counts what is no STUN. */
async function openProber(host: string) {
  const others: Uint8Array[] = [];
  const socket = await nodeNetwork.bindSocket([parseSocketAddress(host)], {
    datagram: (from, bytes) => {
      if (!prober.handle(from, bytes)) {
        others.push(Uint8Array.from(bytes));
      }
    },
    failed: (error) => {
      throw error;
    },
  });
  const prober = new StunProber({
    platform: nodePlatform,
    send: (to, bytes) => socket.send(to, bytes, bytes.length),
  });
  const [local] = socket.localAddresses;
  assert.ok(local !== undefined);
  return {
    prober,
    local,
    others,
    [Symbol.asyncDispose]: async () => {
      prober.close();
      await socket.close();
    },
  };
}

/** A port that was free a moment ago. */
async function freePort(hosts: readonly string[]): Promise<number> {
  const [host = ""] = hosts;
  const socket = await nodeNetwork.bindSocket([socketAddress(host, 0)], {
    datagram: () => {},
    failed: () => {},
  });
  const port = socket.localAddresses[0]?.port ?? 0;
  await socket.close();
  return port;
}

async function startCoturn(
  ...hosts: string[]
): Promise<{ coturn: Coturn; servers: SocketAddress[] }> {
  const port = await freePort(hosts);
  return {
    coturn: new Coturn(hosts, port),
    servers: hosts.map((host) => socketAddress(host, port)),
  };
}

for (const { family, host, skipped } of [
  { family: "IPv4", host: "127.0.0.1", skipped: skip },
  {
    family: "IPv6",
    host: "::1",
    skipped: skip || (hasIpv6 ? false : "this machine has no IPv6"),
  },
]) {
  test(`F25: coturn tells a socket its ${family} address`, { skip: skipped }, async () => {
    const { coturn, servers } = await startCoturn(host);
    await using _coturn = coturn;
    await using asking = await openProber(host === "::1" ? "[::1]:0" : "127.0.0.1:0");
    const [server] = servers;
    assert.ok(server !== undefined);
    const first = await asking.prober.probe(server, { timeoutMs: startTimeoutMs });
    assert.deepEqual(first.address, asking.local, coturn.output);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => asking.prober.probe(server)),
    );
    for (const { address, observer } of answers) {
      assert.deepEqual(address, asking.local);
      assert.deepEqual(observer, server);
    }
    assert.equal(asking.others.length, 0);
  });
}

test("OwnAddresses finds no NAT between itself and coturn at two addresses", { skip }, async () => {
  const { coturn, servers } = await startCoturn("127.0.0.1", "127.0.0.2");
  await using _coturn = coturn;
  await using asking = await openProber("0.0.0.0:0");
  for (const server of servers) {
    await asking.prober.probe(server, { timeoutMs: startTimeoutMs });
  }
  const judged = deferred<void>();
  const own = new OwnAddresses({
    platform: nodePlatform,
    bound: () => [asking.local],
    interfaces: nodeNetwork.interfaces,
    observe: async ({ signal, observed }) => {
      const answers = await Promise.all(
        servers.map((server) => asking.prober.probe(server, { signal })),
      );
      answers.forEach(observed);
      nodePlatform.soon(judged.resolve);
    },
    changed: () => {},
  });
  own.start();
  await judged.promise;
  assert.equal(own.natMapping(4), "none");
  const observed = own.current.filter(({ type }) => type === "observed");
  assert.ok(observed.some(({ address }) => address.port === asking.local.port));
  own.stop();
});
