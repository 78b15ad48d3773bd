import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { runCommand } from "./run-command.ts";

/** A network of its own inside the kernel: interfaces, routes, packet filter, connection tracking. */
export class NetworkNamespace {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /** With the loopback interface up and nothing else. */
  static async create(name: string): Promise<NetworkNamespace> {
    await runCommand("ip", ["netns", "add", name]);
    const namespace = new NetworkNamespace(name);
    await namespace.ip("link set lo up");
    return namespace;
  }

  /** Runs lines of `ip`, for example `link set lo up`; stops at the first that fails. */
  async ip(...lines: readonly string[]): Promise<void> {
    await runCommand("ip", ["-n", this.name, "-batch", "-"], { input: `${lines.join("\n")}\n` });
  }

  /** As `ip -6` does: for lines whose family does not show in an address. */
  async ip6(...lines: readonly string[]): Promise<void> {
    const args = ["-6", "-n", this.name, "-batch", "-"];
    await runCommand("ip", args, { input: `${lines.join("\n")}\n` });
  }

  /** Loads rules into the packet filter, all or none of them. */
  async nft(rules: string): Promise<void> {
    await this.run("nft", ["-f", "-"], rules);
  }

  /** Sets kernel parameters, for example `net.ipv4.ip_forward` to 1. */
  async sysctl(values: Readonly<Record<string, number | string>>): Promise<void> {
    const settings = Object.entries(values).map(([key, value]) => `${key}=${value}`);
    await this.run("sysctl", ["-q", "-w", ...settings]);
  }

  /** Runs a program inside to its end. Resolves with its output. */
  run(command: string, args: readonly string[], input?: string): Promise<string> {
    return runCommand(
      "ip",
      ["netns", "exec", this.name, command, ...args],
      input === undefined ? {} : { input },
    );
  }

  /** Starts a program inside. The process is the program itself, so that signals reach it. */
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    return spawn("ip", ["netns", "exec", this.name, command, ...args], options);
  }

  /** Ends what runs inside and removes it, with its interfaces and their other ends. */
  remove(): Promise<void> {
    return removeNamespace(this.name);
  }
}

/** The names of all there are, ours and others. */
export async function listNamespaces(): Promise<string[]> {
  const lines = (await runCommand("ip", ["netns", "list"])).split("\n");
  return lines.map((line) => line.split(" ")[0] ?? "").filter((name) => name !== "");
}

/** Ends what runs in a namespace and removes it. Does nothing where it is gone. */
export async function removeNamespace(name: string): Promise<void> {
  // A namespace lives on, nameless, while a process is inside.
  const pids = await runCommand("ip", ["netns", "pids", name]).catch(() => "");
  for (const pid of pids.split("\n").map(Number)) {
    kill(pid);
  }
  await runCommand("ip", ["netns", "delete", name]).catch(async (error: unknown) => {
    if ((await listNamespaces()).includes(name)) {
      throw error;
    }
  });
  await rm(`/etc/netns/${name}`, { recursive: true, force: true });
}

function kill(pid: number): void {
  // 0 would be our own group.
  if (pid > 1) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
}
