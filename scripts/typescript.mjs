// Preloaded (`node --import`), it lets Node.js run this repository's TypeScript: by itself from version 24 on, which knows
// `using` and takes away types, and so starts a program in half of the time; otherwise through tsx.

import { readFileSync } from "node:fs";
import module from "node:module";
import { isMainThread } from "node:worker_threads";

if (Number.parseInt(process.versions.node, 10) >= 24) {
  // What tsx does as well: the package's own name is its source, as `paths` of tsconfig.json has it.
  const config = new URL("../tsconfig.json", import.meta.url);
  const { paths } = JSON.parse(readFileSync(config, "utf8")).compilerOptions;
  module.registerHooks({
    resolve(name, context, next) {
      const source = Object.hasOwn(paths, name) ? new URL(paths[name][0], config).href : name;
      return next(source, context);
    },
  });
} else if (isMainThread) {
  await import("tsx");
} else {
  // In a worker the import alone does nothing.
  const { register } = await import("tsx/esm/api");
  register();
}
