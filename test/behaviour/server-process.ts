// The other process of the behaviour suite: the test services on a wire of choice. Prints where they are as one line of
// JSON, and ends when stdin does.
//
//   node --import tsx test/behaviour/server-process.ts --wire h2c|h2|bridge|quic|intercepted-quic|url
//     |tunnel-quic|tunnel-h2c|reverse-quic|reverse-tunnel-quic|reverse-tunnel-h2c [--to <whom it dials>]

import { once } from "node:events";
import { createSecureServer, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import { createPeerRouter, createQuicTransport, Endpoint, peerKey } from "../../src/index.ts";
import { createTunnelHost, serveReverseTunnel, TunnelService } from "../../src/tunnel.ts";
import { serveParent } from "../support/process.ts";
import { createSelfSignedCertificate } from "../support/self-signed-certificate.ts";
import { TestAuthority } from "../support/test-pki.ts";
import { allCompressions } from "./compressions.ts";
import type { ConnectNodeGreeting } from "./connect-node-subject.ts";
import { passOn, type QuicGreeting } from "./quic-subject.ts";
import { serveHub } from "./reverse-subject.ts";
import { registerTestServices } from "./test-service.ts";
import type { UrlGreeting } from "./url-subject.ts";

const { values } = parseArgs({
  options: { wire: { type: "string" }, to: { type: "string", default: "" } },
});

switch (values.wire) {
  case "h2c":
  case "h2":
    await serveHttp2(values.wire);
    break;
  case "bridge":
    await serveBridge();
    break;
  case "url":
    await serveUrl();
    break;
  case "quic":
    await serveQuic([]);
    break;
  case "intercepted-quic":
    await serveQuic([passOn]);
    break;
  case "reverse-quic":
    await serveHubOfParent(values.to);
    break;
  case "tunnel-quic":
    await serveTunnelsOverQuic();
    break;
  case "tunnel-h2c":
    await serveTunnelsOverHttp2();
    break;
  case "reverse-tunnel-quic":
    await serveThroughQuic(values.to);
    break;
  case "reverse-tunnel-h2c":
    await serveThrough(createGrpcTransport({ baseUrl: values.to }), async () => {});
    break;
  default:
    throw new RangeError(`no wire ${JSON.stringify(values.wire)}`);
}

async function serveHttp2(wire: "h2c" | "h2"): Promise<void> {
  const handler = connectNodeAdapter({
    routes: (router) => registerTestServices(router),
    acceptCompression: [...allCompressions],
  });
  await listenToHttp2(handler, wire);
}

async function listenToHttp2(
  handler: ReturnType<typeof connectNodeAdapter>,
  wire: "h2c" | "h2",
  stopped: () => Promise<void> = async () => {},
): Promise<void> {
  const certificate = wire === "h2" ? createSelfSignedCertificate() : undefined;
  const server =
    certificate === undefined ? createServer(handler) : createSecureServer(certificate, handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const greeting: ConnectNodeGreeting = {
    port,
    ...(certificate === undefined ? {} : { certificate: certificate.cert }),
  };
  serveParent(greeting, async () => {
    server.close();
    for (const session of sessions) {
      session.destroy();
    }
    await stopped();
  });
}

/** The services of a router, for those who speak HTTP/2. */
async function serveBridge(): Promise<void> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint, { acceptCompression: [...allCompressions] });
  registerTestServices(router);
  await listenToHttp2(router.bridge(), "h2", async () => {
    await router.close({ graceMs: 0 });
    await endpoint.close();
  });
}

/** The services of a router, for those who know a URL. */
async function serveUrl(): Promise<void> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint, { acceptCompression: [...allCompressions] });
  registerTestServices(router);
  const authority = await TestAuthority.create();
  const { chainPem, keyPem } = await authority.server(["127.0.0.1"]);
  const listener = await router.listen({ bind: "127.0.0.1:0", cert: chainPem, key: keyPem });
  const greeting: UrlGreeting = {
    url: `https://127.0.0.1:${listener.addresses[0]?.port}`,
    authority: authority.certPem,
  };
  serveParent(greeting, async () => {
    await router.close({ graceMs: 0 });
    await endpoint.close();
  });
}

async function serveQuic(interceptors: Interceptor[]): Promise<void> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint, {
    acceptCompression: [...allCompressions],
    interceptors,
    wires: ["connect-quic", "tonic-iroh"],
  });
  registerTestServices(router, {
    peerId: (context) => context.values.get(peerKey).id.toString(),
  });
  const greeting: QuicGreeting = { ticket: endpoint.ticket() };
  serveParent(greeting, async () => {
    await router.close({ graceMs: 0 });
    await endpoint.close();
  });
}

async function serveHubOfParent(hub: string): Promise<void> {
  const { close } = await serveHub(hub);
  serveParent({}, close);
}

async function serveTunnelsOverQuic(): Promise<void> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const host = createTunnelHost({
    routes: (services) =>
      registerTestServices(services, {
        peerId: (context) => context.values.get(peerKey).id.toString(),
      }),
  });
  const router = createPeerRouter(endpoint);
  router.service(TunnelService, host.service);
  const greeting: QuicGreeting = { ticket: endpoint.ticket() };
  serveParent(greeting, async () => {
    await host.close();
    await router.close({ graceMs: 0 });
    await endpoint.close();
  });
}

async function serveTunnelsOverHttp2(): Promise<void> {
  const host = createTunnelHost({ routes: (services) => registerTestServices(services) });
  const handler = connectNodeAdapter({
    routes: (router) => router.service(TunnelService, host.service),
  });
  await listenToHttp2(handler, "h2c", () => host.close());
}

async function serveThroughQuic(ticket: string): Promise<void> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  await serveThrough(createQuicTransport({ endpoint, to: ticket }), () => endpoint.close(), {
    peerId: (context) => context.values.get(peerKey).id.toString(),
  });
}

/** Opens a reverse tunnel, and serves in it. */
async function serveThrough(
  transport: Transport,
  close: () => Promise<void>,
  options?: Parameters<typeof registerTestServices>[1],
): Promise<void> {
  const server = serveReverseTunnel(createClient(TunnelService, transport), (router) =>
    registerTestServices(router, options),
  );
  await server.opened;
  serveParent({}, async () => {
    await server.close();
    await close();
  });
}
