// The demo of two workers as people run it, without a browser: what it prints, and that nothing of it stays behind.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Path, PeerState } from "../../src/worker/gen/connectquic/worker/v1/console_pb.js";
import { type Running, startInTerminal } from "../support/terminal.ts";
import { WorkerConsole } from "../support/worker-console.ts";

// A demo that is killed cannot clean up.
const folder = mkdtempSync(join(tmpdir(), "connect-quic-test-"));
process.env.TMPDIR = folder;
after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 20 }));

interface Demo extends Running {
  /** Of each program: the URL and the process. */
  readonly printed: Promise<readonly { readonly url: string; readonly pid: number }[]>;
}

function startDemo(): Demo {
  const running = startInTerminal("examples/workers/demo.ts");
  const printed = ["relay", "rendezvous", "Ada", "Bob"].map(async (name) => {
    const line = await running.line(new RegExp(`^${name} +http:.* process [0-9]+$`));
    const [, url = "", , pid] = line.split(/ +/);
    return { url, pid: Number(pid) };
  });
  return { ...running, printed: Promise.all(printed) };
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("npm run demo:workers: two workers meet at a relay, find the direct path, and Ctrl-C ends all", async () => {
  const demo = startDemo();
  try {
    const printed = await demo.printed;
    const [relay, rendezvous, ada, bob] = printed;
    assert.ok(relay && rendezvous && ada && bob, "four programs");
    for (const { url } of [ada, bob]) {
      await new WorkerConsole(url).until(({ peers }) =>
        [...peers.values()].some(
          ({ state, path }) => state === PeerState.CONNECTED && path === Path.DIRECT,
        ),
      );
    }
    // All that the place tells of them is where the relay is.
    const list = (await (await fetch(rendezvous.url)).json()) as {
      readonly workers: readonly { readonly addrs: readonly string[] }[];
    };
    const { origin } = new URL(relay.url);
    assert.deepEqual(
      list.workers.map(({ addrs }) => addrs),
      [[`relay:${origin}/`], [`relay:${origin}/`]],
    );
    demo.child.kill("SIGINT");
    const { code, stderr } = await demo.ended;
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^Ada +paired with Bob/m);
    assert.deepEqual(
      printed.filter(({ pid }) => isRunning(pid)),
      [],
    );
  } finally {
    demo.child.kill("SIGINT");
    await demo.ended;
  }
});

test("npm run demo:workers: its programs end with it, even when it is killed", async () => {
  const demo = startDemo();
  try {
    const printed = await demo.printed;
    demo.child.kill("SIGKILL");
    await demo.ended;
    while (printed.some(({ pid }) => isRunning(pid))) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  } finally {
    demo.child.kill("SIGKILL");
  }
});

test("npm run demo:workers: --help says what it does, and a wrong option is an error", async () => {
  const help = await startInTerminal("examples/workers/demo.ts", "--help").ended;
  assert.equal(help.code, 0);
  assert.match(help.stdout, /^Usage: npm run demo:workers/);
  const wrong = await startInTerminal("examples/workers/demo.ts", "--halp").ended;
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--halp/);
});
