// Two peers wherever they are: each pair of places once, with calls going on all the time.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostOptions, TestNetwork } from "../../src/testing.ts";
import { PathLab } from "../support/path-lab.ts";

interface Cell {
  readonly name: string;
  readonly places: (network: TestNetwork) => { client?: HostOptions; server?: HostOptions };
  readonly path: "direct" | "relay";
}

const cells: readonly Cell[] = [
  { name: "open and open", places: () => ({}), path: "direct" },
  {
    name: "open server, client behind a NAT",
    places: (network) => ({ client: { behind: network.nat() } }),
    path: "direct",
  },
  {
    name: "server behind a NAT, open client",
    places: (network) => ({ server: { behind: network.nat() } }),
    path: "direct",
  },
  {
    name: "NAT and NAT, mappings independent of the destination",
    places: (network) => ({
      client: { behind: network.nat() },
      server: { behind: network.nat() },
    }),
    path: "direct",
  },
  {
    name: "full cone and symmetric",
    places: (network) => ({
      client: { behind: network.nat({ kind: "full-cone" }) },
      server: { behind: network.nat({ kind: "symmetric" }) },
    }),
    path: "direct",
  },
  {
    name: "symmetric and full cone",
    places: (network) => ({
      client: { behind: network.nat({ kind: "symmetric" }) },
      server: { behind: network.nat({ kind: "full-cone" }) },
    }),
    path: "direct",
  },
  {
    name: "NAT that filters by address, and symmetric",
    places: (network) => ({
      client: { behind: network.nat({ filtering: "address-dependent" }) },
      server: { behind: network.nat({ kind: "symmetric" }) },
    }),
    path: "direct",
  },
  {
    name: "NAT that filters by port, and symmetric",
    places: (network) => ({
      client: { behind: network.nat() },
      server: { behind: network.nat({ kind: "symmetric" }) },
    }),
    path: "relay",
  },
  {
    name: "symmetric and symmetric",
    places: (network) => ({
      client: { behind: network.nat({ kind: "symmetric" }) },
      server: { behind: network.nat({ kind: "symmetric" }) },
    }),
    path: "relay",
  },
  {
    name: "one LAN behind one NAT without hairpinning",
    places: (network) => {
      const behind = network.nat();
      return { client: { behind }, server: { behind } };
    },
    path: "direct",
  },
  {
    name: "two LANs behind one carrier's NAT with hairpinning",
    places: (network) => {
      const carrier = network.nat({ kind: "carrier" });
      return {
        client: { behind: network.nat({ behind: carrier }) },
        server: { behind: network.nat({ behind: carrier }) },
      };
    },
    path: "direct",
  },
  {
    name: "two LANs behind one carrier's NAT without hairpinning",
    places: (network) => {
      const carrier = network.nat({ kind: "carrier", hairpinning: false });
      return {
        client: { behind: network.nat({ behind: carrier }) },
        server: { behind: network.nat({ behind: carrier }) },
      };
    },
    path: "relay",
  },
  {
    name: "double NAT and NAT",
    places: (network) => ({
      client: { behind: network.nat({ behind: network.nat({ kind: "carrier" }) }) },
      server: { behind: network.nat() },
    }),
    path: "direct",
  },
  {
    name: "UDP blocked for the client",
    places: (network) => ({ client: { behind: network.nat({ udp: "blocked" }) } }),
    path: "relay",
  },
  {
    name: "UDP blocked for the server",
    places: (network) => ({ server: { behind: network.nat({ udp: "blocked" }) } }),
    path: "relay",
  },
  {
    name: "UDP blocked for both",
    places: (network) => ({
      client: { behind: network.nat({ udp: "blocked" }) },
      server: { udp: "blocked" },
    }),
    path: "relay",
  },
  {
    name: "IPv6 alone to both families",
    places: (network) => ({
      client: { ipv4: false, ipv6: true },
      server: { behind: network.nat({ ipv6: true }), ipv6: true },
    }),
    path: "direct",
  },
  {
    name: "IPv6 alone to IPv4 alone",
    places: () => ({ client: { ipv4: false, ipv6: true } }),
    path: "relay",
  },
  {
    name: "firewalls that let nothing in, at both",
    places: () => ({
      client: { filtering: "address-and-port-dependent" },
      server: { filtering: "address-and-port-dependent" },
    }),
    path: "direct",
  },
];

for (const { name, places, path } of cells) {
  test(`${name}: first over the relay within 2 round trips, then ${path}, and no call is lost`, async () => {
    await PathLab.run({ places }, async (lab) => {
      const traffic = lab.startTraffic();
      await lab.network.advance(4_000);
      const journal = await traffic.stop();
      assert.deepEqual(journal.failures, []);
      assert.equal(journal.finalPath, path);
      assert.ok(
        journal.firstResponseMs <= 2 * lab.relayRoundTripMs,
        `${journal.firstResponseMs} ms`,
      );
      if (path === "direct") {
        assert.ok((journal.directMs ?? Number.NaN) <= 1_000, `direct after ${journal.directMs} ms`);
      }
    });
  });
}

test("behind two NATs punching begins with the handshake's first answer, which carries the server's addresses", async () => {
  const places = (network: TestNetwork) => ({
    client: { behind: network.nat() },
    server: { behind: network.nat() },
  });
  await PathLab.run({ places }, async (lab) => {
    const { network, relayRoundTripMs, clientHost } = lab;
    const dialedAt = network.now;
    let punchedAt: number | undefined;
    network.tap = ({ host, to, bytes }) => {
      // The dial itself goes to the ticket's addresses as well, with packets that are filled up.
      if (host === clientHost && to.port !== 3478 && bytes.length < 100) {
        punchedAt ??= network.now;
      }
      return bytes;
    };
    const traffic = lab.startTraffic();
    await traffic.until("direct");
    assert.equal(punchedAt, dialedAt + relayRoundTripMs);
    // Once more over the relay for what the server needs to open paths, then directly: until probes meet in the NATs, to
    // validate the path, and for the server's first packet on it.
    const directRoundTripMs = lab.client.remoteInfo(lab.server.id)?.latencyMs ?? Number.NaN;
    const limitMs = 2 * relayRoundTripMs + 3 * directRoundTripMs;
    assert.ok(network.now - dialedAt <= limitMs, `${network.now - dialedAt} > ${limitMs} ms`);
    await traffic.stop();
  });
});
