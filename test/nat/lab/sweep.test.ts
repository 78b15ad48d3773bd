import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { formatNamespaceName, parseNamespaceName } from "./namespace-name.ts";
import { listNamespaces, NetworkNamespace } from "./network-namespace.ts";
import { missingRequirement } from "./requirements.ts";
import { sweepLeftovers } from "./sweep.ts";

const options = { skip: (await missingRequirement()) ?? false, timeout: 60_000 };

async function namespacesOf(pid: number | undefined): Promise<string[]> {
  return (await listNamespaces()).filter((name) => parseNamespaceName(name)?.pid === pid);
}

test("a run that is killed leaves nothing behind", options, async () => {
  const program = fileURLToPath(new URL("abandoned-run.ts", import.meta.url));
  const run = spawn(process.execPath, ["--import=tsx", program], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  await once(run.stdout, "data");
  assert.equal((await namespacesOf(run.pid)).length, 4);
  run.kill("SIGKILL");
  // The watchdog has its stderr, and closes it when it is done.
  await once(run, "close");
  assert.deepEqual(await namespacesOf(run.pid), []);
});

test(
  "what a killed run and its watchdog have left is removed, what others use is not",
  options,
  async () => {
    const { pid: dead } = spawnSync(process.execPath, ["-e", ""]);
    const leftover = formatNamespaceName({ pid: dead, network: 1, node: "a" });
    const mine = formatNamespaceName({ pid: process.pid, network: 1, node: "a" });
    const [abandoned, used] = [
      await NetworkNamespace.create(leftover),
      await NetworkNamespace.create(mine),
    ];
    // A namespace does not go away while something runs there.
    const inside = abandoned.spawn("sh", ["-c", "echo there; cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    assert.ok(inside.stdout);
    await once(inside.stdout, "data");
    const ended = once(inside, "close");
    assert.ok((await sweepLeftovers()) >= 1);
    await ended;
    const left = await listNamespaces();
    assert.ok(!left.includes(leftover));
    assert.ok(left.includes(mine));
    await used.remove();
  },
);
