import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** How long a build may take on two cores that have other things to do as well. */
const buildTimeoutMs = 1_500_000;

/**
 * A Rust package of this repository, built for debugging. What cargo makes is kept outside of the tree, below
 * `~/.cache/connect-quic-ci` (`XDG_CACHE_HOME` moves it), and shared by all packages. The first build takes minutes, later
 * ones a second: progress goes to stderr. Where everything was built before, as for tests that have a time limit,
 * CONNECT_QUIC_CARGO is "built".
 */
export class RustProgram {
  readonly #folder: string;
  readonly #target: string;
  readonly #name: string;

  constructor(folder: URL, name: string) {
    const caches = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
    this.#folder = fileURLToPath(folder);
    this.#target = join(caches, "connect-quic-ci", "cargo", "interop");
    this.#name = name;
  }

  /** The program to run, once `prepare` found nothing against it. */
  get path(): string {
    return join(this.#target, "debug", this.#name);
  }

  /** Builds the program. Returns what stands against it, if anything does. */
  prepare(): string | undefined {
    if (process.env.CONNECT_QUIC_CARGO === "built") {
      return existsSync(this.path) ? undefined : `no ${this.#name}: it could not be built`;
    }
    const started = performance.now();
    const { status, error } = spawnSync("cargo", ["build", "--locked"], {
      cwd: this.#folder,
      stdio: ["ignore", "inherit", "inherit"],
      timeout: buildTimeoutMs,
      env: { ...process.env, CARGO_TARGET_DIR: this.#target },
    });
    if (status === 0) {
      const seconds = Math.round((performance.now() - started) / 1_000);
      console.error(`${this.#name}: built in ${seconds} s, ${statSync(this.path).size} bytes`);
      return undefined;
    }
    const why = error === undefined ? `cargo ended with ${status}` : error.message;
    return `no ${this.#name}: ${why} (it needs Rust's cargo and crates.io)`;
  }
}
