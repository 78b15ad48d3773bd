// The bench runs what its users would: JavaScript, a file for each file as in the package, and no loader in between.

import { cpSync, readdirSync, rmSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { build, type Plugin, stop } from "esbuild";

/** Folders that workers import from. */
const folders = ["src", "gen/connectquic/bench", "bench", "test/support"];
/** Read by its neighbour. */
const wasm = "src/engine/noq/quic-core.wasm";

/**
 * Compiles into a folder that is there as long as this process, and returns the path of the compiled `bench/worker.ts`. A
 * second's work.
 */
export async function compileWorker(root: string): Promise<string> {
  // Within the repository, so that its node_modules are found from there.
  const outdir = join(root, `.cache/bench-${process.pid}`);
  process.once("exit", () => rmSync(outdir, { recursive: true, force: true }));
  await build({
    entryPoints: folders.flatMap((folder) => sources(root, folder)),
    absWorkingDir: root,
    outbase: root,
    outdir,
    // Only so that the plugin is asked: it leaves all imports where they are.
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    sourcemap: "linked",
    logLevel: "warning",
    plugins: [fileForFile(root)],
  });
  // Else its process stays, and wakes now and then.
  await stop();
  cpSync(join(root, wasm), join(outdir, wasm));
  return join(outdir, "bench/worker.js");
}

function sources(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !/\.(test|d)\.ts$/.test(name))
    .filter((name) => !name.split(sep).includes("node_modules"))
    .map((name) => join(root, folder, name));
}

/** `./x.ts` becomes `./x.js`, the package's own name the path of its entry point. */
function fileForFile(root: string): Plugin {
  return {
    name: "file-for-file",
    setup(esbuild) {
      esbuild.onResolve({ filter: /.*/ }, ({ path, kind, resolveDir }) => {
        if (kind === "entry-point") {
          return undefined;
        }
        const own = /^connect-quic(?:\/(\w+))?$/.exec(path);
        const target =
          own === null
            ? path
            : relativeTo(resolveDir, join(root, "src", `${own[1] ?? "index"}.ts`));
        return {
          path: target.startsWith(".") ? target.replace(/\.ts$/, ".js") : target,
          external: true,
        };
      });
    },
  };
}

function relativeTo(from: string, to: string): string {
  const path = relative(from, to).split(sep).join("/");
  return path.startsWith(".") ? path : `./${path}`;
}
