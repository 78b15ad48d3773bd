// Programs that end by themselves, or do not: the argument says which. Each prints "done" as its last act.

import { createEchoClient } from "../../gen/echo/v1/echo_quic.ts";
import { createPeerRouter, createQuicTransport, Endpoint } from "../../src/index.ts";

const [scenario = "", ticket = ""] = process.argv.slice(2);
const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
const client = createEchoClient(endpoint, ticket === "" ? endpoint.id : ticket);

const scenarios: Record<string, () => Promise<void>> = {
  /** An endpoint that was never closed. */
  unused: async () => {},
  /** A connection that nobody closed, and no call on it. */
  idle: async () => {
    await client.echo({ message: "once" });
  },
  /** A raw connection that nobody closed. */
  connection: async () => {
    await endpoint.connect(ticket, "connect-quic/1");
  },
  /** Everything was closed. */
  closed: async () => {
    await client.echo({ message: "once" });
    await endpoint.close();
  },
  /** A router that was closed, its endpoint not. */
  router: async () => {
    await createPeerRouter(endpoint).close();
  },
  /** Connections that stay: one that serves, of a router that is closed then, and what is left after it. */
  staying: async () => {
    const serve = createPeerRouter(endpoint);
    const serving = createQuicTransport({ endpoint, to: ticket, serve });
    const staying = createQuicTransport({ endpoint, to: ticket, stayConnected: true });
    await serving.connect();
    await serve.close();
    await staying.connect();
  },
  /** A call that is still waiting for its connection when nothing else is left to do. */
  waiting: async () => {
    const outcome = await client
      .echo({ message: "x" }, { timeoutMs: 1_000 })
      .catch((error: unknown) => error);
    console.log(String(outcome));
  },
};

const run = scenarios[scenario];
if (run === undefined) {
  throw new Error(`no scenario ${scenario}`);
}
await run();
console.log("done");
