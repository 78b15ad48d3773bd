import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { WorkerConsole } from "../../support/worker-console.ts";
import { peerPort } from "../lab/address-plan.ts";
import { ForwardedPort } from "../lab/forwarded-port.ts";
import type { LabNetwork } from "../lab/lab-network.ts";
import type { HostName } from "../lab/topology.ts";

export interface LabWorkerOptions {
  readonly host: HostName;
  /** The program `connect-quic`. */
  readonly main: string;
  readonly args: readonly string[];
}

/** `connect-quic worker` on a host of a laboratory, with its page within reach of the runner. It ends with the network. */
export class LabWorker implements Disposable {
  readonly id: string;
  readonly page: string;
  readonly console: WorkerConsole;
  readonly #child: ChildProcess;
  readonly #port: ForwardedPort;

  private constructor(child: ChildProcess, port: ForwardedPort, id: string) {
    this.id = id;
    this.page = `http://127.0.0.1:${port.port}/`;
    this.console = new WorkerConsole(this.page);
    this.#child = child;
    this.#port = port;
  }

  /** Resolves when it is there. Rejects with what it has written when it ends before. */
  static async start(network: LabNetwork, options: LabWorkerOptions): Promise<LabWorker> {
    const { host, main, args } = options;
    const here = ["--bind", `0.0.0.0:${peerPort}`, "--page", `127.0.0.1:${pagePort}`];
    const child = network.spawn(host, process.execPath, [main, "worker", ...here, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stderr = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-10_000);
    });
    const { stdout } = child;
    if (stdout === null) {
      throw new Error("no stdout");
    }
    let id = "";
    for await (const line of createInterface({ input: stdout })) {
      id = /^id +(\S+)$/.exec(line)?.[1] ?? id;
      if (line.startsWith("ticket ")) {
        stdout.resume();
        return new LabWorker(child, await ForwardedPort.open(network, host, pagePort), id);
      }
    }
    throw new Error(`the worker on host ${host} has ended: ${stderr}`);
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode === null && signalCode === null) {
      this.#child.kill("SIGKILL");
      await once(this.#child, "exit");
    }
  }

  [Symbol.dispose](): void {
    this.#port[Symbol.dispose]();
  }
}

/** On loopback of a network of its own. */
const pagePort = 8080;
