import { readFileSync } from "node:fs";
import {
  createEcmaScriptPlugin,
  type Plugin,
  type Schema,
  type Target,
} from "@bufbuild/protoplugin";
import { printDeclaration } from "./declaration.ts";
import { serviceDeclarations } from "./service-declarations.ts";

/** The plugin, apart from the process that runs it. */
export const protocGenConnectQuic: Plugin = createEcmaScriptPlugin({
  name: "protoc-gen-connect-quic",
  version: `v${ownVersion()}`,
  generateTs: generate,
  generateJs: generate,
  generateDts: generate,
});

/** One file beside each `_pb` file of protoc-gen-es that has services. */
function generate(schema: Schema, target: Target): void {
  const extension = target === "dts" ? "d.ts" : target;
  for (const file of schema.files) {
    const f = schema.generateFile(`${file.name}_quic.${extension}`);
    f.preamble(file);
    for (const declaration of file.services.flatMap((service) => serviceDeclarations(f, service))) {
      printDeclaration(f, target, declaration);
    }
  }
}

function ownVersion(): string {
  // Lies one folder up from src/ and from dist/.
  const manifestFile = new URL("../package.json", import.meta.url);
  const manifest: { version: string } = JSON.parse(readFileSync(manifestFile, "utf8"));
  return manifest.version;
}
