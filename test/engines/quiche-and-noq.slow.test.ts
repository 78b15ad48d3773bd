import assert from "node:assert/strict";
import { it } from "node:test";
import { noq } from "../../src/engine/noq/noq.ts";
import { engineSuite } from "../support/engine-suite.ts";
import { createLivePki, LivePair } from "../support/live-peers.ts";
import { quicheOrReason } from "../support/quiche-or-reason.ts";
import { readOnly } from "../support/recorded-connection.ts";

const { engine, skip } = quicheOrReason();

engineSuite("quiche dialing noq", () => ({ client: engine(), server: noq }), skip);
engineSuite("noq dialing quiche", () => ({ client: noq, server: engine() }), skip);

it("quiche tells codes of 62 bits of resets and stops exactly", { skip }, async () => {
  const pki = await createLivePki();
  using pair = new LivePair({ client: noq, server: engine() }, pki, { behaviour: readOnly });
  const { local, remote } = await pair.connect();
  const code = (1n << 62n) - 1n;
  const stream = local.open();
  stream.stream.write(Buffer.from("x"));
  await pair.until(() => remote.streams.length === 1);
  stream.stream.reset(code);
  stream.stream.stop(code - 1n);
  await pair.until(() => remote.streams[0]?.stoppedWith !== undefined && remote.streams[0].isEnded);
  assert.equal(remote.streams[0]?.stream.resetCode, code);
  assert.equal(remote.streams[0]?.stoppedWith, code - 1n);
});
