// Generates code for all of googleapis, as npm's google-proto-files has it, and compiles it as strictly as our own.
// Takes some minutes, half a gigabyte in .cache/, and at first a registry.

import { execFile } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import ts from "typescript";

/** The last one for Node 20. */
const version = "5.0.3";

/**
 * Left out. Each is one file with thousands of messages, on which protoc-gen-es 2.12 works for ten minutes: it finds
 * names for all of a file again at each use of a type. A smaller version of this API, v1small, is there.
 */
const tooLarge = ["v1", "v1beta"].map((name) => `google/cloud/compute/${name}/compute.proto`);

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(root, ".cache/googleapis");
const source = join(cache, "node_modules/google-proto-files");
const image = join(cache, `googleapis-${version}.binpb`);
const output = join(cache, "gen");

if (isMainThread) {
  await main();
} else {
  parentPort.postMessage(typeCheck(workerData));
}

async function main() {
  const start = performance.now();
  const say = (text) => {
    const seconds = ((performance.now() - start) / 1_000).toFixed(0);
    console.log(`${seconds.padStart(5)} s  ${text}`);
  };

  await readProtos();
  // protobuf's own tests lie there; what others import from it, every compiler brings along.
  const protos = filesIn(source, ".proto").filter(
    (path) => !path.startsWith("google/protobuf/") && !tooLarge.includes(path),
  );
  say(`read ${protos.length} .proto files of google-proto-files ${version}`);

  rmSync(output, { recursive: true, force: true });
  await inParallel(chunks(protos, 1_000), generate);
  const services = count(filesIn(output, "_pb.ts"), /^export const \w+\$?: GenService</gm);
  say(`generated code with protoc-gen-es: ${services} services`);
  const kinds = ["_quic.ts", "_quic.js", "_quic.d.ts"].map((ending) => {
    const files = filesIn(output, ending);
    const found = count(files, /^export (declare )?function register/gm);
    say(`generated ${files.length} files *${ending}: ${found} services`);
    return { files, complete: found === services };
  });

  const files = kinds.flatMap((kind) => kind.files).sort();
  const errors = (await inParallel(chunks(files, 750), typeCheckInWorker)).flat();
  say(`compiled ${files.length} files: ${errors.length} errors`);
  for (const error of errors.slice(0, 20)) {
    console.error(error.trimEnd());
  }
  const complete = services > 0 && kinds.every((kind) => kind.complete);
  process.exitCode = complete && errors.length === 0 ? 0 : 1;
}

/** Installs the .proto files and parses them into an image, unless that has been done. */
async function readProtos() {
  if (existsSync(image)) {
    return;
  }
  const npm = ["install", "--prefix", cache, "--no-save", "--ignore-scripts", "--no-audit"];
  await run("npm", [...npm, `google-proto-files@${version}`]);
  const path = "node_modules/google-proto-files";
  const modules = [{ path, excludes: [`${path}/google/protobuf`] }];
  const config = JSON.stringify({ version: "v2", modules });
  await run("buf", ["build", cache, "--config", config, "--output", image]);
}

/** Runs protoc-gen-es and our plugin on some of the .proto files. */
async function generate(protos) {
  const plugin = (local, target) => ({
    local,
    out: ".",
    opt: [`target=${target}`, "import_extension=js"],
    // One process for all files: to start one per folder would take longer than to generate.
    strategy: "all",
  });
  const plugins = [plugin("protoc-gen-es", "ts"), plugin("protoc-gen-connect-quic", "ts+js+dts")];
  const template = JSON.stringify({ version: "v2", plugins });
  const paths = protos.flatMap((path) => ["--path", path]);
  await run("buf", ["generate", image, "--template", template, "--output", output, ...paths]);
}

function typeCheckInWorker(files) {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: files });
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

/** Returns the errors in the files themselves; what they import is looked at as far as their types need it. */
function typeCheck(paths) {
  const { config } = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root);
  const files = paths.map((path) => join(output, path));
  // Else the compiler would neither read .js files nor look into .d.ts files.
  const program = ts.createProgram(files, { ...options, allowJs: true, skipLibCheck: false });
  return files
    .map((file) => program.getSourceFile(file))
    .flatMap((file) => [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ])
    .map((diagnostic) =>
      ts.formatDiagnostic(diagnostic, {
        getCanonicalFileName: (name) => name,
        getCurrentDirectory: () => output,
        getNewLine: () => "\n",
      }),
    );
}

/** Runs a program from node_modules or the PATH, and rejects with what it had to say when it fails. */
async function run(command, args) {
  const bin = join(root, "node_modules/.bin");
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` };
  try {
    await promisify(execFile)(command, args, { env });
  } catch (error) {
    throw new Error(`${command} ${args[0]} failed: ${error.stderr || error.message}`);
  }
}

/** Calls `work` for each item, as many at a time as there are processors. */
async function inParallel(items, work) {
  const results = [];
  const entries = items.entries();
  const lane = async () => {
    for (const [index, item] of entries) {
      results[index] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, lane));
  return results;
}

function chunks(items, size) {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}

/** Sorted paths below a folder, with forward slashes. */
function filesIn(folder, ending) {
  return readdirSync(folder, { recursive: true })
    .filter((path) => path.endsWith(ending))
    .map((path) => path.split(sep).join("/"))
    .sort();
}

function count(paths, pattern) {
  const matches = paths.map((path) => readFileSync(join(output, path), "utf8").match(pattern));
  return matches.reduce((sum, found) => sum + (found?.length ?? 0), 0);
}
