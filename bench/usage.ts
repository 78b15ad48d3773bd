import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

/** What a process has used since its start, and what there was on the loopback interface of its network. */
export interface Usage {
  /** Time of processors, on all threads, in user and system mode. */
  readonly cpuUs: number;
  /**
   * Resident memory; of a process with --expose-gc after it has collected what is of no use, and from Node.js 22 on given back
   * what is free.
   */
  readonly residentBytes: number;
  readonly loopback: LoopbackCounters;
}

/** As IP packets, headers included. Zero where the system does not tell. */
export interface LoopbackCounters {
  readonly bytes: number;
  readonly packets: number;
}

export async function readUsage(): Promise<Usage> {
  // Twice, because finalizers of the first time set free what the second one collects.
  for (let times = 0; globalThis.gc !== undefined && times < 2; times++) {
    globalThis.gc({ type: "major", execution: "sync", flavor: "last-resort" });
    await sleep(100);
  }
  const { user, system } = process.cpuUsage();
  return {
    cpuUs: user + system,
    residentBytes: process.memoryUsage.rss(),
    loopback: process.platform === "linux" ? parseLoopback(readProc()) : { bytes: 0, packets: 0 },
  };
}

/** Reads the line of `lo` in the text of /proc/net/dev: received bytes and packets, which are what was sent as well. */
export function parseLoopback(text: string): LoopbackCounters {
  const found = /^\s*lo:\s*(\d+)\s+(\d+)/m.exec(text);
  return { bytes: Number(found?.[1] ?? 0), packets: Number(found?.[2] ?? 0) };
}

function readProc(): string {
  return readFileSync("/proc/self/net/dev", "utf8");
}
