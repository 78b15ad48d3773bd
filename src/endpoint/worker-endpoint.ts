import { type MessagePort, workerData } from "node:worker_threads";
import { nodePlatform } from "../base/node-platform.ts";
import { Endpoint, type ShardEndpointOptions } from "./endpoint.ts";
import type { HubMessage, ShardPort, ShardWelcome } from "./shard-link.ts";
import { ShardNetwork } from "./shard-network.ts";

/** Under this name the pool's word to a worker stands in its `workerData`. */
export const workerKey = "connect-quic";

/** What a worker of a pool is started with. */
export interface WorkerStart {
  readonly welcome: ShardWelcome;
  readonly port: MessagePort;
}

/**
 * Options of an endpoint in a worker. Who it is, its addresses, relays and discovery are those of the endpoint in the main
 * thread. Hooks run here, and limits count what is here: each worker has its own.
 */
export type WorkerEndpointOptions = ShardEndpointOptions;

let isTaken = false;

/**
 * In a worker that `serveOnWorkers` has started: this worker's part of the shared endpoint. It accepts the connections that
 * the main thread hands to it, dials peers like any other endpoint, and closes when the pool does; when the first protocol is
 * served on it, as by `createPeerRouter`, connections begin to come.
 *
 * Throws TypeError in any other thread, and when it is called twice.
 */
export async function bindWorkerEndpoint(options: WorkerEndpointOptions = {}): Promise<Endpoint> {
  const start = startOf(workerData);
  if (start === undefined) {
    throw new TypeError(
      "cannot bind a worker's endpoint: serveOnWorkers has not started this thread",
    );
  }
  if (isTaken) {
    throw new TypeError("cannot bind a worker's endpoint: this worker has one already");
  }
  isTaken = true;
  const { welcome, port } = start;
  const platform = options.platform ?? nodePlatform;
  const network = new ShardNetwork({ welcome, port: shardPort(port), platform });
  const endpoint = await Endpoint.bindShard(network, options);
  port.on("message", (message: HubMessage | undefined) => network.receive(message));
  // What is served, awaited or under way keeps the worker alive, as it does a process.
  return endpoint;
}

/** A port of a MessageChannel as the two sides of a shard see it. */
export function shardPort(port: MessagePort): ShardPort {
  return {
    post: (message) => port.postMessage(message),
    setRef: (ref) => (ref ? port.ref() : port.unref()),
  };
}

function startOf(data: unknown): WorkerStart | undefined {
  return typeof data === "object" && data !== null && workerKey in data
    ? // The pool has put it there.
      (data[workerKey] as WorkerStart)
    : undefined;
}
