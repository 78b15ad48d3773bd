// Plays a new user: installs both tarballs into an empty project, generates code with the plugin by its bin name, compiles
// under strict for Node and for bundlers, runs a call between two peers, and the program. Needs a build (`npm run build`)
// and a registry.

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pack, packages, root } from "./pack.mjs";

/** Development tools of the scratch project, in the versions that this repository has. */
const tools = ["typescript", "@types/node", "@bufbuild/buf", "@bufbuild/protoc-gen-es"];

const project = mkdtempSync(join(tmpdir(), "connect-quic-scratch-"));
try {
  install();
  run("generate code", "node_modules/.bin/buf", ["generate"]);
  run("compile for Node", "node_modules/.bin/tsc", ["-p", "tsconfig.json"]);
  run("compile for a bundler", "node_modules/.bin/tsc", ["-p", "tsconfig.bundler.json"]);
  run("call between two peers", process.execPath, ["dist/call.js"]);
  run("run the program", "npx", ["--no-install", "connect-quic", "--help"]);
  run("load the other engine", process.execPath, ["dist/quiche.js"]);
} finally {
  rmSync(project, { recursive: true });
}

function install() {
  cpSync(fileURLToPath(new URL("scratch", import.meta.url)), project, { recursive: true });
  const tarballs = join(project, "tarballs");
  mkdirSync(tarballs);
  const packed = packages.map((path) => pack(path, tarballs));
  const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const [library, plugin] = packed.map(({ tarball }) => `file:${tarball}`);
  const manifest = {
    name: "scratch",
    private: true,
    type: "module",
    dependencies: { "connect-quic": library },
    devDependencies: {
      "protoc-gen-connect-quic": plugin,
      ...Object.fromEntries(tools.map((name) => [name, devDependencies[name]])),
    },
  };
  writeFileSync(join(project, "package.json"), JSON.stringify(manifest));
  run("install the tarballs", "npm", ["install", "--prefer-offline", "--no-audit", "--no-fund"]);
}

/** Runs a command in the project, and ends this script when it fails or takes over two minutes. */
function run(what, command, args) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: project,
    encoding: "utf8",
    timeout: 120_000,
    // The project's own tools come first, as in npm's scripts.
    env: { ...process.env, PATH: `${join(project, "node_modules/.bin")}:${process.env.PATH}` },
  });
  if (status !== 0) {
    console.error(`cannot ${what} in a new project\n${stdout}${stderr}`);
    rmSync(project, { recursive: true });
    process.exit(1);
  }
}
