// A DHT of local nodes: the package bittorrent-dht answers for others, and iroh-dns-server reads with pkarr's own library.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { DiscoverySource } from "../../../src/discovery/discovery.ts";
import { dnsDiscovery } from "../../../src/discovery/dns-discovery.ts";
import { mainlineDht } from "../../../src/discovery/mainline-dht.ts";
import { PeerDiscovery } from "../../../src/discovery/peer-discovery.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { SecretKey } from "../../../src/identity/secret-key.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { IrohDnsServer, noDnsServer } from "./iroh-dns-server.ts";
import { addrTexts, find, liveContext } from "./live-context.ts";
import { LocalDht, rogueNode } from "./local-dht.ts";

stayAlive();

const options = { timeout: 60_000 };
const never = new AbortController().signal;

const overDht = ({ bootstrap }: LocalDht): DiscoverySource =>
  mainlineDht({ bootstrap, publish: false });

async function outcome(discovery: PeerDiscovery, id: SecretKey["publicKey"]): Promise<string> {
  for await (const found of discovery.resolve(id, { signal: never })) {
    assert.fail(`found ${addrTexts(found)}`);
  }
  const [report] = discovery.outcomes(id);
  return typeof report?.outcome === "object" ? report.outcome.error.code : `${report?.outcome}`;
}

test(
  "what is published in the DHT is found there, and follows when it changes",
  options,
  async () => {
    await using dht = await LocalDht.start();
    const context = liveContext();
    const { publicKey: id } = context.secretKey;
    await using publisher = new PeerDiscovery([mainlineDht({ bootstrap: dht.bootstrap })], context);
    await using resolver = new PeerDiscovery([overDht(dht)], liveContext());
    for (const relay of ["https://a.example/", "https://b.example/"]) {
      publisher.publish({
        addr: EndpointAddr.from({ id, addrs: [relay, "10.0.0.1:1"] }),
        userData: "grüße ✓",
      });
      const found = await find(resolver, id, ({ addr }) => addr.relayUrls[0] === relay);
      assert.deepEqual(addrTexts(found), [`relay:${relay}`]);
      assert.equal(found.userData, "grüße ✓");
      assert.equal(found.ttlMs, 300_000);
    }
    assert.deepEqual(context.reported, []);
  },
);

test("iroh-dns-server finds in the DHT what we have published there", {
  ...options,
  skip: noDnsServer,
}, async () => {
  await using dht = await LocalDht.start();
  await using server = await IrohDnsServer.start({ dhtBootstrap: dht.bootstrap });
  const context = liveContext();
  const { publicKey: id } = context.secretKey;
  await using publisher = new PeerDiscovery(
    [mainlineDht({ bootstrap: dht.bootstrap, addrs: "all" })],
    context,
  );
  publisher.publish({
    addr: EndpointAddr.from({ id, addrs: ["https://a.example/", "10.0.0.1:1"] }),
  });
  const overDns = dnsDiscovery({ origin: "irohdns.example.", servers: [server.dns] });
  // The server remembers what it did not find: it is to be asked when it is there.
  await using directly = new PeerDiscovery([overDht(dht)], liveContext());
  await find(directly, id);
  await using resolver = new PeerDiscovery([overDns], liveContext());
  const found = await find(resolver, id);
  assert.deepEqual(addrTexts(found), ["relay:https://a.example/", "ip:10.0.0.1:1"]);
});

test(
  "who is not in the DHT is not found, and a DHT that is gone is an error or nothing",
  options,
  async () => {
    const dht = await LocalDht.start(4);
    const id = SecretKey.generate().publicKey;
    const resolver = new PeerDiscovery([overDht(dht)], liveContext());
    assert.equal(await outcome(resolver, id), "nothing");
    await dht[Symbol.asyncDispose]();
    assert.match(await outcome(resolver, id), /nothing|unavailable|timeout/);
    await resolver.close();
    const nowhere = new PeerDiscovery(
      [mainlineDht({ bootstrap: ["nowhere.invalid:1"] })],
      liveContext(),
    );
    assert.equal(await outcome(nowhere, id), "unavailable");
    await nowhere.close();
  },
);

test("what nodes answer that follow no rule harms nobody", options, async () => {
  await using dht = await LocalDht.start(4);
  const context = liveContext();
  const { publicKey: id } = context.secretKey;
  const key = Buffer.from(id.bytes).toString("latin1");
  const nodeId = "n".repeat(20);
  const signature = "s".repeat(64);
  const answers: readonly ((tid: string) => string)[] = [
    () => "",
    () => "d",
    () => "i5e",
    (tid) => `d1:t2:${tid}1:y1:re`,
    (tid) => `d1:rd2:idi5ee1:t2:${tid}1:y1:re`,
    (tid) => `d1:rd2:id20:${nodeId}5:nodesi5ee1:t2:${tid}1:y1:re`,
    (tid) =>
      `d1:rd2:id20:${nodeId}1:k32:${key}4:salti5e3:seqi1e3:sig64:${signature}1:v1:xe1:t2:${tid}1:y1:re`,
    (tid) => `d1:rd2:id20:${nodeId}1:ki5e3:seq1:x3:sigi5e1:vi5ee1:t2:${tid}1:y1:re`,
    (tid) =>
      `d1:rd2:id20:${nodeId}1:k32:${key}3:seqi9007199254740993e3:sig64:${signature}1:v1:xe1:t2:${tid}1:y1:re`,
    (tid) => `d1:eli5ei6ee1:t2:${tid}1:y1:ee`,
    // Questions, in which numbers stand where bytes belong.
    (tid) => `d1:ad2:id20:${nodeId}5:tokeni5e1:vi5e1:ki5ee1:q3:put1:t2:${tid}1:y1:qe`,
    (tid) => `d1:ad2:id20:${nodeId}6:targeti5ee1:q3:get1:t2:${tid}1:y1:qe`,
    (tid) => `d1:ad2:id20:${nodeId}9:info_hashi5ee1:q9:get_peers1:t2:${tid}1:y1:qe`,
  ];
  let next = 0;
  await using rogue = await rogueNode((query) => {
    const [, tid = "xx"] = /1:t2:(..)1:y1:q/s.exec(query.toString("latin1")) ?? [];
    const answer = answers[next % answers.length] ?? (() => "");
    next += 1;
    return Buffer.from(answer(tid), "latin1");
  });
  const bootstrap = [rogue.address, ...dht.bootstrap];
  await using publisher = new PeerDiscovery([mainlineDht({ bootstrap })], context);
  publisher.publish({ addr: EndpointAddr.from({ id, addrs: ["https://a.example/"] }) });
  for (let round = 0; round < answers.length; round += 1) {
    await using resolver = new PeerDiscovery(
      [mainlineDht({ bootstrap, publish: false })],
      liveContext(),
    );
    assert.deepEqual(addrTexts(await find(resolver, id)), ["relay:https://a.example/"]);
  }
  assert.ok(rogue.asked() >= answers.length, `${rogue.asked()} questions`);
});
