// The whole gate, fast parts first. Prints a line per part as it ends, then what the failing ones had to say.

import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const root = fileURLToPath(new URL("..", import.meta.url));

/** `command` are arguments of node. A part cannot pass when the part that it `needs` has failed. */
const parts = [
  {
    name: "lint",
    what: "format, lint, order of imports",
    command: ["node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings", "."],
  },
  { name: "layers", what: "who imports whom", command: ["scripts/check-layers.mjs"] },
  {
    name: "lock",
    what: "package-lock.json is whole, for all platforms",
    command: ["scripts/check-lock.mjs"],
  },
  {
    name: "types",
    what: "TypeScript, strict",
    command: ["node_modules/typescript/bin/tsc", "-p", "tsconfig.json"],
  },
  {
    name: "page",
    what: "TypeScript of the worker's page, with what browsers have",
    command: ["node_modules/typescript/bin/tsc", "-p", "src/worker/page/tsconfig.json"],
  },
  {
    name: "generated",
    what: "generated code is what the .proto files say",
    command: ["scripts/generate.mjs", "--check"],
  },
  { name: "build", what: "library and plugin compile", command: ["scripts/build.mjs"] },
  {
    name: "package",
    what: "tarballs: their files, publint, attw",
    command: ["scripts/check-package.mjs"],
    needs: "build",
  },
  {
    name: "scratch",
    what: "a new project installs them, generates, compiles, calls",
    command: ["scripts/check-scratch.mjs"],
    needs: "build",
  },
  { name: "tests", what: "the quick suite", command: ["scripts/test.mjs", "quick"] },
];

const usage = `Usage: npm run check -- [options]

Runs every check, and the quick tests; the exit code is 0 when all pass.

Options
  --only <part>   this part; may be given several times
  --skip <part>   all but this part; may be given several times
  --help

Parts
${parts.map(({ name, what }) => `  ${name.padEnd(14)}${what}`).join("\n")}
`;

const { values: options } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    skip: { type: "string", multiple: true, default: [] },
    help: { type: "boolean", default: false },
  },
});
const unknown = [...(options.only ?? []), ...options.skip].filter(
  (name) => !parts.some((part) => part.name === name),
);
if (options.help) {
  console.log(usage);
} else if (unknown.length > 0) {
  console.error(`no part ${unknown.join(", ")}\n\n${usage}`);
  process.exitCode = 2;
} else {
  const failures = await runParts(
    parts.filter(({ name }) => options.only?.includes(name) ?? !options.skip.includes(name)),
  );
  for (const { name, output } of failures) {
    console.log(`\n──── ${name}\n${output.trim()}`);
  }
  const names = failures.map(({ name }) => name).join(", ");
  console.log(failures.length === 0 ? "\nall checks pass" : `\nfailed: ${names}`);
  process.exitCode = failures.length === 0 ? 0 : 1;
}

async function runParts(chosen) {
  const failures = [];
  for (const { name, what, command, needs } of chosen) {
    const start = performance.now();
    const broken = failures.some((failure) => failure.name === needs);
    const { passed, output } = broken
      ? { passed: false, output: `not run: ${needs} failed` }
      : await run(command);
    const seconds = ((performance.now() - start) / 1_000).toFixed(1);
    const outcome = broken ? "skip" : passed ? "ok" : "FAIL";
    console.log(`${outcome.padEnd(5)} ${name.padEnd(10)} ${seconds.padStart(6)} s  ${what}`);
    if (!passed) {
      failures.push({ name, output });
    }
  }
  return failures;
}

/** Resolves with what the program printed, and whether it ended with exit code 0. */
function run(command) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, command, {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const chunks = [];
    child.stdout.on("data", (chunk) => chunks.push(chunk));
    child.stderr.on("data", (chunk) => chunks.push(chunk));
    child.once("error", reject);
    child.once("close", (code) =>
      resolve({ passed: code === 0, output: Buffer.concat(chunks).toString("utf8") }),
    );
  });
}
