// Bundles entry points of the library, or of programs around it, with esbuild: what several have in common once, packages
// where they are, and the WebAssembly and the worker's page beside the files that read them. Loading one file takes a third
// of the time that three hundred take.
//
//   node scripts/bundle.mjs <folder for the output> <entry point> ...

import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, stop } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Who reads the WebAssembly, which is its neighbour. */
const wasmReader = "src/engine/noq/wasm-module.ts";
const wasm = "quic-core.wasm";
/** Who reads the worker's page, in a folder beside it. */
const pageReader = "src/worker/page-files.ts";
const page = "src/worker/page";

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
  for (const [output, { inputs }] of Object.entries(metafile.outputs)) {
    const folder = join(root, dirname(output));
    if (wasmReader in inputs) {
      copyFileSync(join(root, dirname(wasmReader), wasm), join(folder, wasm));
    }
    if (pageReader in inputs) {
      await bundlePage(join(folder, "page"));
    }
    if (output.endsWith(".js")) {
      nameOnlyWhatIsSeen(join(root, output));
    }
  }
  // Else its process stays, and wakes now and then.
  await stop();
}

/** What `keepNames` has esbuild write, and the same for classes and functions with a name of their own alone. */
const nameAll = "var __name = (target, value) => __defProp(";
const nameSome =
  "var __name = (target, value) => target.prototype === undefined ? target : __defProp(";

/**
 * Has closures go without the names that esbuild would give each of them whenever it is made: that is an eighth of the
 * processor's time of a short call.
 */
function nameOnlyWhatIsSeen(path) {
  const script = readFileSync(path, "utf8");
  if (!script.includes("__name = ")) {
    return;
  }
  if (!script.includes(nameAll)) {
    throw new Error(`${path}: esbuild names functions in another way now, see ${import.meta.url}`);
  }
  writeFileSync(path, script.replace(nameAll, nameSome));
}

/** The worker's page for browsers, with all that it needs: a script, and the files that are as they are. */
export async function bundlePage(folder) {
  await build({
    absWorkingDir: root,
    entryPoints: [`${page}/page.ts`],
    outfile: join(folder, "page.js"),
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    // What others have written keeps its notice.
    legalComments: "eof",
    logLevel: "warning",
  });
  for (const name of ["index.html", "page.css", "icon.svg"]) {
    copyFileSync(join(root, page, name), join(folder, name));
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
