// The program `connect-quic` as people run it: processes, signals, pipes.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { deferred } from "../../src/base/deferred.ts";
import { SecretKey } from "../../src/identity/secret-key.ts";
import { RelayServer } from "../../src/relay/server/relay-server.ts";
import { type Program, startProgram } from "../support/process.ts";
import { type Running, startInTerminal } from "../support/terminal.ts";

function start(t: TestContext, ...args: string[]): Running {
  const running = startInTerminal("src/cli/main.ts", ...args);
  t.after(async () => {
    running.child.kill("SIGKILL");
    await running.ended;
  });
  return running;
}

async function startRelay(t: TestContext): Promise<{ relay: Running; url: string }> {
  const relay = start(t, "relay", "--dev", "--listen", "127.0.0.1:0");
  return { relay, url: await relay.line(/^relay +(\S+)$/) };
}

/** A peer that is at home at the relay, in a process of its own. */
async function startPeer(
  t: TestContext,
  relay: string,
): Promise<{ peer: Program; ticket: string; id: string }> {
  const peer = await startProgram(new URL("peer.ts", import.meta.url), { args: [relay] });
  t.after(() => peer.kill());
  const { ticket, id } = peer.greeting as { readonly ticket: string; readonly id: string };
  return { peer, ticket, id };
}

test("a relay, a peer and a ping in three processes: over the relay at first, then direct", async (t) => {
  const { relay, url } = await startRelay(t);
  const { id } = await startPeer(t, url);
  const ping = start(
    t,
    "ping",
    id,
    "--relay",
    url,
    "--until-direct",
    "--interval",
    "0.05",
    "--count",
    "1000",
  );
  const { code, stdout, stderr } = await ping.ended;
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  const short = id.slice(0, 10);
  assert.match(stdout, new RegExp(`^connected to ${short} (via relay ${url}|direct \\S+) in `));
  assert.match(
    stdout,
    new RegExp(`^pong from ${short} direct \\S+ in [0-9.]+ ms\n\n\\d+ sent, `, "m"),
  );
  relay.child.kill("SIGTERM");
  assert.equal((await relay.ended).code, 0);
});

test("Ctrl-C in the middle of a ping ends it with its statistics, and exit code 0", async (t) => {
  const { url } = await startRelay(t);
  const { ticket } = await startPeer(t, url);
  const ping = start(t, "ping", ticket, "--count", "1000");
  await ping.line(/^pong/);
  ping.child.kill("SIGINT");
  const { code, stdout, stderr } = await ping.ended;
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  assert.match(stdout, /\n\n1 sent, 1 answered\n\S+.*: 1 answered, fastest [^\n]+\n$/);
});

test("Ctrl-C while nobody answers is exit code 130, SIGTERM 143", async (t) => {
  for (const [signal, expected] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    const arrived = deferred<void>();
    const relay = await RelayServer.start({
      listen: { host: "127.0.0.1", port: 0 },
      authorize: () => {
        arrived.resolve();
        return true;
      },
    });
    t.after(() => relay.close());
    const nobody = SecretKey.generate().publicKey.toString();
    const ping = start(t, "ping", nobody, "--relay", relay.url, "--timeout", "60");
    await arrived.promise;
    ping.child.kill(signal);
    assert.deepEqual(await ping.ended, { code: expected, stdout: "", stderr: "" });
  }
});

test("a relay waits for its clients at the first Ctrl-C, and ends at once at the second", async (t) => {
  const { relay, url } = await startRelay(t);
  const { peer } = await startPeer(t, url);
  // It does not answer when the relay closes its connection.
  peer.signal("SIGSTOP");
  relay.child.kill("SIGINT");
  await relay.line(/^stopping; clients are told to come back: 1$/);
  relay.child.kill("SIGINT");
  assert.equal((await relay.ended).code, 130);
});

test("a ping whose output nobody reads any more ends like after a broken pipe", async (t) => {
  const { url } = await startRelay(t);
  const { ticket } = await startPeer(t, url);
  const ping = start(t, "ping", ticket, "--count", "1000", "--interval", "0.05");
  await ping.line(/^pong/);
  ping.child.stdout?.destroy();
  assert.equal((await ping.ended).code, 141);
});

test("id --key is the same in every process", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "connect-quic-cli-"));
  t.after(() => rm(folder, { recursive: true }));
  const key = join(folder, "peer.key");
  const first = await start(t, "id", "--key", key).ended;
  assert.deepEqual(first, { ...first, code: 0, stderr: `made a new key: ${key}\n` });
  assert.match(first.stdout, /^[0-9a-f]{64}\n$/);
  assert.deepEqual(await start(t, "id", "--key", key).ended, { ...first, stderr: "" });
});

test("what is not understood goes to stderr, with exit code 2", async (t) => {
  const { code, stdout, stderr } = await start(t, "call").ended;
  assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
  assert.match(stderr, /^connect-quic: unknown command "call": there are id, ping, [^\n]+\n$/);
});
