// Builds crates/quic-core into src/engine/noq/quic-core.wasm. For maintainers: the result is in the repository.
//
//   node scripts/build-wasm.mjs            builds, and records what was built in quic-core.json and NOTICE
//   node scripts/build-wasm.mjs --check    builds aside, and compares with what is recorded
//   node scripts/build-wasm.mjs --prepare  only lays out the sources, for cargo and editors
//
// The same compiler makes the same bytes in any directory: paths are mapped to fixed ones, and panics name no place.
// Another compiler makes other bytes. Then --check leaves its build where it says, to be tested.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { linkedCrates, notice } from "./wasm-notice.mjs";

const root = fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "");
const crates = join(root, "crates");
const work = join(crates, "target");
const engine = join(root, "src/engine/noq");
const recordFile = join(engine, "quic-core.json");
const triple = "wasm32-unknown-unknown";

/** The one published crate that is changed before it is compiled. */
const patched = {
  name: "noq-proto",
  version: "1.4.0",
  sha256: "c01a35be3ed37558c8db69554419f24eff8a63599b54f711bbe3863ec727c47d",
  patches: [
    "noq-proto-merge-chunks.patch",
    "noq-proto-answer-unvalidated.patch",
    "noq-proto-tell-unacknowledged.patch",
    "noq-proto-probe-with-keys.patch",
    "noq-proto-first-burst.patch",
    "noq-proto-tell-path-progress.patch",
    "noq-proto-send-again-at-once.patch",
    "noq-proto-raise-mtu.patch",
    "noq-proto-box-paths.patch",
    "noq-proto-probe-mtu.patch",
    "noq-proto-answer-probes.patch",
    "noq-proto-count-signs-of-life.patch",
    "noq-proto-fewer-ids.patch",
    "noq-proto-box-tables.patch",
    "noq-proto-box-previous.patch",
    "noq-proto-after-handshake.patch",
  ],
};

const cargoHome = process.env.CARGO_HOME ?? join(homedir(), ".cargo");

const mode = process.argv[2] ?? "--write";
if (process.argv.length > 3 || !["--write", "--check", "--prepare"].includes(mode)) {
  fail("usage: node scripts/build-wasm.mjs [--check | --prepare]");
}

const tools = findTools();
prepareSources();
if (mode !== "--prepare") {
  const targetDir = mode === "--check" ? join(work, "check") : work;
  if (mode === "--check") {
    rmSync(targetDir, { recursive: true, force: true });
  }
  const built = build(targetDir);
  mode === "--check" ? check(built) : write(built);
}

function write(built) {
  const bytes = readFileSync(built);
  const used = linkedCrates(tools, crates, triple);
  copyFileSync(built, join(engine, "quic-core.wasm"));
  writeFileSync(recordFile, `${JSON.stringify(record(bytes, used), undefined, 2)}\n`);
  writeFileSync(join(root, "NOTICE"), notice(used, patched));
  console.log(
    `quic-core.wasm: ${bytes.length} bytes, ${gzipSync(bytes, { level: 9 }).length} gzipped`,
  );
}

function check(built) {
  const recorded = JSON.parse(readFileSync(recordFile, "utf8"));
  const committed = sha256(readFileSync(join(engine, "quic-core.wasm")));
  if (committed !== recorded.sha256) {
    fail(`quic-core.wasm has SHA-256 ${committed}, but quic-core.json says ${recorded.sha256}`);
  }
  const rebuilt = sha256(readFileSync(built));
  if (rebuilt === recorded.sha256) {
    console.log(`rebuilt: the same bytes, SHA-256 ${rebuilt}`);
  } else if (JSON.stringify(versions()) === JSON.stringify(recorded.tools)) {
    fail(`the sources build to SHA-256 ${rebuilt}, but ${recorded.sha256} is committed`);
  } else {
    console.log("rebuilt: other bytes, because the tools are others than those recorded");
  }
  console.log(`the new build is ${built}`);
}

function record(bytes, used) {
  return {
    sha256: sha256(bytes),
    bytes: bytes.length,
    gzipBytes: gzipSync(bytes, { level: 9 }).length,
    tools: versions(),
    crates: used.map(({ name, version }) => `${name} ${version}`),
  };
}

function versions() {
  const first = (command) => run(command, ["--version"], { quiet: true }).split("\n")[0].trim();
  return { rustc: first(tools.rustc), clang: first(tools.clang), linker: first(tools.linker) };
}

/** Downloads the crate that is patched, checks that it is the one we know, unpacks and patches it. */
function prepareSources() {
  const target = join(work, patched.name);
  const stamp = join(target, ".patched");
  const patches = patched.patches.map((name) => join(crates, "patches", name));
  const state = sha256(
    [patched.sha256, ...patches.map((file) => sha256(readFileSync(file)))].join(),
  );
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === state) {
    return;
  }
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  const archive = download();
  run("tar", ["-xzf", archive, "-C", target, "--strip-components=1"]);
  for (const patch of patches) {
    // Told of no repository around it, git applies a patch to plain files.
    run("git", ["apply", "--unidiff-zero", "-p1", patch], {
      cwd: target,
      env: { GIT_CEILING_DIRECTORIES: work },
    });
  }
  writeFileSync(stamp, state);
}

/** Has cargo fetch the crate through a project that depends on nothing else; returns the archive in cargo's cache. */
function download() {
  const project = join(work, "download");
  mkdirSync(join(project, "src"), { recursive: true });
  writeFileSync(join(project, "src/lib.rs"), "");
  writeFileSync(
    join(project, "Cargo.toml"),
    `[package]\nname = "download"\nversion = "0.0.0"\nedition = "2024"\n\n[dependencies]\n` +
      `${patched.name} = "=${patched.version}"\n\n[workspace]\n`,
  );
  run(tools.cargo, ["fetch", "--target", triple], { cwd: project, env: toolEnvironment() });
  const cache = join(cargoHome, "registry/cache");
  const archive = readdirSync(cache)
    .map((registry) => join(cache, registry, `${patched.name}-${patched.version}.crate`))
    .find((file) => existsSync(file));
  if (archive === undefined) {
    fail(`cargo has not put ${patched.name} ${patched.version} into ${cache}`);
  }
  const found = sha256(readFileSync(archive));
  if (found !== patched.sha256) {
    fail(`${archive} has SHA-256 ${found}, expected ${patched.sha256}`);
  }
  return archive;
}

/** Returns the file that was built. */
function build(targetDir) {
  const remap = [
    [root, "/connect-quic"],
    [realpathSync(cargoHome), "/cargo"],
    [cargoHome, "/cargo"],
    [tools.library, "/rust/library"],
    [realpathSync(tools.library), "/rust/library"],
  ];
  const rustFlags = [
    "-Ctarget-feature=+simd128,+bulk-memory",
    "-Zlocation-detail=none",
    ...remap.map(([from, to]) => `--remap-path-prefix=${from}=${to}`),
  ];
  const cFlags = [
    "-O3",
    "-msimd128",
    ...remap.map(([from, to]) => `-ffile-prefix-map=${from}=${to}`),
  ];
  run(
    tools.cargo,
    [
      "build",
      "--locked",
      "--release",
      "-Zbuild-std=std,panic_abort",
      "--target",
      triple,
      "--target-dir",
      targetDir,
    ],
    {
      cwd: crates,
      env: {
        ...toolEnvironment(),
        CARGO_ENCODED_RUSTFLAGS: rustFlags.join("\x1f"),
        CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: tools.linker,
        CC_wasm32_unknown_unknown: tools.clang,
        AR_wasm32_unknown_unknown: tools.archiver,
        CFLAGS_wasm32_unknown_unknown: cFlags.join(" "),
      },
    },
  );
  return join(targetDir, triple, "release/quic_core.wasm");
}

/** A release compiler takes -Z options when told so: building the standard library afresh needs one. */
function toolEnvironment() {
  return { RUSTC: tools.rustc, RUSTC_BOOTSTRAP: "1" };
}

function findTools() {
  const rustc = firstOf("RUSTC", ["/usr/bin/rustc", "rustc"], (command) => librarySource(command));
  const found = {
    rustc,
    library: rustc && librarySource(rustc),
    cargo: firstOf("CARGO", ["/usr/bin/cargo", "cargo"]),
    linker: firstOf("WASM_LD", ["wasm-ld-19", "wasm-ld", "rust-lld"]),
    clang: firstOf("WASM_CLANG", ["clang-19", "clang"]),
    archiver: firstOf("WASM_AR", ["llvm-ar-19", "llvm-ar"]),
  };
  const missing = Object.keys(found).filter((tool) => !found[tool]);
  if (missing.length > 0) {
    fail(
      [
        `missing: ${missing.join(", ")}`,
        "",
        "The WebAssembly is built with Rust 1.96 or later, the source of its standard library, LLVM's linker for",
        "WebAssembly, and clang (for the C in ring).",
        "",
        "Debian 12 and later:  apt-get install --no-install-recommends \\",
        "                        rustc-web cargo-web rust-web-src lld-19 clang-19 llvm-19",
        "elsewhere:            rustup toolchain install 1.96 --component rust-src, and LLVM with lld and clang",
        "",
        "RUSTC, CARGO, WASM_LD, WASM_CLANG and WASM_AR name others than those in the path.",
      ].join("\n"),
    );
  }
  return found;
}

function firstOf(variable, candidates, works = () => true) {
  const named = process.env[variable];
  return (named === undefined ? candidates : [named]).find(
    (command) => spawnSync(command, ["--version"]).status === 0 && works(command),
  );
}

/** Where the compiler's standard library can be built from, if its source is there. */
function librarySource(rustc) {
  const { stdout, status } = spawnSync(rustc, ["--print", "sysroot"], { encoding: "utf8" });
  const library = join(stdout?.trim() ?? "", "lib/rustlib/src/rust/library");
  return status === 0 && existsSync(join(library, "std/Cargo.toml")) ? library : undefined;
}

function sha256(data) {
  return createHash("sha256").update(data).digest("hex");
}

function run(command, args, { cwd = root, env = {}, quiet = false } = {}) {
  const result = spawnSync(command, args, {
    cwd,
    env: { ...process.env, ...env },
    encoding: "utf8",
    stdio: ["ignore", quiet ? "pipe" : "inherit", "inherit"],
  });
  if (result.error !== undefined) {
    fail(`cannot run ${command}: ${result.error.message}`);
  }
  if (result.status !== 0) {
    fail(`${command} ${args[0]} failed`);
  }
  return result.stdout ?? "";
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
