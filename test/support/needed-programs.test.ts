import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { neededPrograms } from "./needed-programs.ts";

const relay = "iroh-relay 1.4.1";
const directory = "iroh-dns-server 1.4.1";
const tonic = "tonic-iroh-peer";

for (const [folder, names] of [
  ["aioquic", []],
  ["quic-go", []],
  ["iroh", []],
  ["relay", [relay]],
  ["discovery", [directory]],
  ["tonic-iroh", [tonic]],
  ["iroh-rust", [relay, directory, tonic, "iroh-1-0-peer", "iroh-peer"]],
] as const) {
  test(`test/interop/${folder} needs ${names.length === 0 ? "no program in Rust" : names.join(", ")}`, () => {
    const url = new URL(`../interop/${folder}/`, import.meta.url);
    const files = readdirSync(url).filter((name) => name.endsWith(".test.ts"));
    const needed = neededPrograms(files.map((name) => new URL(name, url)));
    assert.deepEqual(needed.map(({ name }) => name).sort(), [...names].sort());
  });
}
