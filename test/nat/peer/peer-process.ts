import type { ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { LabNetwork } from "../lab/lab-network.ts";
import type { HostName } from "../lab/topology.ts";
import type { PeerCommand, PeerEvent } from "./peer-protocol.ts";

/** Which program is at an end: ours, or real iroh. */
export type PeerKind = "ours" | "iroh";

/** The runner's side of a peer: its process on a host, what it has reported so far, and commands to it. */
export class PeerProcess {
  readonly host: HostName;
  readonly kind: PeerKind;
  readonly #child: ChildProcess;
  readonly #events: PeerEvent[] = [];
  readonly #waiting = new Set<() => void>();
  #stderr = "";
  #ended: string | undefined;

  private constructor(host: HostName, kind: PeerKind, child: ChildProcess) {
    this.host = host;
    this.kind = kind;
    this.#child = child;
    child.stdin?.on("error", () => {});
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-10_000);
    });
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        this.#events.push(JSON.parse(line) as PeerEvent);
        this.#wake();
      });
    }
    child.once("close", (code, signal) => {
      this.#ended = `ended with ${signal ?? code}`;
      this.#wake();
    });
  }

  /** Starts the process. It ends with the network at the latest. */
  static start(network: LabNetwork, host: HostName, kind: PeerKind): PeerProcess {
    const program = fileURLToPath(new URL(programs[kind], import.meta.url));
    const child = network.spawn(host, process.execPath, ["--import=tsx", program], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    return new PeerProcess(host, kind, child);
  }

  /** All that it has reported. */
  get events(): readonly PeerEvent[] {
    return this.#events;
  }

  /** What it has written to stderr: nothing, when all is well. */
  get complaints(): string {
    return this.#stderr.trim();
  }

  send(command: PeerCommand): void {
    this.#child.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  /**
   * Resolves as soon as `look` finds something, after each report; undefined when the time is over before. Rejects when
   * the process has ended.
   */
  async until<T>(look: () => T | undefined, timeoutMs: number): Promise<T | undefined> {
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      this.#wake();
    }, timeoutMs);
    try {
      for (;;) {
        const found = look();
        if (found !== undefined || timedOut) {
          return found;
        }
        if (this.#ended !== undefined) {
          throw new Error(`peer ${this.host} (${this.kind}) ${this.#ended}: ${this.#stderr}`);
        }
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The last report of a kind. */
  last<Type extends PeerEvent["type"]>(type: Type): Extract<PeerEvent, { type: Type }> | undefined {
    return this.#events.findLast(
      (event): event is Extract<PeerEvent, { type: Type }> => event.type === type,
    );
  }

  #wake(): void {
    for (const resolve of this.#waiting) {
      resolve();
    }
    this.#waiting.clear();
  }
}

const programs = { ours: "quic-peer.ts", iroh: "iroh-peer.ts" } as const;
