// A server of bench/cores.ts, with as many workers as it is told; without any it serves on the main thread.

import { BroadcastChannel } from "node:worker_threads";
import { createPeerRouter, Endpoint, serveOnWorkers } from "../src/index.ts";
import { runTypeScript } from "../test/support/run-typescript.ts";
import { register, threadNumber } from "./cores-service.ts";

const workers = Number(process.argv[2]);
const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
const threads: number[] = [];
if (workers === 0) {
  register(createPeerRouter(endpoint));
} else {
  const told = new BroadcastChannel("cores");
  const all = new Promise<void>((resolve) => {
    told.onmessage = (event) => {
      threads.push((event as { readonly data: number }).data);
      if (threads.length === workers) {
        resolve();
      }
    };
  });
  await serveOnWorkers(endpoint, new URL("./cores-worker.ts", import.meta.url), {
    workers,
    workerOptions: { execArgv: [runTypeScript] },
  });
  await all;
  told.close();
}
console.log(JSON.stringify({ ticket: endpoint.ticket(), main: threadNumber(), workers: threads }));
process.stdin.on("end", () => process.exit()).resume();
