// A device in a process of its own: dials the hub of the ticket, and echoes, but never a message "wait".

import { createPeerRouter, createQuicTransport, Endpoint, SecretKey } from "../../src/index.ts";
import { EchoService, echoImplementation } from "../support/echo-service.ts";
import { serveParent } from "../support/process.ts";

const [ticket = "", key = "", idleTimeoutMs = "30000"] = process.argv.slice(2);
const endpoint = await Endpoint.bind({
  bind: "127.0.0.1:0",
  secretKey: SecretKey.parse(key),
  transport: { idleTimeoutMs: Number(idleTimeoutMs) },
});
const router = createPeerRouter(endpoint).service(EchoService, {
  ...echoImplementation,
  echo: ({ message }) => (message === "wait" ? new Promise(() => {}) : { message }),
});
createQuicTransport({ endpoint, to: ticket, serve: router, keepAliveIntervalMs: 300 });
serveParent({}, () => endpoint.close({ timeoutMs: 0 }));
