import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EnginePair, TestPeer } from "../../../test/support/engine-pair.ts";
import type { SocketAddress } from "../../base/socket-address.ts";
import type { EngineConnection, Multipath } from "../engine.ts";

// The figures of crates/quic-core/src/strangers.rs: for each connection, and for each host outside of its paths.
const burst = 32_768;
const perSecond = 8_192;
/** IPv4 and UDP. */
const headers = 28;

/** Somebody who has nothing to do with it. */
const victim: SocketAddress = { family: 4, host: "10.9.9.9", port: 1 };
const victimPorts = Array.from({ length: 32 }, (_, index) => ({ ...victim, port: 1 + index }));
const neighbours = Array.from({ length: 32 }, (_, index) => ({
  ...victim,
  host: `10.9.9.${1 + index}`,
}));

/** A connected pair, and what each side sends to others. */
function watched() {
  const pair = new EnginePair({ link: { delayMs: 20 } });
  const sent = new Map<string, number>();
  pair.network.tap = ({ from, to, bytes }) => {
    if (to.host.startsWith("10.9.9.")) {
      sent.set(from.host, (sent.get(from.host) ?? 0) + bytes.length + headers);
    }
    return bytes;
  };
  const { local, remote } = pair.connect();
  pair.runFor(100);
  const bytesOf = (address: SocketAddress): number => sent.get(address.host) ?? 0;
  return { pair, local, client: local.connection, server: remote.connection, bytesOf };
}

function multipathOf({ multipath }: EngineConnection): Multipath {
  assert.ok(multipath);
  return multipath;
}

function assertWithin(bytes: number, seconds: number): void {
  const limit = burst + seconds * perSecond;
  assert.ok(bytes > burst / 2, `${bytes} bytes: the attack does not work`);
  assert.ok(bytes <= limit, `${bytes} bytes in ${seconds} s, at most ${limit} allowed`);
}

describe("a peer that names addresses of others", () => {
  for (const [what, addresses] of [
    ["32 ports of one host", victimPorts],
    ["32 hosts", neighbours],
  ] as const) {
    it(`as a client, ${what} in round after round of punching, gets 32 KiB and 8 KiB/s sent there`, () => {
      const { pair, client, server, bytesOf } = watched();
      multipathOf(server).addCandidate(pair.server.address);
      pair.runFor(100);
      for (const address of addresses) {
        multipathOf(client).addCandidate(address);
      }
      for (let round = 0; round < 1_000; round += 1) {
        multipathOf(client).punch();
        pair.runFor(10);
      }
      assertWithin(bytesOf(pair.server.address), 10.2);
    });
  }

  it("as a server, others all the time, gets 32 KiB and 8 KiB/s sent there", () => {
    const { pair, local, client, server, bytesOf } = watched();
    multipathOf(client).addCandidate(pair.client.address);
    let seen = 0;
    for (let round = 0; round < 500; round += 1) {
      for (let index = 0; index < 32; index += 1) {
        const at = (port: number): SocketAddress => ({ ...victim, port });
        multipathOf(server).removeCandidate(at(1 + ((round - 1) % 2_000) * 32 + index));
        multipathOf(server).addCandidate(at(1 + (round % 2_000) * 32 + index));
      }
      pair.runFor(20);
      // As an endpoint does that hears of new addresses.
      if (local.candidatesChanges !== seen) {
        seen = local.candidatesChanges;
        multipathOf(client).punch();
      }
    }
    assert.ok(seen > 100);
    assertWithin(bytesOf(pair.client.address), 10.2);
  });

  it("with many connections, gets no more sent to one host than with one", () => {
    const { pair, bytesOf } = watched();
    const connections = Array.from({ length: 20 }, (_, index) =>
      new TestPeer(pair.network, { number: 3 + index, alpns: [] }).dial(pair.server),
    );
    pair.runFor(500);
    for (let round = 0; round < 500; round += 1) {
      for (const { connection } of connections) {
        for (const address of round === 0 ? victimPorts : []) {
          multipathOf(connection).addCandidate(address);
        }
        multipathOf(connection).punch();
      }
      pair.runFor(10);
    }
    assertWithin(bytesOf(pair.server.address), 5.5);
  });

  it("by forging where its probes come from, gets 32 KiB and 8 KiB/s of answers sent there", () => {
    const { pair, client, server, bytesOf } = watched();
    multipathOf(server).addCandidate({ ...victim, port: 99 });
    multipathOf(client).addCandidate(pair.client.address);
    const { tap } = pair.network;
    pair.network.tap = (datagram) => {
      if (datagram.to.host === victim.host && datagram.from.host === pair.client.address.host) {
        pair.server.endpoint.receive(victim, datagram.bytes);
        return undefined;
      }
      return tap?.(datagram);
    };
    pair.runFor(100);
    for (let round = 0; round < 1_000; round += 1) {
      multipathOf(client).punch();
      pair.runFor(10);
    }
    assertWithin(bytesOf(pair.server.address), 10.2);
    assert.equal(client.paths().length, 1);
  });
});
