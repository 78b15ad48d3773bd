import { spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A Python with one package from PyPI in it, below .cache, made when first asked for. */
export class PythonEnvironment {
  readonly #folder: string;
  readonly #module: string;
  readonly #requirement: string;

  /** @param requirement as pip takes it: `aioquic>=1.2,<2` */
  constructor(module: string, requirement: string) {
    this.#folder = fileURLToPath(new URL(`../../.cache/python/${module}`, import.meta.url));
    this.#module = module;
    this.#requirement = requirement;
  }

  /** The interpreter to run programs with, once `prepare` found nothing against it. */
  get interpreter(): string {
    return join(this.#folder, "bin/python");
  }

  /** Makes the environment, if there is none yet. Returns what stands against it, if anything does. */
  prepare(): string | undefined {
    if (this.#isReady()) {
      return undefined;
    }
    rmSync(this.#folder, { recursive: true, force: true });
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    const problem =
      attempt("Python 3 with its venv module", "python3", ["-m", "venv", this.#folder]) ??
      attempt(this.#requirement, this.interpreter, [...pip, this.#requirement]);
    if (problem !== undefined) {
      rmSync(this.#folder, { recursive: true, force: true });
    }
    return problem;
  }

  /** Of the package, with a space before it; empty when it is not there. */
  version(): string {
    const code = `import importlib.metadata as m; print(m.version(${JSON.stringify(this.#module)}))`;
    const { status, stdout } = spawnSync(this.interpreter, ["-c", code], { encoding: "utf8" });
    return status === 0 ? ` ${stdout.trim()}` : "";
  }

  #isReady(): boolean {
    const { interpreter } = this;
    return (
      existsSync(interpreter) &&
      spawnSync(interpreter, ["-c", `import ${this.#module}`]).status === 0
    );
  }
}

/** Runs a step of the installation; returns why it failed. */
function attempt(what: string, command: string, args: readonly string[]): string | undefined {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 180_000 });
  return status === 0 ? undefined : `no ${what}: ${(stderr ?? "").trim().split("\n").at(-1) ?? ""}`;
}
