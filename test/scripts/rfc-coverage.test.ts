import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../scripts/rfc-coverage.mjs", import.meta.url));

test("rfc-coverage lists what the code cites and no test does, and notices a stale page", () => {
  const root = mkdtempSync(join(tmpdir(), "rfc-coverage-"));
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const run = (...options: string[]): number | null =>
    spawnSync(process.execPath, [script, "--root", root, ...options]).status;
  // Put together here, so that this file does not cite them.
  const rfc = `${"RF"}C 1`;
  try {
    write("docs/readme.md", "");
    write("src/a.ts", `// (${rfc}234 §1.2, §3, ${rfc}235 §10.A) and ${rfc}234 without a section`);
    write("src/a.test.ts", `// ${rfc}234 §3`);
    write("test/b.test.ts", `// ${rfc}236 §9`);
    assert.equal(run("--check"), 1);
    assert.equal(run(), 0);
    assert.equal(run("--check"), 0);
    const page = readFileSync(join(root, "docs/rfc-coverage.md"), "utf8");
    assert.ok(page.includes(`| ${rfc}234 | 2 | 1 |\n| ${rfc}235 | 1 | 0 |\n`));
    assert.ok(page.endsWith(`\n- ${rfc}234 §1.2: src/a.ts\n- ${rfc}235 §10: src/a.ts\n`));
    write("test/b.test.ts", `// ${rfc}234 §1.2`);
    assert.equal(run("--check"), 1);
  } finally {
    rmSync(root, { recursive: true });
  }
});
