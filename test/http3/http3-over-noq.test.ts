import assert from "node:assert/strict";
import { test } from "node:test";
import { Http3Connection } from "../../src/http3/http3-connection.ts";
import { EnginePair } from "../support/engine-pair.ts";
import { post, Recorder } from "../support/http3-peer.ts";
import { type EngineLink, type EngineLinkOptions, http3Suite } from "../support/http3-suite.ts";
import { ignore } from "../support/recorded-connection.ts";

async function connect(options: EngineLinkOptions = {}): Promise<EngineLink> {
  const pair = new EnginePair(
    {},
    { behaviour: ignore, ...(options.server === undefined ? {} : { transport: options.server }) },
    { behaviour: ignore, ...(options.client === undefined ? {} : { transport: options.client }) },
  );
  const { local, remote } = pair.connect();
  const { platform } = pair.network;
  const advance = async (byMs: number): Promise<void> => {
    const until = platform.now() + byMs;
    await platform.runAsync(() => false, byMs);
    platform.runFor(until - platform.now());
  };
  return {
    client: local.connection,
    server: remote.connection,
    platform,
    advance,
    settle: () => advance(1_000),
  };
}

http3Suite("noq", connect);

test("what large frames have comes in pieces with nothing else in them", async () => {
  const { client, server, settle, platform } = await connect();
  const heard = new Recorder();
  new Http3Connection(server, { role: "server", platform, onRequest: () => heard });
  const request = new Http3Connection(client, { role: "client", platform }).request(
    post,
    new Recorder(),
  );
  const large = [1, 2, 3].map((byte) => new Uint8Array(200_000).fill(byte));
  for (const bytes of large) {
    request.sendData(bytes);
  }
  request.sendData(Uint8Array.of(4, 5));
  request.sendTrailers([]);
  await settle();
  assert.deepEqual(Buffer.concat(heard.content), Buffer.concat([...large, Uint8Array.of(4, 5)]));
  assert.deepEqual(heard.log.slice(-2), ["trailers ", "end"]);
  // The first is read with the header section before it; small pieces share memory, whatever they are of.
  const [, ...pieces] = heard.content.filter(({ length }) => length >= 4_096);
  assert.ok(pieces.length > 3);
  assert.ok(pieces.every((piece) => piece.length === piece.buffer.byteLength));
});
