// The other process of the behaviour suite over connect-quic: a peer that serves the test services. Prints its ticket,
// closes its connections on SIGUSR2, and ends when stdin does.

import { createPeerRouter, Endpoint, peerKey } from "../../src/index.ts";
import { serveParent } from "../support/process.ts";
import { registerTestServices } from "./test-service.ts";

const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
const router = createPeerRouter(endpoint, { readMaxBytes: 0xffff_ffff });
registerTestServices(router, { peerId: (context) => context.values.get(peerKey).id.toString() });
process.on("SIGUSR2", () => {
  for (const connection of endpoint.connections) {
    void connection.close({ timeoutMs: 0 });
  }
});
serveParent({ ticket: endpoint.ticket() }, async () => {
  await router.close({ graceMs: 0 });
  await endpoint.close();
});
