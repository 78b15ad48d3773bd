import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { create, fromBinary } from "@bufbuild/protobuf";
import { CodeGeneratorRequestSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { protocGenConnectQuic } from "../src/plugin.ts";

/** Texts of files by their paths. */
export type Files = Readonly<Record<string, string>>;

const tools = fileURLToPath(new URL("../../../node_modules/.bin", import.meta.url));
const buf = fileURLToPath(import.meta.resolve("@bufbuild/buf/bin/buf"));

/** What the plugin makes of .proto files, with `parameter` as protoc passes it: `target=ts,import_extension=js`. */
export function generate(protos: Files, parameter = ""): Files {
  const request = create(CodeGeneratorRequestSchema, {
    fileToGenerate: Object.keys(protos),
    protoFile: compile(protos),
    parameter,
  });
  const { file } = protocGenConnectQuic.run(request);
  return Object.fromEntries(file.map(({ name, content }) => [name, content]));
}

/** Runs `buf generate` in a folder, as its buf.gen.yaml says. */
export function bufGenerate(folder: string): void {
  runBuf(["generate"], folder);
}

export function writeFiles(folder: string, files: Files): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}

/** Descriptors with source information, in the order of their imports. */
function compile(protos: Files) {
  const folder = mkdtempSync(join(tmpdir(), "protoc-gen-connect-quic-"));
  try {
    writeFiles(folder, protos);
    const set = runBuf(["build", "--as-file-descriptor-set", "--output", "-#format=binpb"], folder);
    return fromBinary(FileDescriptorSetSchema, set).file;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function runBuf(args: readonly string[], folder: string): Uint8Array {
  const { status, stdout, stderr } = spawnSync(process.execPath, [buf, ...args], {
    cwd: folder,
    env: { ...process.env, PATH: `${tools}${delimiter}${process.env.PATH}` },
  });
  if (status !== 0) {
    throw new Error(`buf ${args[0]} failed: ${stderr}`);
  }
  return stdout;
}
