// Generates gen/ from proto/ as buf.gen.yaml says, and as the others say the messages that are part of the library.
//
//   node scripts/generate.mjs           brings them up to date
//   node scripts/generate.mjs --check   touches nothing, and fails when they are not up to date, or proto/ not tidy

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

const targets = [
  { folder: "gen", template: "buf.gen.yaml" },
  { folder: "src/rendezvous/gen", template: "buf.gen.rendezvous.yaml" },
  { folder: "src/rpc/gen", template: "buf.gen.health.yaml" },
  { folder: "src/tunnel/gen", template: "buf.gen.tunnel.yaml" },
  { folder: "src/worker/gen", template: "buf.gen.worker.yaml" },
];

// Generated elsewhere first, so that nothing is half there for those who run beside this script.
const temporary = mkdtempSync(join(tmpdir(), "connect-quic-generate-"));
try {
  const tidy = !options.check || (runBuf(["lint"]) && runBuf(["format", "--diff", "--exit-code"]));
  const generated =
    tidy &&
    targets.every(({ template }) =>
      runBuf(["generate", "--template", template, "--output", temporary]),
    );
  process.exitCode = generated
    ? Math.max(...targets.map(({ folder }) => bringUpToDate(folder)))
    : 1;
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

/** Makes a folder equal to what was generated, or with --check complains where it is not. Returns the exit code. */
function bringUpToDate(folder) {
  const target = join(root, folder);
  const generated = filesIn(join(temporary, folder));
  const wanted = new Map(
    [...generated].map(([path, text]) => [
      path,
      folder.startsWith("src/") && !path.endsWith(".d.ts") ? withoutEnums(text) : text,
    ]),
  );
  const present = filesIn(target);
  const outdated = [...wanted].filter(([path, text]) => present.get(path) !== text);
  const surplus = [...present].filter(([path]) => !wanted.has(path));
  const changes = [
    ...outdated.map(([path]) => `${present.has(path) ? "changed" : "new    "}  ${folder}/${path}`),
    ...surplus.map(([path]) => `removed  ${folder}/${path}`),
  ];
  if (changes.length === 0) {
    console.log(`${folder}/ is up to date, ${wanted.size} files`);
    return 0;
  }
  if (options.check) {
    console.error(`${folder}/ is stale: run "npm run generate" and commit what it changes`);
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

/**
 * Enums of TypeScript as constant objects: what is in src/ has to run where types are only cut out of it, and the plugin of
 * protobuf-es knows nothing else.
 */
function withoutEnums(text) {
  return text.replace(/^export enum (\w+) \{\n(.*?)^\}$/gms, (_, name, members) => {
    const entries = members.replace(/^( {2}\w+) = (\d+),$/gm, "$1: $2,");
    return `export const ${name} = {\n${entries}} as const;\nexport type ${name} = (typeof ${name})[keyof typeof ${name}];`;
  });
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
