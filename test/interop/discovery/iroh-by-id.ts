// Run by iroh-by-id.test.ts in a network of its own, in which an iroh-dns-server is the DNS: real iroh, as it comes with its
// public discovery, dials one of ours that it knows by nothing but the id. Prints what came of it as JSON.

import { dnsDiscovery } from "../../../src/discovery/dns-discovery.ts";
import { n0Origins } from "../../../src/discovery/n0-origins.ts";
import { PeerDiscovery } from "../../../src/discovery/peer-discovery.ts";
import { pkarrPublisher } from "../../../src/discovery/pkarr-publisher.ts";
import { Endpoint } from "../../../src/endpoint/endpoint.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { SecretKey } from "../../../src/identity/secret-key.ts";
import { iroh } from "../iroh/iroh.ts";
import { numbers } from "../iroh/iroh-peer.ts";
import { IrohDnsServer } from "./iroh-dns-server.ts";
import { addrTexts, find, liveContext } from "./live-context.ts";

const alpn = "connect-quic-by-id/1";
const { dnsOrigin } = n0Origins.production;

await using server = await IrohDnsServer.start({ origins: [dnsOrigin], dnsPort: 53 });
const secretKey = SecretKey.generate();
const { publicKey: id } = secretKey;
await using ours = await Endpoint.bind({ secretKey, bind: "127.0.0.1:0", alpns: [alpn] });
await using publisher = new PeerDiscovery(
  [pkarrPublisher({ relay: server.pkarrRelay, addrs: "all" })],
  liveContext(secretKey),
);
publisher.publish({ addr: EndpointAddr.from({ id, addrs: ours.addr().addrs }) });
// With the system's DNS servers, as iroh does it.
await using resolver = new PeerDiscovery([dnsDiscovery({ origin: dnsOrigin })], liveContext());
const found = await find(resolver, id);

const { Endpoint: Iroh, EndpointAddr: IrohAddr, EndpointId: IrohId, presetN0DisableRelay } = iroh();
const builder = Iroh.builder();
presetN0DisableRelay(builder);
const theirs = await builder.bind();
const accepted = ours.accept();
const dialed = await theirs.connect(
  new IrohAddr(IrohId.fromString(`${id}`), null, []),
  numbers(alpn),
);
const connection = await accepted;
console.log(
  JSON.stringify({
    found: addrTexts(found),
    bound: addrTexts({ addr: ours.addr(), ttlMs: 0, source: "" }),
    id: `${id}`,
    dialed: dialed.remoteId().toString(),
    accepted: `${connection?.remoteId}`,
    dialer: theirs.id().toString(),
  }),
);
await theirs.close();
