// Checks that package-lock.json names every package that some machine may install. npm leaves out what the registry did
// not have when the file was written, and then `npm ci` refuses the file, on that machine or on others.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const file = fileURLToPath(new URL("../package-lock.json", import.meta.url));
const { packages } = JSON.parse(readFileSync(file, "utf8"));

const faults = Object.entries(packages).flatMap(([path, { dependencies, optionalDependencies }]) =>
  Object.keys({ ...dependencies, ...optionalDependencies })
    .filter((name) => !isLocked(path, name))
    .map(
      (name) => `${path || "package.json"} depends on ${name}, which is not in package-lock.json`,
    ),
);
console.error(faults.join("\n"));
process.exitCode = faults.length === 0 ? 0 : 1;

/** Looks for a package where Node would: in the folder of the one that needs it, and in all above. */
function isLocked(path, name) {
  const candidate = `${path === "" ? "" : `${path}/`}node_modules/${name}`;
  if (candidate in packages) {
    return true;
  }
  return path !== "" && isLocked(parentOf(path), name);
}

function parentOf(path) {
  const end = path.lastIndexOf("/node_modules/");
  return end < 0 ? "" : path.slice(0, end);
}
