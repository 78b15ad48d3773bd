import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What stands against tests with coturn, if anything does. */
export function coturnMissing(): string | undefined {
  const { status, stdout } = spawnSync("turnserver", ["--version"], { encoding: "utf8" });
  return status === 0 && /^\d+\.\d+/m.test(stdout)
    ? undefined
    : "coturn is not installed (turnserver)";
}

/** coturn as a STUN server, without TURN. Owned by who started it. */
export class Coturn implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #folder = mkdtempSync(join(tmpdir(), "connect-quic-coturn-"));
  #output = "";

  /** Starts it at all of `hosts`; it is ready some time later, which its answers show. */
  constructor(hosts: readonly string[], port: number) {
    const child = spawn(
      "turnserver",
      [
        ...["-n", "--stun-only", "--no-auth", "--no-cli", "--no-tcp", "--no-tls", "--no-dtls"],
        ...hosts.flatMap((host) => ["--listening-ip", host]),
        ...["--listening-port", `${port}`, "--relay-threads", "1"],
        ...["--log-file", "stdout", "--simple-log"],
        ...["--pidfile", join(this.#folder, "pid"), "--userdb", join(this.#folder, "db")],
      ],
      { stdio: ["ignore", "pipe", "pipe"], cwd: this.#folder },
    );
    this.#child = child;
    this.#ended = once(child, "close");
    this.#ended.catch(() => {});
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-10_000);
      });
    }
  }

  /** The end of what it has written, for a test that fails. */
  get output(): string {
    return this.#output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#ended.catch(() => {});
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
