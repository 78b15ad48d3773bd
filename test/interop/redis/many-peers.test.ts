// bench/rendezvous.ts with few peers: at one place, and at two with Redis of which one is killed, nothing is lost.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { noRedis } from "../../support/redis-server.ts";
import { runTypeScript } from "../../support/run-typescript.ts";

interface Outcome {
  readonly places: number;
  readonly peers: number;
  readonly watchers: number;
  readonly moved: number;
  readonly losses: Readonly<Record<string, number>>;
}

test("peers and watchers lose nothing at one place, nor at two with Redis of which one is killed", {
  skip: noRedis ?? false,
}, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "connect-quic-many-peers-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "outcome.json");
  const program = fileURLToPath(new URL("../../../bench/rendezvous.ts", import.meta.url));
  const child = spawn(process.execPath, [runTypeScript, program, "--quick", "--json", file], {
    stdio: ["pipe", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  const [code] = await once(child, "close");
  assert.equal(code, 0, printed);
  const outcomes = JSON.parse(readFileSync(file, "utf8")) as Outcome[];
  const nothing = { leases: 0, registrations: 0, watchers: 0, gone: 0, changes: 0 };
  assert.deepEqual(
    outcomes.map(({ places, peers, watchers, moved, losses }) => ({
      ...{ places, peers, watchers, moved: moved > 0, losses },
    })),
    [
      { places: 1, peers: 120, watchers: 20, moved: false, losses: nothing },
      { places: 2, peers: 120, watchers: 20, moved: true, losses: nothing },
    ],
  );
});
