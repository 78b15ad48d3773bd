import { readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/**
 * Compiles all files in a folder as a project of its own that has the compiler settings and packages of this repository.
 * Returns what the compiler has to say, nothing when it is content.
 */
export function typeCheck(folder: string): string {
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction");
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.[jt]s$/.test(name) && !name.startsWith("node_modules"))
    .map((name) => join(folder, name));
  const program = ts.createProgram(files, {
    ...options,
    paths: { "connect-quic": [join(root, "src/index.ts")] },
    typeRoots: [join(root, "node_modules/@types")],
    // Else generated .d.ts files would not be checked, nor .js files.
    skipLibCheck: false,
    allowJs: true,
    // protoc-gen-es makes enums of enums.
    erasableSyntaxOnly: false,
  });
  return files
    .map((file) => program.getSourceFile(file))
    .flatMap((file) => [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ])
    .map((diagnostic) => ts.formatDiagnostic(diagnostic, formatHost))
    .join("");
}

const formatHost: ts.FormatDiagnosticsHost = {
  getCanonicalFileName: (name) => name,
  getCurrentDirectory: () => root,
  getNewLine: () => "\n",
};
