import assert from "node:assert/strict";
import { test } from "node:test";
import { digest, digestAlpn } from "../../examples/custom-protocol/digest-protocol.ts";
import { Endpoint } from "../../src/index.ts";

test("F16: a source that fails resets its stream, so that the other side waits for no more", async () => {
  await using server = await Endpoint.bind({ bind: "127.0.0.1:0", alpns: [digestAlpn] });
  await using client = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const [connection, accepted] = await Promise.all([
    client.connect(server.ticket(), digestAlpn),
    server.accept(),
  ]);
  assert.ok(accepted);
  const source = (async function* () {
    yield new Uint8Array(100);
    throw new Error("disk failed");
  })();
  const failed = assert.rejects(digest(connection, source), /disk failed/);
  const stream = await accepted.acceptBi();
  assert.ok(stream);
  await assert.rejects(stream.receive.readToEnd(1_000), { code: "stream-reset" });
  await failed;
});
