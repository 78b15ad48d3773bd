// Picks the test files of a suite and hands them to node's own runner, with a limit on how long each may take.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const usage = `Usage: npm test -- [options] [pattern ...]
       npm run test:slow -- [options] [pattern ...]
       npm run test:interop -- [options] [pattern ...]

Runs the test files whose path contains one of the patterns; without a pattern, all of the suite.

Suites
  quick     *.test.ts in src, bench, test and the plugins
  slow      the files with slow cases: *.slow.test.ts, and those that look at CONNECT_QUIC_TEST,
            which is set to "slow" for them
  interop   test/interop: against other implementations; builds first what the files need of programs in Rust (a first
            time takes minutes), says in its output what it skips and why, and ends with a table of the HTTP/3 stacks

Options
  --name <regexp>      only tests whose name matches
  --timeout <seconds>  per process of tests, afterwards it is killed and has failed (quick 300, interop 300, slow 1800)
  --jobs <n>           files at a time (default: one more than cores; interop and slow: 1)
  --no-skips           a skipped test fails the run, unless its reason begins with "this machine" or "this stack"
  --list               print the files and stop
  --help
`;

/**
 * `fileSeconds`: how long one file may take; `suiteSeconds`: all of them; `before`: a program that runs first, with the
 * files.
 */
const suites = {
  // Processes start and wait a lot: with one more than there are cores, none of them idles.
  quick: {
    fileSeconds: 300,
    suiteSeconds: 1_200,
    jobs: availableParallelism() + 1,
    environment: {},
  },
  slow: {
    fileSeconds: 1_800,
    suiteSeconds: 14_400,
    jobs: 1,
    environment: { CONNECT_QUIC_TEST: "slow" },
  },
  interop: {
    fileSeconds: 300,
    suiteSeconds: 1_800,
    jobs: 1,
    // They are built before, outside of the tests' time.
    environment: { CONNECT_QUIC_CARGO: "built" },
    before: "test/support/build-iroh-programs.ts",
  },
};

const typescript = `--import=${new URL("typescript.mjs", import.meta.url).href}`;
const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Tests in these folders, and in folders of theirs, need no process of their own: those of a folder share one, as every
 * start takes half a second of a core.
 */
const together = ["bench", "src", "test/reverse"];

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: "string" },
    timeout: { type: "string" },
    jobs: { type: "string" },
    "no-skips": { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const [suiteName = "quick", ...patterns] = positionals;
const suite = suites[suiteName];
if (suite === undefined) {
  console.error(
    `no suite ${JSON.stringify(suiteName)}: there are ${Object.keys(suites).join(", ")}`,
  );
  process.exit(2);
}
if (options.help) {
  console.log(usage);
  process.exit(0);
}

const files = testFiles().filter(
  (file) =>
    belongsTo(suiteName, file) &&
    (patterns.length === 0 || patterns.some((pattern) => file.includes(pattern))),
);
if (options.list) {
  console.log(files.join("\n"));
} else if (files.length === 0) {
  console.error(`no test file of the ${suiteName} suite matches ${patterns.join(" ")}`);
  process.exitCode = 1;
} else {
  process.exitCode = await run(suiteName === "quick" ? joined(files) : files);
}

/** All test files, as paths from the root with forward slashes, in order. */
function testFiles() {
  const packages = readdirSync(join(root, "plugins")).map((name) => `plugins/${name}`);
  const folders = [
    "src",
    ...packages.flatMap((path) => [`${path}/src`, `${path}/test`]),
    "bench",
    "test",
  ];
  return folders
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true }).map(
        (name) => `${folder}/${name.split(sep).join("/")}`,
      ),
    )
    .filter((path) => path.endsWith(".test.ts") && !path.includes("/node_modules/"))
    .sort();
}

/** Puts a file that imports them in the place of test files that one process can run. */
function joined(all) {
  const folders = new Map();
  for (const file of all) {
    const folder = dirname(file);
    const isJoined = together.some((path) => `${folder}/`.startsWith(`${path}/`));
    const key = isJoined ? folder : file;
    folders.set(key, [...(folders.get(key) ?? []), file]);
  }
  return [...folders].map(([folder, files]) => {
    if (files.length === 1) {
      return files[0];
    }
    const file = `.cache/tests/${folder.replaceAll("/", "-")}.test.mjs`;
    const imports = files.map((each) => `await import(${JSON.stringify(`../../${each}`)});\n`);
    mkdirSync(join(root, dirname(file)), { recursive: true });
    writeFileSync(join(root, file), imports.join(""));
    return file;
  });
}

function belongsTo(name, file) {
  if (file.startsWith("test/interop/")) {
    return name === "interop";
  }
  const slowAlone = file.endsWith(".slow.test.ts");
  if (name === "slow") {
    return slowAlone || readFileSync(join(root, file), "utf8").includes("CONNECT_QUIC_TEST");
  }
  return name === "quick" && !slowAlone;
}

function reporters(...names) {
  return names.flatMap((name) => [`--test-reporter=${name}`, "--test-reporter-destination=stdout"]);
}

/** Resolves with the exit code. */
function run(files) {
  if (suite.before !== undefined) {
    const stdio = ["ignore", "inherit", "inherit"];
    const args = [typescript, suite.before, ...files];
    const { signal } = spawnSync(process.execPath, args, { cwd: root, stdio });
    if (signal !== null) {
      return 1;
    }
  }
  const fileSeconds = Number(options.timeout ?? suite.fileSeconds);
  const jobs = Number(options.jobs ?? suite.jobs);
  const child = spawn(
    process.execPath,
    [
      typescript,
      "--test",
      ...reporters(
        "spec",
        ...(suiteName === "interop" ? ["./scripts/interop-table.mjs"] : []),
        ...(options["no-skips"] ? ["./scripts/no-skips.mjs"] : []),
      ),
      `--test-timeout=${fileSeconds * 1_000}`,
      `--test-concurrency=${jobs}`,
      ...(options.name === undefined ? [] : [`--test-name-pattern=${options.name}`]),
      ...files,
    ],
    {
      cwd: root,
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...suite.environment },
      // A group of its own, so that the watchdog also ends what the tests started.
      detached: true,
    },
  );
  const killAll = (signal) => {
    try {
      process.kill(-child.pid, signal);
    } catch {
      // The group is gone already.
    }
  };
  // The runner kills a file that takes too long, but waits for a grandchild that holds the file's output open.
  const watchdog = setTimeout(() => {
    console.error(`the tests hang: killed after ${suite.suiteSeconds} s`);
    killAll("SIGKILL");
  }, suite.suiteSeconds * 1_000);
  for (const signal of ["SIGINT", "SIGTERM"]) {
    process.on(signal, () => killAll(signal));
  }
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      clearTimeout(watchdog);
      killAll("SIGKILL");
      resolve(code ?? 1);
    });
  });
}
