// Compiles what is published, from clean folders: the library, the plugin, or (without an argument) both.
//
//   node scripts/build.mjs [library|plugin]

import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "./bundle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

const targets = {
  library: async () => {
    // Declarations, and in place of a file for each file the bundles that package.json names.
    compile(".");
    const { bin, exports } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const published = [...Object.values(exports), ...Object.values(bin)];
    await bundle({
      entryPoints: published
        .map((entry) => entry.default ?? entry)
        .filter((path) => path.endsWith(".js"))
        .map((path) => path.replace(/^(\.\/)?dist\/(.*)\.js$/, "src/$2.ts")),
      outbase: "src",
      outdir: "dist",
    });
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
    await build();
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
