import { spawnSync } from "node:child_process";
import { homedir } from "node:os";
import { join } from "node:path";

/** How long a build may take on two cores that have other things to do as well. */
const buildTimeoutMs = 1_500_000;

const howToGetCargo =
  "https://rustup.rs, or on Debian apt-get install cargo-web; Rust 1.91 or later";

/** Where what cargo makes is kept: outside of the tree, for all checkouts. */
export const cargoFolder: string = join(
  process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"),
  "connect-quic-ci",
  "cargo",
);

/**
 * False where everything was built before and nothing is to be built now, as for tests that have a time limit:
 * CONNECT_QUIC_CARGO is "built".
 */
export function mayBuild(): boolean {
  return process.env.CONNECT_QUIC_CARGO !== "built";
}

/** Why a program is not there although it should have been built before. */
export function whyNotBuilt(program: string): string {
  const { error } = spawnSync("cargo", ["--version"], { stdio: "ignore" });
  return error === undefined
    ? `no ${program}: its build has failed, and said why; it needs crates.io, and Rust 1.91 or later`
    : noCargo(program);
}

/**
 * Builds a program with cargo, whose progress goes to stderr. Several builds into one folder wait for each other: cargo locks
 * it. Returns what stands against the program, if anything does.
 */
export function buildWithCargo(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly target: string },
): string | undefined {
  const { status, error } = spawnSync("cargo", args, {
    cwd: options.cwd,
    stdio: ["ignore", "inherit", "inherit"],
    timeout: buildTimeoutMs,
    env: { ...process.env, CARGO_TARGET_DIR: options.target },
  });
  if (status === 0) {
    return undefined;
  }
  if (error !== undefined && "code" in error && error.code === "ENOENT") {
    return noCargo(program);
  }
  const why = error?.message ?? `cargo ended with ${status}`;
  return `no ${program}: ${why} (it needs crates.io, and Rust 1.91 or later)`;
}

function noCargo(program: string): string {
  return `no ${program}: there is no cargo to build it with (${howToGetCargo})`;
}
