import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Endpoint } from "../../src/index.ts";

/** What a process holds that should not grow with the calls and connections that are over. */
export interface Holdings {
  /** Bytes, after a garbage collection. */
  readonly heap: number;
  /** Buffers and WebAssembly memory, bytes. */
  readonly external: number;
  /** Of the engine, bytes. */
  readonly engine: number;
  /** Sockets, timers and whatever else the event loop knows. */
  readonly resources: number;
  readonly connections: number;
}

setFlagsFromString("--expose-gc");
const collectGarbage: unknown = runInNewContext("gc");

export function holdings(endpoint: Endpoint): Holdings {
  if (typeof collectGarbage === "function") {
    collectGarbage();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  const { connections, memoryBytes } = endpoint.stats();
  return {
    heap: heapUsed,
    external: arrayBuffers,
    engine: memoryBytes,
    resources: process.getActiveResourcesInfo().length,
    connections,
  };
}
