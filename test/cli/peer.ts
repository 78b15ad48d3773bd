// A peer that is at home at a relay, and takes calls without serving any method.
//
//   peer.ts <relay>

import { createPeerRouter, Endpoint } from "../../src/index.ts";
import { serveParent } from "../support/process.ts";

const [relay = ""] = process.argv.slice(2);
const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0", relays: [relay] });
createPeerRouter(endpoint);
await endpoint.online();
serveParent({ ticket: endpoint.ticket(), id: endpoint.id.toString() }, () => endpoint.close());
