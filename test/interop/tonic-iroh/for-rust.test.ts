// docs/for-rust.md, tried: its programs in Rust are those that are built here, and its programs in TypeScript call them and
// are called.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { tonicIrohPeer } from "../../support/rust-programs.ts";
import { stayAlive } from "../../support/stay-alive.ts";

const options = { skip: tonicIrohPeer.prepare() ?? false, timeout: 60_000 };
const root = fileURLToPath(new URL("../../../", import.meta.url));

stayAlive();

/** By the name in their first line. */
const programs = new Map<string, string>();
const page = readFileSync(join(root, "docs/for-rust.md"), "utf8");
for (const [, name = "", code = ""] of page.matchAll(/^```\w+\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)) {
  programs.set(name, code);
}

// Inside of the repository, so that "connect-quic" is found as the source (tsconfig.json, paths).
mkdirSync(join(root, ".cache"), { recursive: true });
const project = mkdtempSync(join(root, ".cache/for-rust-"));
after(() => rmSync(project, { recursive: true }));

function commandOf(name: string): readonly string[] {
  if (name.endsWith(".rs")) {
    return [join(dirname(tonicIrohPeer.path), name.replace(".rs", ""))];
  }
  const code = programs.get(name)?.replaceAll('"./gen/', '"../../gen/').replaceAll('.js"', '.ts"');
  const file = join(project, name.replace(".ts", ".mts"));
  writeFileSync(file, code ?? "");
  return [process.execPath, "--import", "tsx", file];
}

/** The first line that a program prints, and its end. */
async function run(name: string, ...args: string[]) {
  const [command = "", ...before] = commandOf(name);
  const child = spawn(command, [...before, ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let line = "";
  for await (const first of createInterface({ input: child.stdout })) {
    line = first;
    break;
  }
  return { line, [Symbol.dispose]: () => void child.kill() };
}

test("the programs in Rust of docs/for-rust.md are those that are built", options, () => {
  for (const name of ["hello-server.rs", "hello-client.rs"]) {
    const file = readFileSync(new URL(`src/bin/${name}`, import.meta.url), "utf8");
    assert.equal(programs.get(name), file);
  }
});

for (const [server, client] of [
  ["hello-server.rs", "hello-client.ts"],
  ["hello-server.ts", "hello-client.rs"],
  ["hello-server.ts", "hello-client.ts"],
] as const) {
  test(`${client} of docs/for-rust.md calls ${server}`, options, async () => {
    using serving = await run(server);
    using calling = await run(client, ...serving.line.split(" "));
    assert.match(calling.line, /^Hello, Ada, alias [0-9a-f]{10}!$/);
  });
}
