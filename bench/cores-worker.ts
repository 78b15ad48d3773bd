// A worker of a server of bench/cores.ts.

import { BroadcastChannel } from "node:worker_threads";
import { bindWorkerEndpoint, createPeerRouter } from "../src/index.ts";
import { register, threadNumber } from "./cores-service.ts";

const endpoint = await bindWorkerEndpoint();
const tell = new BroadcastChannel("cores");
tell.postMessage(threadNumber());
tell.close();
register(createPeerRouter(endpoint));
