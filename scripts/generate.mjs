// Generates gen/ from proto/, as buf.gen.yaml says.
//
//   node scripts/generate.mjs           brings gen/ up to date
//   node scripts/generate.mjs --check   touches nothing, and fails when gen/ is not up to date, or proto/ not tidy

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));
const { values: options } = parseArgs({ options: { check: { type: "boolean", default: false } } });

// Generated elsewhere first, so that gen/ is never half there for those who run beside this script.
const temporary = mkdtempSync(join(tmpdir(), "connect-quic-generate-"));
try {
  const tidy = !options.check || (runBuf(["lint"]) && runBuf(["format", "--diff", "--exit-code"]));
  const generated = tidy && runBuf(["generate", "--output", temporary]);
  process.exitCode = generated ? bringUpToDate() : 1;
} finally {
  rmSync(temporary, { recursive: true });
}

/** Runs buf, and says why when that fails. */
function runBuf(args) {
  const buf = join(root, "node_modules/@bufbuild/buf/bin/buf");
  if (!existsSync(buf)) {
    console.error("buf is not installed: run `npm ci` first");
    return false;
  }
  const plugins = join(root, "node_modules/.bin");
  const { status } = spawnSync(process.execPath, [buf, ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: `${plugins}${delimiter}${process.env.PATH}` },
  });
  return status === 0;
}

/** Makes gen/ equal to what was generated, or with --check complains where it is not. Returns the exit code. */
function bringUpToDate() {
  const target = join(root, "gen");
  const wanted = filesIn(join(temporary, "gen"));
  const present = filesIn(target);
  const outdated = [...wanted].filter(([path, text]) => present.get(path) !== text);
  const surplus = [...present].filter(([path]) => !wanted.has(path));
  const changes = [
    ...outdated.map(([path]) => `${present.has(path) ? "changed" : "new    "}  gen/${path}`),
    ...surplus.map(([path]) => `removed  gen/${path}`),
  ];
  if (changes.length === 0) {
    console.log(`gen/ is up to date, ${wanted.size} files`);
    return 0;
  }
  if (options.check) {
    console.error("gen/ is stale: run `npm run generate` and commit what it changes");
    console.error(changes.join("\n"));
    return 1;
  }
  for (const [path, text] of outdated) {
    mkdirSync(dirname(join(target, path)), { recursive: true });
    writeFileSync(join(target, path), text);
  }
  for (const [path] of surplus) {
    rmSync(join(target, path));
  }
  console.log(changes.join("\n"));
  return 0;
}

/** Texts of all files below a folder, by their paths with forward slashes. */
function filesIn(folder) {
  if (!existsSync(folder)) {
    return new Map();
  }
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name).slice(folder.length + 1));
  return new Map(
    paths
      .sort()
      .map((path) => [path.split(sep).join("/"), readFileSync(join(folder, path), "utf8")]),
  );
}
