// The real relay: iroh-relay of n0-computer, a program in Rust.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { irohRelay } from "./iroh-programs.ts";

/** Why iroh's relay cannot run here, for the tests' `skip`; false where it can. The first call may build it. */
export const noIrohRelay: string | false = irohRelay.prepare() ?? false;

/** How long the relay may take until it answers. */
const startTimeoutMs = 30_000;

export interface IrohRelayOptions {
  /** Default: one that is free. */
  readonly port?: number;
  /** More lines of its configuration, TOML. */
  readonly config?: string;
  /** A certificate and its key, both PEM. Default: plain HTTP. */
  readonly tls?: { readonly chainPem: string; readonly keyPem: string };
  /** Whether it tells addresses over QUIC, for which it needs `tls`. Default false. */
  readonly quic?: boolean;
}

/** A running iroh-relay on loopback. */
export class IrohRelay implements AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Where it tells addresses, if it does. */
  readonly quicPort: number | undefined;
  readonly #child: ChildProcess;
  readonly #folder: string;

  private constructor(
    { url, quicPort }: { readonly url: string; readonly quicPort: number | undefined },
    child: ChildProcess,
    folder: string,
  ) {
    this.url = url;
    this.quicPort = quicPort;
    this.pid = child.pid ?? 0;
    this.#child = child;
    this.#folder = folder;
  }

  static async start(options: IrohRelayOptions = {}): Promise<IrohRelay> {
    const { config = "", port, tls, quic = false } = options;
    const quicPort = quic ? await freePort() : undefined;
    const mainPort = port ?? (await freePort());
    const plainPort = tls === undefined ? mainPort : await freePort();
    const folder = mkdtempSync(join(tmpdir(), "iroh-relay-"));
    const write = (name: string, text: string): string => {
      const path = join(folder, name);
      writeFileSync(path, text);
      return path;
    };
    const lines = [
      `http_bind_addr = "127.0.0.1:${plainPort}"`,
      "enable_metrics = false",
      `enable_quic_addr_discovery = ${quic}`,
      config,
      ...(tls === undefined
        ? []
        : [
            "[tls]",
            `https_bind_addr = "127.0.0.1:${mainPort}"`,
            ...(quicPort === undefined ? [] : [`quic_bind_addr = "127.0.0.1:${quicPort}"`]),
            'cert_mode = "Manual"',
            `manual_cert_path = "${write("cert.pem", tls.chainPem)}"`,
            `manual_key_path = "${write("key.pem", tls.keyPem)}"`,
          ]),
    ];
    const configPath = write("relay.toml", lines.join("\n"));
    const child = spawn(
      irohRelay.path,
      [...(tls === undefined ? ["--dev"] : []), "--config-path", configPath],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-10_000);
    });
    const killAtExit = (): void => {
      child.kill("SIGKILL");
    };
    process.once("exit", killAtExit);
    child.once("exit", () => process.off("exit", killAtExit));
    const end = performance.now() + startTimeoutMs;
    // The one page that is there in plain HTTP with and without TLS.
    while (!(await answers(`http://127.0.0.1:${plainPort}/generate_204`))) {
      if (child.exitCode !== null || performance.now() > end) {
        child.kill("SIGKILL");
        throw new Error(`iroh-relay did not start: ${stderr}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const url =
      tls === undefined ? `http://127.0.0.1:${mainPort}/` : `https://localhost:${mainPort}/`;
    return new IrohRelay({ url, quicPort }, child, folder);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGKILL");
      await exited;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}
