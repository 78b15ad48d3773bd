import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

/** A Go module of this repository, built below .cache. Go is the one of PATH, or of /usr/local/go. */
export class GoProgram {
  readonly #folder: string;
  /** Where it is, once `build` found nothing against it. */
  readonly path: string;

  constructor(folder: URL, name: string) {
    this.#folder = fileURLToPath(folder);
    this.path = fileURLToPath(new URL(`../../../.cache/go/${name}`, import.meta.url));
  }

  /** Builds it, which takes a moment when nothing has changed. Returns what stands against it, if anything does. */
  build(): string | undefined {
    if (go(["version"]).status !== 0) {
      return "no Go, neither in PATH nor in /usr/local/go/bin";
    }
    mkdirSync(dirname(this.path), { recursive: true });
    const { status, stderr } = go(["build", "-buildvcs=false", "-o", this.path, "."], this.#folder);
    return status === 0 ? undefined : `go build: ${stderr.trim().split("\n").at(-1)}`;
  }

  /** The version of a module that it is built with, with a space before it. */
  versionOf(module: string): string {
    const { status, stdout } = go(["list", "-m", "-f", "{{.Version}}", module], this.#folder);
    return status === 0 ? ` ${stdout.trim().replace(/^v/, "")}` : "";
  }
}

function go(args: readonly string[], cwd = ".") {
  const PATH = `${process.env.PATH}:/usr/local/go/bin`;
  return spawnSync("go", args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, PATH },
    timeout: 240_000,
  });
}
