import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../scripts/check-layers.mjs", import.meta.url));

/** Runs the check on a tree of these files and returns its lines in order, none when all is well. */
function check(files: Record<string, string>): string[] {
  const root = mkdtempSync(join(tmpdir(), "check-layers-"));
  try {
    const manifest = {
      dependencies: { "@noble/ed25519": "1" },
      peerDependencies: { "@connectrpc/connect": "1" },
      devDependencies: { "fast-check": "1" },
    };
    const all = { "package.json": JSON.stringify(manifest), ...files };
    for (const [path, text] of Object.entries(all)) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), text);
    }
    const { status, stderr } = spawnSync(process.execPath, [script, "--root", root], {
      encoding: "utf8",
    });
    const lines = stderr
      .split("\n")
      .filter((line) => line !== "")
      .sort();
    assert.equal(status, lines.length === 0 ? 0 : 1, stderr);
    return lines;
  } finally {
    rmSync(root, { recursive: true });
  }
}

test("check-layers names the file, the line, the import and the rule of each fault", () => {
  const nodeInCore =
    "not in the list of shells (scripts/check-layers.mjs): cores import nothing of Node";
  const faults: [file: string, text: string, specifier: string, line: number, rule: string][] = [
    // Upward, in each way of importing.
    [
      "src/base/value.ts",
      'import { b } from "../identity/b.ts";',
      "../identity/b.ts",
      1,
      "base/ may not import identity/",
    ],
    [
      "src/http3/qpack/type.ts",
      '// why\nimport type { B } from "../b.ts";',
      "../b.ts",
      2,
      "http3/qpack/ may not import http3/",
    ],
    [
      "src/net/type-expression.ts",
      'export type A = import("../rpc/b.ts").B;',
      "../rpc/b.ts",
      1,
      "net/ may not import rpc/",
    ],
    [
      "src/base/re-export.ts",
      'export { b } from "../net/b.ts";',
      "../net/b.ts",
      1,
      "base/ may not import net/",
    ],
    [
      "src/base/dynamic.ts",
      'await import("../net/b.ts");',
      "../net/b.ts",
      1,
      "base/ may not import net/",
    ],
    // Finer rules.
    [
      "src/http3/engine-value.ts",
      'import { type A, b } from "../engine/b.ts";',
      "../engine/b.ts",
      1,
      "http3/ may import types alone from engine/",
    ],
    [
      "src/engine/adapter.ts",
      'import { b } from "./noq/b.ts";',
      "./noq/b.ts",
      1,
      "engine/ may not import engine/noq/",
    ],
    ["src/http3/node.ts", 'import "node:crypto";', "node:crypto", 1, nodeInCore],
    ["src/base/node-platform.ts", 'import "node:fs";', "node:fs", 1, nodeInCore],
    [
      "src/base/package.ts",
      'import { Code } from "@connectrpc/connect";',
      "@connectrpc/connect",
      1,
      "base/ may not use this package",
    ],
    [
      "src/rpc/development.ts",
      'import fc from "fast-check";',
      "fast-check",
      1,
      "not among the dependencies of package.json",
    ],
    [
      "src/base/a-test.ts",
      'import "./b.test.ts";',
      "./b.test.ts",
      1,
      "a test is not for importing",
    ],
    [
      "examples/echo/inside.ts",
      'import { b } from "../../src/base/b.ts";',
      "../../src/base/b.ts",
      1,
      "examples/ may not reach there: use the package by its name",
    ],
  ];
  const files = Object.fromEntries(faults.map(([file, text]) => [file, text]));
  const expected = faults.map(
    ([file, , specifier, line, rule]) => `${file}:${line} imports "${specifier}": ${rule}`,
  );
  assert.deepEqual(check(files), expected.sort());
});

test("check-layers lets imports go downward, tests use tools, and entry points use everything", () => {
  assert.deepEqual(
    check({
      "src/index.ts": 'export { a } from "./rpc/a.ts";',
      "src/rpc/a.ts": 'import { Code } from "@connectrpc/connect";\nimport "../http3/a.ts";',
      "src/http3/a.ts": 'import type { E } from "../engine/engine.ts";\nimport "./qpack/a.ts";',
      "src/http3/a.test.ts": 'import "node:fs";\nimport "fast-check";\nimport "../engine/e.ts";',
      "src/engine/noq/a.ts": 'import { E } from "../engine.ts";',
      "src/base/node-platform.ts": 'import { randomFillSync } from "node:crypto";',
      "examples/echo/a.ts": 'import "connect-quic";\nimport "../../gen/a.ts";\nimport "node:fs";',
    }),
    [],
  );
});
