// The bench runs what its users would: JavaScript in bundles as in the package, and no loader in between.

import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";

/**
 * Compiles into a folder that is there as long as this process, and returns the path of the compiled `bench/worker.ts`. A
 * second's work.
 */
export function compileWorker(root: string): string {
  // Within the repository, so that its node_modules are found from there.
  const folder = `.cache/bench-${process.pid}`;
  process.once("exit", () => rmSync(join(root, folder), { recursive: true, force: true }));
  execFileSync(process.execPath, ["scripts/bundle.mjs", folder, "bench/worker.ts"], { cwd: root });
  return join(root, folder, "bench/worker.js");
}
