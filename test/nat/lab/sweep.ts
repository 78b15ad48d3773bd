import { readFileSync } from "node:fs";
import { parseNamespaceName } from "./namespace-name.ts";
import { listNamespaces, removeNamespace } from "./network-namespace.ts";

/** Removes the networks of runs that are gone: killed, or crashed before they could. Returns how many namespaces that were. */
export function sweepLeftovers(): Promise<number> {
  return sweep((pid) => !isRunning(pid));
}

/** Removes all networks of one run. */
export function sweepRun(pid: number): Promise<number> {
  return sweep((other) => other === pid);
}

async function sweep(isDoomed: (pid: number) => boolean): Promise<number> {
  const doomed = (await listNamespaces()).filter((name) => {
    const parsed = parseNamespaceName(name);
    return parsed !== undefined && isDoomed(parsed.pid);
  });
  // Two sweeps may meet at one namespace: who comes second finds nothing to do.
  await Promise.all(doomed.map((name) => removeNamespace(name)));
  return doomed.length;
}

/** Whether a process is a laboratory: its id may have gone to another program since. */
function isRunning(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("test/nat/");
  } catch {
    return false;
  }
}
