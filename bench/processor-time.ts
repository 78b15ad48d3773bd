// What processes have cost. Linux alone, for /proc.

import { readFileSync } from "node:fs";

/** Processor time of processes, over several times. */
export class ProcessorTime {
  readonly #processes: Readonly<Record<string, number>>;
  readonly #spent = new Map<string, number>();
  #before = new Map<string, number>();

  constructor(processes: Readonly<Record<string, number>>) {
    this.#processes = processes;
  }

  begin(): void {
    this.#before = this.#now();
  }

  end(): void {
    for (const [name, seconds] of this.#now()) {
      const passed = seconds - (this.#before.get(name) ?? 0);
      this.#spent.set(name, (this.#spent.get(name) ?? 0) + passed);
    }
  }

  per(megabytes: number): string {
    return [...this.#spent]
      .map(([name, seconds]) => `${name} ${((seconds * 1_000) / megabytes).toFixed(1)} ms/MB`)
      .join(", ");
  }

  #now(): Map<string, number> {
    return new Map(
      Object.entries(this.#processes).map(([name, pid]) => [name, processorSeconds(pid)]),
    );
  }
}

/** User and system time, which Linux counts in hundredths of a second. */
export function processorSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
