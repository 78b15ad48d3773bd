// Bundles entry points of the library, or of programs around it, with esbuild: what several have in common once, packages
// where they are, and the WebAssembly beside the file that reads it. Loading one file takes a third of the time that
// three hundred take.
//
//   node scripts/bundle.mjs <folder for the output> <entry point> ...

import { copyFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, stop } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Who reads the WebAssembly, which is its neighbour. */
const reader = "src/engine/noq/wasm-module.ts";
const wasm = "quic-core.wasm";

/**
 * @param {import("esbuild").BuildOptions} options `entryPoints` and `outdir`, relative to the repository, and what else
 *   differs from what follows
 */
export async function bundle(options) {
  const { metafile } = await build({
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    packages: "external",
    chunkNames: "chunks/[name]-[hash]",
    format: "esm",
    platform: "node",
    target: "es2022",
    sourcemap: "linked",
    sourcesContent: false,
    // Two classes of one name in one file would else be two names, which show where objects are printed.
    keepNames: true,
    logLevel: "warning",
    ...options,
    metafile: true,
  });
  // Else its process stays, and wakes now and then.
  await stop();
  for (const [output, { inputs }] of Object.entries(metafile.outputs)) {
    if (reader in inputs) {
      copyFileSync(join(root, dirname(reader), wasm), join(root, dirname(output), wasm));
    }
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [outdir, ...entryPoints] = process.argv.slice(2);
  if (outdir === undefined || entryPoints.length === 0) {
    console.error("usage: node scripts/bundle.mjs <folder for the output> <entry point> ...");
    process.exit(2);
  }
  await bundle({ entryPoints, outbase: ".", outdir });
}
