// Run by local-network.test.ts: looks for a peer and publishes in all ways, and closes nothing.

import { localNetwork } from "../../../src/discovery/local-network.ts";
import { mainlineDht } from "../../../src/discovery/mainline-dht.ts";
import { PeerDiscovery } from "../../../src/discovery/peer-discovery.ts";
import { pkarrPublisher } from "../../../src/discovery/pkarr-publisher.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { SecretKey } from "../../../src/identity/secret-key.ts";
import { liveContext } from "./live-context.ts";

const context = liveContext();
const discovery = new PeerDiscovery(
  [
    localNetwork(),
    mainlineDht({ bootstrap: ["127.0.0.1:9"] }),
    pkarrPublisher({ relay: "http://127.0.0.1:9/pkarr" }),
  ],
  context,
);
const addrs = ["https://a.example/", "10.0.0.1:1"];
discovery.publish({ addr: EndpointAddr.from({ id: context.secretKey.publicKey, addrs }) });
const stop = new AbortController();
const looking = discovery.resolve(SecretKey.generate().publicKey, { signal: stop.signal }).next();
// Leaves the sockets open.
stop.abort(new Error("enough"));
await looking.catch(({ message }: Error) => console.log(message));
