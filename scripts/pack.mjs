// Makes the tarballs that `npm publish` would upload, out of what scripts/build.mjs has built.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** Folders of the published packages, from the root. */
export const packages = [".", "plugins/protoc-gen-connect-quic"];

/**
 * Packs the package in `folder` into the folder `destination`, without building it.
 * Returns its name, the path of the tarball, and the sorted paths of its files.
 */
export function pack(folder, destination) {
  const output = execFileSync(
    "npm",
    ["pack", "--json", "--ignore-scripts", "--pack-destination", destination],
    { cwd: join(root, folder), encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
  );
  const [info] = JSON.parse(output);
  return {
    name: info.name,
    tarball: join(destination, info.filename),
    files: info.files.map((file) => file.path).sort(),
  };
}
