// The other process of the soak test: serves EchoService, and answers the message "report" with what it holds.

import { registerEchoService } from "../../gen/echo/v1/echo_quic.ts";
import { createPeerRouter, Endpoint } from "../../src/index.ts";
import { holdings } from "../support/holdings.ts";
import { serveParent } from "../support/process.ts";

const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
const router = createPeerRouter(endpoint);
registerEchoService(router, {
  echo: ({ message }) => ({
    message: message === "report" ? JSON.stringify(holdings(endpoint)) : message,
  }),
});
serveParent({ ticket: endpoint.ticket() }, async () => {
  await router.close({ graceMs: 0 });
  await endpoint.close();
});
