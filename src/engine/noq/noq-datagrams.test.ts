import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EnginePair } from "../../../test/support/engine-pair.ts";

describe("noq datagrams", () => {
  it("go both ways, whole and unchanged", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    assert.equal(local.connection.sendDatagram(Buffer.from("up")), "sent");
    assert.equal(remote.connection.sendDatagram(Buffer.from("down")), "sent");
    assert.equal(remote.connection.sendDatagram(new Uint8Array()), "sent");
    pair.run(() => remote.datagrams.length === 1 && local.datagrams.length === 2);
    assert.deepEqual(remote.datagrams.map(String), [String(Uint8Array.from(Buffer.from("up")))]);
    assert.equal(Buffer.from(local.datagrams[0] ?? []).toString(), "down");
    assert.equal(local.datagrams[1]?.length, 0);
  });

  it("may be as large as maxDatagramSize says, and no larger", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const size = local.connection.maxDatagramSize;
    assert(size !== undefined && size > 1_100 && size < 1_200, `${size}`);
    assert.equal(local.connection.sendDatagram(new Uint8Array(size + 1)), "too-large");
    assert.equal(local.connection.sendDatagram(new Uint8Array(100_000)), "too-large");
    const bytes = new Uint8Array(size).map((_, index) => index);
    assert.equal(local.connection.sendDatagram(bytes), "sent");
    pair.run(() => remote.datagrams.length === 1);
    assert.deepEqual(remote.datagrams[0], bytes);
  });

  it("grow with the path's MTU", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    pair.runFor(5_000);
    assert((local.connection.maxDatagramSize ?? 0) > 1_400);
    assert.equal(local.connection.stats().mtu, 1_452);
  });

  it("cannot be sent before the handshake, nor to a peer that takes none", () => {
    const pair = new EnginePair({}, { transport: { datagramReceiveBuffer: 0 } });
    const local = pair.client.dial(pair.server);
    assert.equal(local.connection.maxDatagramSize, undefined);
    assert.equal(local.connection.sendDatagram(new Uint8Array(1)), "too-large");
    pair.run(() => local.info !== undefined);
    assert.equal(local.connection.maxDatagramSize, undefined);
    assert.equal(local.connection.sendDatagram(new Uint8Array(1)), "too-large");
  });

  it("block when too many wait to be sent, and say when there is room", () => {
    const transport = { datagramSendBuffer: 10_000 };
    const pair = new EnginePair({}, {}, { transport });
    const { local, remote } = pair.connect();
    const results = Array.from({ length: 30 }, () =>
      local.connection.sendDatagram(new Uint8Array(1_000)),
    );
    const sent = results.filter((result) => result === "sent").length;
    assert(sent > 5 && sent < 11, `${sent}`);
    assert.equal(results.at(-1), "blocked");
    assert.equal(local.datagramsWritableCalls, 0);
    pair.run(() => local.datagramsWritableCalls === 1 && remote.datagrams.length === sent);
    assert.equal(local.connection.sendDatagram(new Uint8Array(1_000)), "sent");
  });

  it("get lost when the network loses them", () => {
    const pair = new EnginePair({ seed: 3, link: { loss: 0.3 } });
    const { local, remote } = pair.connect();
    for (let index = 0; index < 100; index += 1) {
      local.connection.sendDatagram(Uint8Array.of(index));
      pair.runFor(100);
    }
    assert(
      remote.datagrams.length > 50 && remote.datagrams.length < 90,
      `${remote.datagrams.length}`,
    );
  });
});
