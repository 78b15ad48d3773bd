// Compiles what is published, from clean folders: the library, the plugin, or (without an argument) both.
//
//   node scripts/build.mjs [library|plugin]

import { spawnSync } from "node:child_process";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

const targets = {
  library: () => {
    compile(".");
    // TypeScript copies no binaries.
    const wasm = "engine/noq/quic-core.wasm";
    cpSync(join(root, "src", wasm), join(root, "dist", wasm));
  },
  plugin: () => compile("plugins/protoc-gen-connect-quic"),
};

const [name, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (name !== undefined && targets[name] === undefined)) {
  console.error(`usage: node scripts/build.mjs [${Object.keys(targets).join("|")}]`);
  process.exit(2);
}
for (const [target, build] of Object.entries(targets)) {
  if (name === undefined || name === target) {
    build();
  }
}

/** Runs the compiler with the tsconfig.build.json of a folder, whose output goes to dist/ in it. */
function compile(folder) {
  rmSync(join(root, folder, "dist"), { recursive: true, force: true });
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", `${folder}/tsconfig.build.json`], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) {
    process.exit(1);
  }
}
