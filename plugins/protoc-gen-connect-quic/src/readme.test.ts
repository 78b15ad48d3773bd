import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bufGenerate, writeFiles } from "../test/generate.ts";
import { typeCheck } from "../test/type-check.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

/** The first block of code in a language. */
function block(language: string): string {
  const code = readme.split(`\`\`\`${language}\n`)[1]?.split("\n```")[0];
  assert.ok(code !== undefined, `the README has no ${language}`);
  return code;
}

test("the example of the README compiles after buf generate as the README has it", () => {
  const folder = mkdtempSync(join(tmpdir(), "protoc-gen-connect-quic-"));
  try {
    writeFiles(folder, {
      "buf.gen.yaml": block("yaml"),
      "proto/eliza.proto": block("proto"),
      "src/main.ts": block("ts"),
    });
    bufGenerate(folder);
    assert.equal(typeCheck(folder), "");
  } finally {
    rmSync(folder, { recursive: true });
  }
});
