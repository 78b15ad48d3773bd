import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { startProgram } from "./process.ts";

let folder = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "connect-quic-process-"));
});
after(() => rm(folder, { recursive: true }));

async function program(name: string, source: string): Promise<URL> {
  const path = join(folder, `${name}.mjs`);
  await writeFile(path, source);
  return pathToFileURL(path);
}

test("a program says hello, gets its arguments, and ends with its stdin", async () => {
  const file = await program(
    "hello",
    `console.log(JSON.stringify({ args: process.argv.slice(2), color: process.env.COLOR }));
     console.error("a word");
     process.stdin.resume();`,
  );
  const child = await startProgram(file, { args: ["a b", "c"], env: { COLOR: "green" } });
  assert.deepEqual(child.greeting, { args: ["a b", "c"], color: "green" });
  await child.close();
  assert.equal(child.stderr(), "a word\n");
  assert.ok(!isAlive(child.pid));
});

test("a program that ends without a word is reported with its stderr", async () => {
  const file = await program("silent", `console.error("no such thing"); process.exit(3);`);
  await assert.rejects(startProgram(file), /did not print a line of JSON; stderr: no such thing/);
});

test("a program that prints something else first is killed", async () => {
  const file = await program("chatty", `console.log("hello"); setInterval(() => {}, 1e6);`);
  await assert.rejects(startProgram(file), /did not print a line of JSON/);
});

test("a program that fails at its end is reported with its stderr", async () => {
  const file = await program(
    "failing",
    `console.log("{}");
     process.stdin.resume().on("close", () => { console.error("spilled"); process.exitCode = 4; });`,
  );
  const child = await startProgram(file);
  await assert.rejects(child.close(), /ended with exit code 4; stderr: spilled/);
});

test("a program that does not end with its stdin can be killed", async () => {
  const file = await program("stubborn", `console.log("{}"); setInterval(() => {}, 1e6);`);
  const child = await startProgram(file);
  const closed = child.close();
  await child.kill();
  await closed;
  assert.ok(!isAlive(child.pid));
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
