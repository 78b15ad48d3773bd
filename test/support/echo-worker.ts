// A worker that serves EchoService. What it is told to do besides stands in its `workerData` and in the messages.

import { setTimeout as wait } from "node:timers/promises";
import { threadId, workerData } from "node:worker_threads";
import { bindWorkerEndpoint, createPeerRouter, peerKey } from "connect-quic";
import { echoImplementation } from "./echo-service.ts";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";

const { behaviour = "serve" } = workerData as { behaviour?: string };

if (behaviour === "throw") {
  throw new Error("no database");
}
if (behaviour === "idle") {
  await wait(600_000);
}

const endpoint = await bindWorkerEndpoint({
  authorize: () => behaviour !== "refuse",
});
const router = createPeerRouter(endpoint);
router.service(EchoService, {
  ...echoImplementation,
  /** Messages that are commands: what is answered says how it went. */
  async echo({ message }, context) {
    switch (message) {
      case "thread":
        return { message: String(threadId) };
      case "die":
        setImmediate(() => {
          throw new Error("killed by a caller");
        });
        return { message };
      case "wait":
        await wait(500, undefined, { signal: context.signal });
        return { message: "waited" };
      case "address":
        return { message: JSON.stringify(endpoint.addr()) };
      case "caller":
        return { message: String(context.values.get(peerKey)?.connection.remoteAddress.type) };
      default:
        return { message };
    }
  },
});
