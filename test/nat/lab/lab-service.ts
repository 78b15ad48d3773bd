import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import type { LabNetwork } from "./lab-network.ts";

export interface LabServiceOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** What it writes when it is there for its clients. */
  readonly ready: RegExp;
}

/** A server on the internet of a laboratory, which can be killed and started again. It ends with the network. */
export class LabService {
  readonly #network: LabNetwork;
  readonly #options: LabServiceOptions;
  #child: ChildProcess | undefined;
  #told = "";

  private constructor(network: LabNetwork, options: LabServiceOptions) {
    this.#network = network;
    this.#options = options;
  }

  /** Resolves when it is ready. */
  static async start(network: LabNetwork, options: LabServiceOptions): Promise<LabService> {
    const service = new LabService(network, options);
    await service.restart();
    return service;
  }

  /** What the group in `ready` held, or else all that it matched. */
  get told(): string {
    return this.#told;
  }

  /** Gives it no chance to say goodbye. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "close");
    }
  }

  /** Starts it after `kill`. Rejects with its output when it ends before it is ready, or takes too long. */
  async restart(): Promise<void> {
    const { command, args, env, ready } = this.#options;
    const child = this.#network.spawn("services", command, args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    let output = "";
    await new Promise<void>((resolve, reject) => {
      const fail = (what: string): void => reject(new Error(`${command} ${what}: ${output}`));
      const timer = setTimeout(() => fail("is not ready"), startTimeoutMs);
      const read = (text: string): void => {
        // Later it is read only to be out of its way.
        if (output.length < 65_536) {
          output += text;
          const found = ready.exec(output);
          if (found !== null) {
            this.#told = found[1] ?? found[0];
            clearTimeout(timer);
            resolve();
          }
        }
      };
      child.stdout?.setEncoding("utf8").on("data", read);
      child.stderr?.setEncoding("utf8").on("data", read);
      child.once("error", (error) => fail(error.message));
      child.once("close", (code, signal) => {
        clearTimeout(timer);
        fail(`ended with ${signal ?? code}`);
      });
    });
  }
}

const startTimeoutMs = 20_000;
