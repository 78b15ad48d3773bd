// A worker that serves EchoService. What it is told to do besides stands in its `workerData` and in the messages.

import { setTimeout as wait } from "node:timers/promises";
import { threadId, workerData } from "node:worker_threads";
import { createClient } from "@connectrpc/connect";
import {
  bindWorkerEndpoint,
  createPeerRouter,
  createQuicTransport,
  type Peer,
  peerKey,
} from "connect-quic";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";
import { echoImplementation } from "./echo-service.ts";

const { behaviour = "serve" } = workerData as { behaviour?: string };

if (behaviour === "throw") {
  throw new Error("no database");
}
if (behaviour === "idle") {
  await wait(600_000);
}

const endpoint = await bindWorkerEndpoint({
  authorize: () => behaviour !== "refuse",
  // Every address has to be proven.
  ...(behaviour === "retry" ? { incoming: { retryAbove: 0 } } : {}),
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
      case "ticket":
        return { message: endpoint.ticket() };
      case "bind again":
        return { message: await bindWorkerEndpoint().then(String, String) };
      case "call back":
        return { message: await callBack(context.values.get(peerKey)) };
      case "paths": {
        const paths = context.values.get(peerKey)?.connection.paths() ?? [];
        return { message: paths.map(({ remote }) => remote.type).join() };
      }
      default:
        return { message: message.startsWith("endpoint") ? await call(message) : message };
    }
  },
});

async function callBack(caller: Peer | undefined): Promise<string> {
  if (caller === undefined) {
    return "nobody calls";
  }
  const client = createClient(EchoService, caller.transport());
  const { message } = await client.echo({ message: "back" });
  return message;
}

/** Dials a peer from here: a connection whose other end is to find back to this worker. */
async function call(ticket: string): Promise<string> {
  const client = createClient(EchoService, createQuicTransport({ endpoint, to: ticket }));
  const { message } = await client.echo({ message: "from a worker" });
  return message;
}
