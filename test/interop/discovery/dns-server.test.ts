// Our publisher and resolvers against the server that iroh's public discovery runs on.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DiscoverySource } from "../../../src/discovery/discovery.ts";
import { dnsDiscovery } from "../../../src/discovery/dns-discovery.ts";
import { signEndpointRecord } from "../../../src/discovery/endpoint-record.ts";
import { PeerDiscovery } from "../../../src/discovery/peer-discovery.ts";
import { pkarrPublisher } from "../../../src/discovery/pkarr-publisher.ts";
import { PkarrRelay } from "../../../src/discovery/pkarr-relay.ts";
import { pkarrResolver } from "../../../src/discovery/pkarr-resolver.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { SecretKey } from "../../../src/identity/secret-key.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { bytesOf, pkarrHttpVectors } from "../../vectors/vectors.ts";
import { IrohDnsServer, noDnsServer } from "./iroh-dns-server.ts";
import { addrTexts, find, liveContext } from "./live-context.ts";

stayAlive();

const options = { skip: noDnsServer, timeout: 60_000 };
const origin = "irohdns.example.";
const never = new AbortController().signal;

const overHttp = (server: IrohDnsServer): DiscoverySource =>
  pkarrResolver({ relay: server.pkarrRelay });
const overDns = (server: IrohDnsServer): DiscoverySource =>
  dnsDiscovery({ origin, servers: [server.dns] });

test(
  "what we publish is found over HTTP and over DNS, and follows when it changes (F21)",
  options,
  async () => {
    await using server = await IrohDnsServer.start();
    const context = liveContext();
    const { publicKey: id } = context.secretKey;
    await using publisher = new PeerDiscovery(
      [pkarrPublisher({ relay: server.pkarrRelay })],
      context,
    );
    for (const relay of ["https://a.example/", "https://b.example/"]) {
      publisher.publish({
        addr: EndpointAddr.from({ id, addrs: [relay, "10.0.0.1:1"] }),
        userData: "grüße ✓",
      });
      for (const source of [overHttp, overDns]) {
        await using resolver = new PeerDiscovery([source(server)], liveContext());
        const found = await find(resolver, id, ({ addr }) => addr.relayUrls[0] === relay);
        assert.deepEqual(addrTexts(found), [`relay:${relay}`]);
        assert.equal(found.userData, "grüße ✓");
      }
    }
    assert.deepEqual(context.reported, []);
  },
);

test("a record that fits no datagram without EDNS is found over DNS whole", options, async () => {
  await using server = await IrohDnsServer.start();
  const context = liveContext();
  const { publicKey: id } = context.secretKey;
  const addrs = Array.from({ length: 20 }, (_, index) => `203.0.113.${index + 100}:20000`);
  const publisher = new PeerDiscovery(
    [pkarrPublisher({ relay: server.pkarrRelay, addrs: "all" })],
    context,
  );
  publisher.publish({ addr: EndpointAddr.from({ id, addrs }) });
  await using resolver = new PeerDiscovery([overDns(server)], liveContext());
  assert.equal((await find(resolver, id)).addr.addrs.length, 20);
  await publisher.close();
});

test(
  "a peer that nobody has published is not found, and a server that is gone is an error",
  options,
  async () => {
    const server = await IrohDnsServer.start();
    await using discovery = new PeerDiscovery([overHttp(server), overDns(server)], liveContext());
    const id = SecretKey.generate().publicKey;
    const outcomes = async (): Promise<unknown[]> => {
      for await (const _ of discovery.resolve(id, { signal: never })) {
        assert.fail("found");
      }
      return discovery
        .outcomes(id)
        .map(({ outcome }) => (typeof outcome === "string" ? outcome : outcome.error.code));
    };
    assert.deepEqual(await outcomes(), ["nothing", "nothing"]);
    await server[Symbol.asyncDispose]();
    assert.deepEqual(await outcomes(), ["unavailable", "unavailable"]);
  },
);

test(
  "a record of our key that is dated in the future, which the server would keep, is replaced",
  options,
  async () => {
    await using server = await IrohDnsServer.start();
    const context = liveContext();
    const { publicKey: id } = context.secretKey;
    const old = EndpointAddr.from({ id, addrs: ["https://old.example/"] });
    const ahead = BigInt(Date.now() + 3_600_000) * 1_000n;
    const packet = signEndpointRecord(context.secretKey, old, { timestampUs: ahead, ttl: 30 });
    await new PkarrRelay(server.pkarrRelay, context).put(packet, never);
    await using publisher = new PeerDiscovery(
      [pkarrPublisher({ relay: server.pkarrRelay })],
      context,
    );
    publisher.publish({ addr: EndpointAddr.from({ id, addrs: ["https://new.example/"] }) });
    for (const source of [overHttp, overDns]) {
      await using resolver = new PeerDiscovery([source(server)], liveContext());
      const isNew = await find(
        resolver,
        id,
        ({ addr }) => addr.relayUrls[0] === "https://new.example/",
      );
      assert.ok(isNew);
    }
  },
);

test("the server answers our requests as it was recorded", options, async () => {
  await using server = await IrohDnsServer.start();
  for (const { name, method, path, body_hex, body, response } of pkarrHttpVectors.steps) {
    const bytes = body_hex ?? body;
    const answer = await fetch(new URL(path, server.pkarrRelay), {
      method,
      ...(bytes === undefined ? {} : { body: bytesOf(bytes) }),
    });
    assert.equal(answer.status, response.status, name);
    const received = Buffer.from(await answer.arrayBuffer());
    if (response.body_hex !== undefined) {
      assert.equal(received.toString("hex"), response.body_hex, name);
    }
  }
});
