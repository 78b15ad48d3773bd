import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  formatSocketAddress,
  parseSocketAddress,
  type SocketAddress,
} from "../base/socket-address.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { SecretKey } from "../identity/secret-key.ts";
import type { TransportAddr } from "../identity/transport-addr.ts";
import type { TestHost } from "../testing/test-host.ts";
import { createTestNetwork, type TestNetwork } from "../testing/test-network.ts";
import { isMapped } from "./mapped-addresses.ts";
import { PeerSocket } from "./peer-socket.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (datagram: Uint8Array): string => new TextDecoder().decode(datagram);
const ip = (address: string): TransportAddr => ({
  type: "ip",
  address: parseSocketAddress(address),
});
const relayed = (url: string): TransportAddr => ({ type: "relay", url: parseRelayUrl(url) });

/** The socket of a peer on a host, with what has come for QUIC. */
async function bind(host: TestHost, seed: number) {
  const secretKey = SecretKey.fromBytes(new Uint8Array(32).fill(seed));
  const arrived: string[] = [];
  const senders: SocketAddress[] = [];
  const { platform, network } = host.options;
  const socket = await PeerSocket.bind(
    [parseSocketAddress("0.0.0.0:4000")],
    {
      datagram: (from, datagram) => {
        senders.push(from);
        arrived.push(text(datagram));
      },
      failed: assert.fail,
    },
    {
      secretKey,
      platform,
      network,
      candidates: () => [],
      relayAccess: new Map(),
      handler: {
        pathEvent: () => {},
        relayChanged: () => {},
        intercept: (_, datagram) => text(datagram).startsWith("not QUIC"),
      },
    },
  );
  const [address = ""] = host.addresses;
  return { socket, arrived, senders, id: secretKey.publicKey, address: `${address}:4000` };
}

async function pair(network: TestNetwork = createTestNetwork()) {
  const relay = network.relay();
  const one = await bind(network.host(), 1);
  const other = await bind(network.host(), 2);
  one.socket.relays.setHome(relay.url);
  other.socket.relays.setHome(relay.url);
  await network.advance(1_000);
  return { network, relay, one, other };
}

describe("PeerSocket", () => {
  it("sends what is for a dialed peer to all that is known of it at once", async () => {
    const { network, relay, one, other } = await pair();
    const { remote, over } = one.socket.dial(other.id);
    assert.ok(isMapped(remote));
    one.socket.addAddresses(other.id, [
      relayed(relay.url),
      ip(other.address),
      ip("203.0.113.99:1"),
    ]);
    one.socket.send(remote, bytes("hello"), 5);
    await network.advance(1_000);
    assert.deepEqual(other.arrived, ["hello", "hello"]);
    assert.deepEqual(
      other.senders.map((from) => other.socket.transportAddrOf(from).type),
      ["ip", "relay"],
    );
    over();
    one.socket.send(remote, bytes("late"), 4);
    await network.advance(1_000);
    assert.equal(other.arrived.length, 2);
  });

  it("sends the first flight to addresses that are found while it dials, each once", async () => {
    const { network, relay, one, other } = await pair();
    const { remote, over } = one.socket.dial(other.id);
    one.socket.send(remote, bytes("hello"), 5);
    await network.advance(1_000);
    assert.deepEqual(other.arrived, []);
    one.socket.addAddresses(other.id, [relayed(relay.url)]);
    one.socket.addAddresses(other.id, [relayed(relay.url), ip(other.address)]);
    await network.advance(1_000);
    assert.deepEqual(other.arrived, ["hello", "hello"]);
    over();
    one.socket.addAddresses(other.id, [ip("203.0.113.99:1")]);
  });

  it("brings what a relay brings as from one address of that peer there, to which answers go back", async () => {
    const { network, relay, one, other } = await pair();
    const { remote } = one.socket.dial(other.id);
    one.socket.addAddresses(other.id, [relayed(relay.url)]);
    one.socket.send(remote, bytes("onetwo3"), 3);
    await network.advance(1_000);
    assert.deepEqual(other.arrived, ["one", "two", "3"]);
    assert.equal(new Set(other.senders).size, 1);
    const [from] = other.senders;
    assert.ok(from !== undefined && isMapped(from));
    other.socket.send(from, bytes("back"), 4);
    await network.advance(1_000);
    assert.deepEqual(one.arrived, ["back"]);
    assert.deepEqual(one.socket.transportAddrOf(one.senders[0] ?? from), relayed(relay.url));
  });

  it("puts no address that stands for something on the network, and takes none from there", async () => {
    const { network, one, other } = await pair();
    const sent: string[] = [];
    network.tap = ({ to, bytes: datagram }) => {
      sent.push(formatSocketAddress(to));
      return datagram;
    };
    const { remote, over } = one.socket.dial(other.id);
    over();
    one.socket.send(remote, bytes("nowhere"), 7);
    one.socket.send(parseSocketAddress("[fd15:70a:510b:1::7]:12345"), bytes("nowhere"), 7);
    one.socket.addAddresses(other.id, [ip("[fd15:70a:510b:1::7]:12345")]);
    assert.deepEqual(one.socket.paths(other.id).known, []);
    await network.advance(1_000);
    assert.deepEqual(sent, []);
  });

  it("lets others look at what comes over UDP first", async () => {
    const { network, one, other } = await pair();
    one.socket.sendDirect(parseSocketAddress(other.address), bytes("not QUIC at all"));
    one.socket.sendDirect(parseSocketAddress(other.address), bytes("QUIC"));
    await network.advance(1_000);
    assert.deepEqual(other.arrived, ["QUIC"]);
  });

  it("forgets peers that nobody is connected to when there are a thousand, the one used longest ago first, and none that is dialed", async () => {
    const { one } = await pair();
    const idOf = (number: number) => {
      const seed = new Uint8Array(32).fill(7);
      new DataView(seed.buffer).setUint32(0, number);
      return SecretKey.fromBytes(seed).publicKey;
    };
    one.socket.dial(idOf(0));
    for (let number = 1; number <= 1_001; number += 1) {
      one.socket.addAddresses(idOf(number), [ip("203.0.113.99:1")]);
      one.socket.addAddresses(idOf(1), [ip("203.0.113.99:1")]);
    }
    const isKnown = (number: number): boolean => one.socket.knownPaths(idOf(number)) !== undefined;
    assert.deepEqual([0, 1, 2, 3, 4].map(isKnown), [true, true, false, false, true]);
  });

  it("gives port and relay back when it is closed", async () => {
    const { network, relay, one, other } = await pair();
    assert.equal(relay.core.clients, 2);
    await one.socket.close();
    await network.advance(1_000);
    assert.equal(relay.core.clients, 1);
    one.socket.send(parseSocketAddress(other.address), bytes("late"), 4);
    await network.advance(1_000);
    assert.deepEqual(other.arrived, []);
  });
});
