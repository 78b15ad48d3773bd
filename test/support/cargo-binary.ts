import { existsSync } from "node:fs";
import { join } from "node:path";
import { buildWithCargo, cargoFolder, mayBuild, whyNotBuilt } from "./cargo.ts";

export interface CargoBinaryOptions {
  /** On crates.io. */
  readonly crate: string;
  readonly version: string;
  readonly features?: readonly string[];
  /** Default: the crate's name. */
  readonly binary?: string;
}

/**
 * A program of a crate, built when it is first asked for and kept outside of the tree, below `~/.cache/connect-quic-ci`
 * (`XDG_CACHE_HOME` moves it). A build takes minutes: its progress goes to stderr.
 */
export class CargoBinary {
  readonly #options: CargoBinaryOptions;
  readonly #folder: string;
  /** For messages. */
  readonly name: string;

  constructor(options: CargoBinaryOptions) {
    this.#options = options;
    this.#folder = join(cargoFolder, `${options.crate}-${options.version}`);
    this.name = `${options.crate} ${options.version}`;
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
    if (!mayBuild()) {
      return whyNotBuilt(this.name);
    }
    const { crate, version, features = [], binary = crate } = this.#options;
    return buildWithCargo(
      this.name,
      [
        ...["install", crate, "--version", `=${version}`, "--locked", "--root", this.#folder],
        ...["--bin", binary, "--features", features.join(",")],
      ],
      { target: join(cargoFolder, "target") },
    );
  }
}
