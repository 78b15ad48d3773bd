// Real iroh, with the discovery that its users have by default. It asks one public zone, by the DNS servers of the system:
// so it gets a network and a resolv.conf of its own. To publish, it wants a certificate for that zone's host which the
// roots inside of it vouch for: in that direction, recorded packets have to do (src/discovery/pkarr-packet.test.ts).

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { noIroh } from "../iroh/iroh.ts";
import { noDnsServer } from "./iroh-dns-server.ts";

const run = promisify(execFile);

/** Why a process cannot have a network of its own here; false where it can. */
async function noNamespaces(): Promise<string | false> {
  try {
    await run("unshare", ["--net", "--mount", "ip", "link", "set", "lo", "up"]);
    return false;
  } catch (error) {
    return `needs Linux, root, unshare and ip: ${error instanceof Error ? error.message : error}`;
  }
}

const skip = noIroh || noDnsServer || (await noNamespaces());

test("iroh dials one of ours by its id alone, through DNS", { skip, timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "iroh-by-id-"));
  try {
    const resolvConf = join(folder, "resolv.conf");
    await writeFile(resolvConf, "nameserver 127.0.0.1\n");
    const script = `ip link set lo up && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`;
    const program = fileURLToPath(new URL("iroh-by-id.ts", import.meta.url));
    const command = [process.execPath, "--import", "tsx", program];
    const { stdout } = await run(
      "unshare",
      ["--net", "--mount", "sh", "-c", script, "sh", resolvConf, ...command],
      { timeout: 50_000 },
    );
    const outcome = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual(outcome.found, outcome.bound);
    assert.equal(outcome.dialed, outcome.id);
    assert.equal(outcome.accepted, outcome.dialer);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
