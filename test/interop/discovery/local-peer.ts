// A peer in the local network, for local-network.test.ts: says who it is, and with an id as argument what it finds of it.

import { localNetwork } from "../../../src/discovery/local-network.ts";
import { PeerDiscovery } from "../../../src/discovery/peer-discovery.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { EndpointId } from "../../../src/identity/endpoint-id.ts";
import { serveParent } from "../../support/process.ts";
import { addrTexts, find, liveContext } from "./live-context.ts";

const context = liveContext();
const { publicKey: id } = context.secretKey;
const discovery = new PeerDiscovery([localNetwork()], context);
const port = 10_000 + (process.pid % 50_000);
discovery.publish({
  addr: EndpointAddr.from({ id, addrs: [`192.0.2.1:${port}`, `[2001:db8::1]:${port}`] }),
  userData: `process ${process.pid}`,
});
const [, , wanted] = process.argv;
// Nothing else keeps this process from ending while it looks.
process.stdin.resume();
const found = wanted === undefined ? undefined : await find(discovery, EndpointId.parse(wanted));
serveParent(
  { id, port, found: found && { addrs: addrTexts(found), userData: found.userData } },
  () => discovery.close(),
);
