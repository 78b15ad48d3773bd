import assert from "node:assert/strict";
import { test } from "node:test";
import packet from "dns-packet";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { addrTexts, bytesOf, mdnsVectors } from "../../test/vectors/vectors.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { formatTransportAddr, parseTransportAddr } from "../identity/transport-addr.ts";
import { DiscoveryError } from "./discovery-error.ts";
import { decodeDnsMessage } from "./dns-message.ts";
import type { EndpointInfo } from "./endpoint-info.ts";
import {
  encodeLocalPeer,
  isLocalQuery,
  localName,
  localQuery,
  readLocalPeers,
} from "./local-peer-message.ts";

const read = (bytes: Uint8Array): Map<string, EndpointInfo> =>
  readLocalPeers(decodeDnsMessage(bytes));
const texts = (info: EndpointInfo | undefined): string[] =>
  (info?.addrs ?? []).map(formatTransportAddr).sort();

test("a query is as iroh sends it", () => {
  assert.deepEqual(Buffer.from(localQuery).toString("hex"), mdnsVectors.query_hex);
  assert.ok(isLocalQuery(decodeDnsMessage(localQuery)));
});

for (const vector of mdnsVectors.response) {
  test("an answer is written and read as iroh does it", () => {
    const id = EndpointId.parse(vector.id);
    const info = {
      addrs: addrTexts(vector.decoded.addrs).map(parseTransportAddr),
      userData: vector.decoded.user_data ?? "",
    };
    const written = encodeLocalPeer(id, info);
    assert.ok(written);
    assert.equal(Buffer.from(written).toString("hex"), vector.response_hex);
    const peers = read(bytesOf(vector.response_hex));
    assert.deepEqual([...peers.keys()], [localName(id)]);
    const peer = peers.get(localName(id));
    assert.deepEqual(texts(peer), addrTexts(vector.decoded.addrs).sort());
    assert.equal(peer?.userData, vector.decoded.user_data);
    assert.ok(!isLocalQuery(decodeDnsMessage(written)));
  });
}

test("other responders are read: addresses among the answers, a flag in the class, any letter case", () => {
  const id = SecretKey.generate().publicKey;
  const instance = `${localName(id).toUpperCase()}._IROHV1._udp.local`;
  const bytes = packet.encode({
    type: "response",
    answers: [
      { type: "SRV", name: instance, data: { port: 7, target: "Host.local" }, flush: true },
      { type: "TXT", name: instance, data: ["user-data=a=b", "user-data=c", "relay=nonsense"] },
      { type: "A", name: "host.LOCAL", data: "10.0.0.1", flush: true },
    ],
  });
  const peer = read(bytes).get(localName(id));
  assert.deepEqual(texts(peer), ["ip:10.0.0.1:7"]);
  assert.equal(peer?.userData, "a=b");
});

test("dns-packet finds everything in an answer", () => {
  const id = SecretKey.generate().publicKey;
  const addrs = ["10.0.0.1:7", "[2001:db8::1]:7", "10.0.0.1:8"].map(parseTransportAddr);
  const decoded = packet.decode(Buffer.from(encodeLocalPeer(id, { addrs }) ?? []));
  assert.deepEqual(
    decoded.answers?.map(({ type }) => type),
    ["PTR", "SRV", "SRV", "TXT"],
  );
  assert.deepEqual(
    decoded.additionals?.map(({ type, name }) => `${type} ${name.slice(53)}`),
    ["A 7.local", "AAAA 7.local", "A 8.local"],
  );
});

test("an answer fits a datagram: addresses are left out, and without any there is none", () => {
  const id = SecretKey.generate().publicKey;
  const many = Array.from({ length: 60 }, (_, index) => `[2001:db8::${index + 1}]:${index + 1}`);
  const userData = "x".repeat(245);
  const bytes = encodeLocalPeer(id, { addrs: many.map(parseTransportAddr), userData });
  assert.ok(bytes && bytes.length <= 1_452);
  const peer = read(bytes).get(localName(id));
  assert.ok((peer?.addrs.length ?? 0) > 5);
  assert.equal(peer?.userData, userData);
  const relay = [parseTransportAddr("https://relay.example/")];
  assert.equal(encodeLocalPeer(id, { addrs: relay }), undefined);
});

test("what is read of one message is limited", () => {
  const hosts = Array.from({ length: 200 }, (_, index) => `198.51.100.${index}`);
  const peers = Array.from({ length: 100 }, () => localName(SecretKey.generate().publicKey));
  const bytes = packet.encode({
    type: "response",
    answers: peers.map((name) => ({
      type: "SRV",
      name: `${name}._irohv1._udp.local`,
      data: { port: 53, target: "victims.local" },
    })),
    additionals: hosts.map((data) => ({ type: "A", name: "victims.local", data })),
  });
  const found = read(bytes);
  assert.equal(found.size, 32);
  assert.ok([...found.values()].every(({ addrs }) => addrs.length === 30));
});

test("queries and messages about other things name no peer", () => {
  const id = SecretKey.generate().publicKey;
  const answers = [
    {
      type: "SRV" as const,
      name: `${localName(id)}._other._udp.local`,
      data: { port: 7, target: "a.local" },
    },
    {
      type: "SRV" as const,
      name: `x.${localName(id)}._irohv1._udp.local`,
      data: { port: 7, target: "a.local" },
    },
    {
      type: "SRV" as const,
      name: "short._irohv1._udp.local",
      data: { port: 7, target: "a.local" },
    },
    { type: "A" as const, name: "a.local", data: "10.0.0.1" },
  ];
  assert.equal(read(packet.encode({ type: "response", answers })).size, 0);
  const name = `${localName(id)}._irohv1._udp.local`;
  const good = [{ type: "SRV" as const, name, data: { port: 7, target: "a.local" } }, ...answers];
  assert.equal(read(packet.encode({ type: "query", answers: good })).size, 0);
  assert.equal(read(packet.encode({ type: "response", answers: good })).size, 1);
});

test("whatever comes from the network, it is read or passed over", () => {
  const [vector] = mdnsVectors.response;
  const good = bytesOf(vector?.response_hex ?? "");
  const bent = fc
    .array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 })
    .map((changes) => {
      const bytes = new Uint8Array(good);
      for (const [at, byte] of changes) {
        bytes[at] = byte;
      }
      return bytes;
    });
  fuzz(
    bent,
    (bytes) => {
      try {
        const message = decodeDnsMessage(bytes);
        isLocalQuery(message);
        readLocalPeers(message);
      } catch (error) {
        assert.ok(error instanceof DiscoveryError, String(error));
      }
    },
    20_000,
  );
});
