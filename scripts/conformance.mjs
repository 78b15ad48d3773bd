// Runs the Connect project's conformance suite: its runner reads the cases, a client makes the calls, a server answers
// them. One of the two may be the runner's own, which speaks HTTP/3 by quic-go. Ours are peers that know each other by
// key, or know the server by its URL. QUIC is between them in all cases.

import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import zlib from "node:zlib";
import { bundle } from "./bundle.mjs";

/** Something that whoever runs this can do something about. */
class Problem extends Error {}

const version = "v1.0.5";

/** The runner asks for 1.24, which Go fetches by itself since 1.21. */
const oldestGo = 21;

/**
 * `told`: what the runner believes to test. It ties gRPC to HTTP/2; what carries the calls is HTTP/3 in all runs. `ways`:
 * those that its calls can go.
 */
const protocols = [
  { name: "connect", told: "HTTP/3", ways: ["short", "general"] },
  { name: "grpc-web", told: "HTTP/3", ways: ["general"] },
  { name: "grpc", told: "HTTP/2", ways: ["short", "general"] },
];

const ways = ["short", "general"];

/**
 * Who is ours, and how the server is reached. The runner's own client and server speak no gRPC over HTTP/3.
 */
const modes = [
  { name: "both", at: "peer", engine: "noq" },
  ...["noq", "quiche"].flatMap((engine) => [
    { name: "both", at: "url", engine },
    { name: "server", at: "url", engine, without: "grpc" },
    { name: "client", at: "url", engine, without: "grpc" },
  ]),
];

/**
 * Suites that compare times of the call with limits of 200 to 500 ms. A machine that stands still for longer, as one that is
 * shared does now and then, fails their cases; whatever fails twice in a row is ours.
 */
const timedSuites = ["Timeouts", "Deadline Propagation", "Client Cancellation"];

/** What a run takes on two busy cores, several times over. */
const runSeconds = 300;
/** Runs at a time: one leaves a core idle now and then. */
const jobs = availableParallelism();

const usage = `Usage: npm run test:conformance -- [options]

Runs the Connect project's conformance suite (connectrpc.com/conformance ${version}) over QUIC. The exit code is 0 when every
case has passed.

The first time, it builds the runner into .cache/conformance, which takes Go 1.${oldestGo} or later and some minutes.

A run is a mode, a protocol and a way.

A mode says what of ours is tested, and where the server is
  both, at peer      our client and our server, two peers that know each other by key
  both, at url       our client and our public listener
  server, at url     our public listener, with the runner's own client
  client, at url     our client, with the runner's own server

An engine carries the connections: noq, and where there are certificates quiche as well.

A way says what calls go through
  short      calls of Connect and gRPC go the short way that they have when nobody watches them
  general    all calls go the way that those of gRPC-Web always go: an interceptor that does nothing, on both sides,
             sends them there

Cases that look at the time are tried once more when they fail, and counted in the column "again".

Options
  --mode <name>       only these: ${[...new Set(modes.map(({ name }) => name))].join(", ")}
  --at <name>         only these: peer, url
  --engine <name>     only this one: noq, quiche
  --protocol <name>   only this one: ${protocols.map(({ name }) => name).join(", ")}
  --way <name>        only this one: ${ways.join(", ")}
  --run <pattern>     only the cases whose name matches, as "Timeouts/**"; may be given several times
  --verbose           all that the runner says
  --help
`;

const { values: options } = parseArgs({
  options: {
    mode: { type: "string" },
    at: { type: "string" },
    engine: { type: "string" },
    protocol: { type: "string" },
    way: { type: "string" },
    run: { type: "string", multiple: true, default: [] },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const chosen = {
  modes: modes.filter(
    ({ name, at, engine }) =>
      name === (options.mode ?? name) &&
      at === (options.at ?? at) &&
      engine === (options.engine ?? engine),
  ),
  protocols: protocols.filter(({ name }) => name === (options.protocol ?? name)),
  ways: ways.filter((name) => name === (options.way ?? name)),
};

const root = fileURLToPath(new URL("..", import.meta.url));
const programs = "test/conformance";
const cache = join(root, ".cache/conformance");
const runner = join(cache, "connectconformance");
const suites = join(cache, "suites");
const compiled = join(cache, "programs");

if (options.help) {
  console.log(usage);
} else if (Object.values(chosen).some((list) => list.length === 0)) {
  console.error(usage);
  process.exitCode = 2;
} else {
  try {
    await prepare();
    process.exitCode = (await runAll()) ? 0 : 1;
  } catch (error) {
    console.error(error instanceof Problem ? error.message : error);
    process.exitCode = 1;
  }
}

/** Brings the cache up to date, and compiles our programs, which need what is generated there. */
async function prepare() {
  const { version: generator } = readJson("node_modules/@bufbuild/protoc-gen-es/package.json");
  const stamp = `connectconformance ${version}, protoc-gen-es ${generator}\n`;
  const stampFile = join(cache, "stamp");
  if (!existsSync(stampFile) || readFileSync(stampFile, "utf8") !== stamp) {
    // Built elsewhere first, so that what is there is whole.
    const fresh = `${cache}.new`;
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { recursive: true });
    buildInto(fresh);
    writeFileSync(join(fresh, "stamp"), stamp);
    rmSync(cache, { recursive: true, force: true });
    renameSync(fresh, cache);
  }
  run("node_modules/typescript/bin/tsc", ["-p", programs]);
  // The suite looks at how long calls take, so no loader comes between.
  await bundle({
    entryPoints: ["client", "server"].map((name) => `${programs}/${name}.ts`),
    outdir: compiled,
    outExtension: { ".js": ".mjs" },
    // Here they start dozens of times.
    packages: "bundle",
    // Its binaries stay where they are.
    external: ["@matrixai/quic"],
    // For packages in CommonJS.
    banner: {
      js: 'import { createRequire as r } from "node:module"; const require = r(import.meta.url);',
    },
  });
}

function buildInto(folder) {
  const go = findGo();
  console.log(`building the conformance runner ${version} and what belongs to it`);
  const env = {
    ...process.env,
    GOBIN: folder,
    GOFLAGS: "-mod=mod",
    GOTOOLCHAIN: "auto",
    CGO_ENABLED: "0",
  };
  const call = (args) => {
    const { status, stdout } = spawnSync(go, args, {
      cwd: folder,
      env,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (status !== 0) {
      throw new Problem(`cannot build the conformance runner: go ${args[0]} failed`);
    }
    return stdout;
  };
  call(["install", `connectrpc.com/conformance/cmd/connectconformance@${version}`]);
  const { Dir: source } = JSON.parse(
    call(["mod", "download", "-json", `connectrpc.com/conformance@${version}`]),
  );
  const plugin = { local: "protoc-gen-es", out: "gen", opt: ["target=js+dts"] };
  const template = JSON.stringify({ version: "v2", plugins: [plugin] });
  run("node_modules/@bufbuild/buf/bin/buf", [
    ...["generate", join(source, "proto")],
    ...["--template", template, "--output", folder],
  ]);
  copySuites(
    join(source, "internal/app/connectconformance/testsuites/data"),
    join(folder, "suites"),
  );
}

/**
 * Some suites are for clients or for servers alone, and the runner leaves them out when it tests both. Where all that
 * stands against them is that line, they run here as well. Those with raw HTTP messages need a client or server of the
 * runner to send them.
 */
function copySuites(from, to) {
  mkdirSync(to);
  for (const name of readdirSync(from)) {
    const text = readFileSync(join(from, name), "utf8");
    if (!/\braw(Request|Response):/.test(text)) {
      writeFileSync(join(to, name), text.replace(/^mode: TEST_MODE_\w+\n/m, ""));
    }
  }
}

function findGo() {
  const found = ["go", "/usr/local/go/bin/go"]
    .map((path) => ({ path, says: spawnSync(path, ["version"], { encoding: "utf8" }).stdout }))
    .map(({ path, says }) => ({ path, minor: Number(/ go1\.(\d+)/.exec(says ?? "")?.[1] ?? 0) }));
  const go = found.find(({ minor }) => minor >= oldestGo);
  if (go !== undefined) {
    return go.path;
  }
  const [best] = found.filter(({ minor }) => minor > 0);
  const what = best === undefined ? "there is no Go" : `this Go is 1.${best.minor}`;
  throw new Problem(
    `the conformance runner is a program in Go, and ${what}: install Go 1.${oldestGo} or later, from https://go.dev/dl ` +
      "or as a package of your system (golang), and put it on the PATH",
  );
}

/** Prints a line per run. Returns whether all cases of all runs have passed. */
async function runAll() {
  const columns = ["mode", "at", "engine", "protocol", "told", "way"];
  row(...columns, "cases", "passed", "failed", "again", "seconds");
  const totals = { cases: 0, passed: 0, again: 0 };
  const failures = [];
  for await (const { run, result, seconds } of inOrder(runs(), jobs, timed)) {
    const { mode, protocol, way } = run;
    const { cases, passed, again, complete, output } = result;
    const what = [mode.name, mode.at, mode.engine, protocol.name, protocol.told, way];
    row(...what, cases, passed, cases - passed, again, seconds.toFixed(0));
    totals.cases += cases;
    totals.passed += passed;
    totals.again += again;
    if (!complete) {
      failures.push({ what, output });
    }
  }
  const { cases, passed, again } = totals;
  row("all", "", "", "", "", "", cases, passed, cases - passed, again, "");
  for (const { what, output } of failures) {
    console.log(`\n──── ${what.join(", ")}\n${output.trim()}`);
  }
  return failures.length === 0;
}

async function timed(run) {
  const start = performance.now();
  const result = await runTwiceWhatIsTimed(run);
  return { run, result, seconds: (performance.now() - start) / 1_000 };
}

/** Calls `work` with each item, with `width` of them at a time, and yields what comes of them in the order of the items. */
async function* inOrder(items, width, work) {
  const started = [];
  for (const index of items.keys()) {
    for (const item of items.slice(started.length, index + width)) {
      started.push(work(item));
    }
    yield await started[index];
  }
}

function runs() {
  return chosen.modes.flatMap((mode) =>
    chosen.protocols
      .filter(({ name }) => name !== mode.without)
      .flatMap((protocol) =>
        chosen.ways
          .filter((way) => protocol.ways.includes(way))
          .map((way) => ({ mode, protocol, way })),
      ),
  );
}

/** A line of the table: mode, where, engine, protocol, HTTP version told, way, cases run, passed, failed, seconds. */
function row(...cells) {
  console.log(cells.map((cell) => `${cell}`.padStart(8)).join("  "));
}

/** A run, whose failed cases are run again if all of them look at the time. `again`: how many that were. */
async function runTwiceWhatIsTimed(run) {
  const first = await runSuites(run, options.run);
  const failed = [...first.output.matchAll(/^FAILED: (.+):$/gm)].map(([, name]) => name);
  const timed = failed.every((name) => timedSuites.some((suite) => name.startsWith(`${suite}/`)));
  if (failed.length === 0 || first.passed + failed.length !== first.cases || !timed) {
    return { ...first, again: 0 };
  }
  const second = await runSuites(run, failed);
  return {
    cases: first.cases,
    passed: first.passed + second.passed,
    again: failed.length,
    complete: second.complete && second.cases === failed.length,
    output: first.output + second.output,
  };
}

/**
 * One run of the runner, of the cases that match a pattern or of all. `complete`: every case was run and has passed.
 */
async function runSuites({ mode, protocol, way }, patterns) {
  const program = (name) => [
    ...[process.execPath, join(compiled, `${name}.mjs`)],
    ...["--way", way, "--at", mode.at, "--engine", mode.engine],
  ];
  const tested = {
    both: [...program("client"), "----", ...program("server")],
    client: program("client"),
    server: program("server"),
  };
  // The runner's own client and server can play all suites.
  const files = mode.name === "both" ? readdirSync(suites) : [];
  const { code, output } = await spawnRunner([
    ...["--mode", mode.name, "--conf", configFile(protocol.name, mode.at)],
    ...files.flatMap((name) => ["--test-file", join(suites, name)]),
    ...patterns.flatMap((pattern) => ["--run", pattern]),
    ...(options.verbose ? ["-v"] : []),
    ...["--", ...tested[mode.name]],
  ]);
  const number = (pattern) => Number(pattern.exec(output)?.[1] ?? 0);
  const cases = number(/^Total cases: (\d+)$/m) + number(/^Another (\d+) could not be run/m);
  const passed = number(/^(\d+) passed, \d+ failed$/m);
  return { cases, passed, complete: code === 0 && cases > 0 && passed === cases, output };
}

/**
 * The configuration of a protocol, without what this Node.js lacks, and with certificates of clients where the server asks
 * for them: between peers, keys are in their place.
 */
function configFile(protocol, at) {
  const all = readFileSync(join(root, programs, `${protocol}.yaml`), "utf8");
  const zstd = typeof zlib.zstdCompress === "function";
  const possible = zstd ? all : all.replace(/^.*COMPRESSION_ZSTD\n/m, "");
  const file = join(cache, "config", `${protocol}-${at}.yaml`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, at === "url" ? `${possible}  supportsTlsClientCerts: true\n` : possible);
  return file;
}

/** Resolves with the exit code and all that the runner and our programs have said. */
function spawnRunner(args) {
  const child = spawn(runner, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own, so that nothing of it is left behind.
    detached: true,
  });
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk) => {
      chunks.push(chunk);
      if (options.verbose) {
        process.stdout.write(chunk);
      }
    });
  }
  const killAll = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // The group is gone already.
    }
  };
  const watchdog = setTimeout(() => {
    chunks.push(Buffer.from(`\nkilled after ${runSeconds} s`));
    killAll();
  }, runSeconds * 1_000);
  process.once("exit", killAll);
  const stop = () => process.exit(1);
  process.once("SIGINT", stop).once("SIGTERM", stop);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearTimeout(watchdog);
      killAll();
      process.off("exit", killAll).off("SIGINT", stop).off("SIGTERM", stop);
      resolve({ code, output: Buffer.concat(chunks).toString("utf8") });
    });
  });
}

/** Runs a program of node_modules, with its siblings on the PATH. */
function run(path, args) {
  const bin = join(root, "node_modules/.bin");
  const { status } = spawnSync(process.execPath, [join(root, path), ...args], {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` },
  });
  if (status !== 0) {
    throw new Problem(`${path} failed`);
  }
}

function readJson(path) {
  const file = join(root, path);
  if (!existsSync(file)) {
    throw new Problem(`${path} is not there: run \`npm ci\` first`);
  }
  return JSON.parse(readFileSync(file, "utf8"));
}
