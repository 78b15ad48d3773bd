import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

export interface CargoBinaryOptions {
  /** On crates.io. */
  readonly crate: string;
  readonly version: string;
  readonly features?: readonly string[];
  /** Default: the crate's name. */
  readonly binary?: string;
}

/** How long a build may take on two cores. */
const buildTimeoutMs = 1_500_000;

/**
 * A program of a crate, built when it is first asked for and kept outside of the tree, below `~/.cache/connect-quic-ci`
 * (`XDG_CACHE_HOME` moves it). A build takes minutes: its progress goes to stderr. Where everything was built before, as for
 * tests that have a time limit, CONNECT_QUIC_CARGO is "built".
 */
export class CargoBinary {
  readonly #options: CargoBinaryOptions;
  readonly #folder: string;

  constructor(options: CargoBinaryOptions) {
    const { crate, version } = options;
    const caches = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
    this.#options = options;
    this.#folder = join(caches, "connect-quic-ci", "cargo", `${crate}-${version}`);
  }

  /** The program to run, once `prepare` found nothing against it. */
  get path(): string {
    return join(this.#folder, "bin", this.#options.binary ?? this.#options.crate);
  }

  /** Builds the program, if there is none yet. Returns what stands against it, if anything does. */
  prepare(): string | undefined {
    if (existsSync(this.path)) {
      return undefined;
    }
    const { crate, version, features = [], binary = crate } = this.#options;
    if (process.env.CONNECT_QUIC_CARGO === "built") {
      return `no ${crate} ${version}: it could not be built`;
    }
    const { status, error } = spawnSync(
      "cargo",
      [
        ...["install", crate, "--version", `=${version}`, "--locked", "--root", this.#folder],
        ...["--bin", binary, "--features", features.join(",")],
      ],
      {
        stdio: ["ignore", "inherit", "inherit"],
        timeout: buildTimeoutMs,
        env: { ...process.env, CARGO_TARGET_DIR: join(this.#folder, "..", "target") },
      },
    );
    if (status === 0) {
      return undefined;
    }
    const why = error === undefined ? `cargo ended with ${status}` : error.message;
    return `no ${crate} ${version}: ${why} (it needs Rust's cargo and crates.io)`;
  }
}
