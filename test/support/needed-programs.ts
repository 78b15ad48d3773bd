import { existsSync, readFileSync } from "node:fs";
import type { CargoBinary } from "./cargo-binary.ts";
import * as irohPrograms from "./iroh-programs.ts";
import type { RustProgram } from "./rust-program.ts";
import * as rustPrograms from "./rust-programs.ts";

/** Programs in Rust by the name under which files import them. */
const programs: ReadonlyMap<string, CargoBinary | RustProgram> = new Map(
  Object.entries({ ...irohPrograms, ...rustPrograms }),
);

/** `import { names } from "file"`, also of types, and `export … from`; names may be missing. */
const imports = /^(?:import|export)\s(?:[^;]*?\{([^}]*)\}[^;]*?from\s*)?[^;]*?"(\.[^"]+)";/gm;

/**
 * The programs in Rust that these test files use: what they or a file that they import name in an import, whose names are
 * those of iroh-programs.ts and rust-programs.ts.
 */
export function neededPrograms(files: readonly URL[]): readonly (CargoBinary | RustProgram)[] {
  const seen = new Set<string>();
  const names = new Set<string>();
  const left = [...files];
  for (let file = left.pop(); file !== undefined; file = left.pop()) {
    if (seen.has(file.href) || !existsSync(file)) {
      continue;
    }
    seen.add(file.href);
    for (const [, named = "", path = ""] of readFileSync(file, "utf8").matchAll(imports)) {
      left.push(new URL(path, file));
      for (const name of named.split(",")) {
        names.add(name.trim());
      }
    }
  }
  return [...programs].flatMap(([name, program]) => (names.has(name) ? [program] : []));
}
