// What each worker does: the same as a program with one thread, but for where the endpoint comes from.

import { threadId } from "node:worker_threads";
import { bindWorkerEndpoint, createPeerRouter, peerKey } from "connect-quic";
import { registerEchoService } from "../../gen/echo/v1/echo_quic.ts";
import { printRow } from "../echo/terminal.ts";

const endpoint = await bindWorkerEndpoint();
const router = createPeerRouter(endpoint);
registerEchoService(router, {
  echo: ({ message }, context) => {
    printRow(`worker ${threadId}`, `echo for ${context.values.get(peerKey)?.id.short}`);
    return { message };
  },
  async *repeat({ message, count }) {
    for (let number = 1; number <= count; number++) {
      yield { message, number };
    }
  },
});
