import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildWithCargo, cargoFolder, mayBuild, whyNotBuilt } from "./cargo.ts";

/**
 * A Rust package of this repository, built for debugging. What cargo makes is kept outside of the tree, below
 * `~/.cache/connect-quic-ci` (`XDG_CACHE_HOME` moves it), and shared by all packages. The first build takes minutes, later
 * ones a second: progress goes to stderr.
 */
export class RustProgram {
  readonly #folder: string;
  readonly #target: string;
  /** For messages, and its file. */
  readonly name: string;

  constructor(folder: URL, name: string) {
    this.#folder = fileURLToPath(folder);
    this.#target = join(cargoFolder, "interop");
    this.name = name;
  }

  /** The program to run, once `prepare` found nothing against it. */
  get path(): string {
    return this.pathOf(this.name);
  }

  /** Another program of the same package. */
  pathOf(name: string): string {
    return join(this.#target, "debug", name);
  }

  /** Builds all programs of the package. Returns what stands against them, if anything does. */
  prepare(): string | undefined {
    if (!mayBuild()) {
      return existsSync(this.path) ? undefined : whyNotBuilt(this.name);
    }
    return buildWithCargo(this.name, ["build", "--locked"], {
      cwd: this.#folder,
      target: this.#target,
    });
  }
}
