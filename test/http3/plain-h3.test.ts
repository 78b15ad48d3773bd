// What SETTINGS say of requests both ways, on connections over UDP: never by the protocol `h3`, whoever serves or calls, and
// always where a peer serves.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";
import { deferred } from "../../src/base/deferred.ts";
import { nodePlatform } from "../../src/base/node-platform.ts";
import { WebDialer } from "../../src/endpoint/web-dialer.ts";
import { WebListener } from "../../src/endpoint/web-listener.ts";
import { Http3Connection } from "../../src/http3/http3-connection.ts";
import { requestsBothWaysSetting, type Settings } from "../../src/http3/settings.ts";
import { parseCertificates } from "../../src/identity/certificates.ts";
import { WebCertificate } from "../../src/identity/web-certificate.ts";
import { createPeerRouter, createQuicTransport, Endpoint } from "../../src/index.ts";
import { connectQuicAlpn } from "../../src/rpc/alpn.ts";
import { echoImplementation } from "../support/echo-service.ts";
import { servePublicly, testAuthority } from "../support/public-router.ts";
import { stayAlive } from "../support/stay-alive.ts";

const timeout = 30_000;
const onError = (error: unknown): void => assert.fail(String(error));

stayAlive();

/** One end of a connection that offers the extension, and tells what the other end has said. */
function offering(
  connection: ConstructorParameters<typeof Http3Connection>[0],
  role: "client" | "server",
) {
  const heard = deferred<Settings>();
  const session: Http3Connection = new Http3Connection(connection, {
    role,
    platform: nodePlatform,
    requestsBothWays: true,
    onSettings: () => heard.resolve(session.peerSettings),
    onRequest: () => assert.fail("nobody calls"),
  });
  return { session, settings: heard.promise };
}

function assertPlain({ extensions, qpackMaxTableCapacity }: Settings): void {
  assert.ok(qpackMaxTableCapacity > 0, "these are not the initial values");
  assert.equal(extensions.get(requestsBothWaysSetting), undefined);
}

test("a public listener never offers requests both ways", { timeout }, async (t) => {
  await using served = await servePublicly();
  served.router.service(EchoService, echoImplementation);
  const authorities = parseCertificates(served.ca);
  const dialer = new WebDialer({ authorities, platform: nodePlatform, onError });
  t.after(() => dialer.close());
  const release = dialer.hold();
  t.after(release);
  const { session, settings } = await dialer.connect(
    { host: "127.0.0.1", port: served.port, serverName: "127.0.0.1" },
    ["h3"],
    { timeoutMs: timeout },
    (connection) => offering(connection, "client"),
  );
  t.after(() => session.shutdown({ timeoutMs: 0 }));
  assertPlain(await settings);
});

test("a transport to a URL never offers requests both ways", { timeout }, async (t) => {
  const authority = await testAuthority();
  const { certPem, keyPem } = await authority.server(["127.0.0.1"]);
  const accepted = deferred<ReturnType<typeof offering>>();
  const listener = await WebListener.bind({
    bind: "127.0.0.1:0",
    certificate: WebCertificate.fromPem({ cert: certPem, key: keyPem }),
    alpns: ["h3"],
    platform: nodePlatform,
    onConnection: ({ engine }) => accepted.resolve(offering(engine, "server")),
    onError,
  });
  t.after(() => listener.close());
  await using endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const to = new URL(`https://127.0.0.1:${listener.localAddresses[0]?.port}`);
  const ca = authority.certPem;
  const transport = createQuicTransport({ endpoint, to, ca });
  t.after(() => transport.close({ timeoutMs: 0 }));
  await transport.connect();
  const { session, settings } = await accepted.promise;
  t.after(() => session.shutdown({ timeoutMs: 0 }));
  assertPlain(await settings);
  const serve = createPeerRouter(endpoint);
  assert.throws(() => createQuicTransport({ endpoint, to, ca, serve } as never), TypeError);
});

test("a peer offers requests both ways where it serves, and only there", { timeout }, async () => {
  await using hub = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(hub).service(EchoService, echoImplementation);
  await using device = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const connection = await device.connect(hub.addr(), [connectQuicAlpn]);
  const { connection: engine, start } = connection.handOver(async () => {});
  const { session, settings } = offering(engine, "client");
  start();
  assert.equal((await settings).extensions.get(requestsBothWaysSetting), 1);
  await session.shutdown({ timeoutMs: 0 });
  await using caller = await Endpoint.bind({ bind: "127.0.0.1:0" });
  await using plain = createQuicTransport({ endpoint: caller, to: hub.ticket() });
  await createClient(EchoService, plain).echo({});
  assert.equal(router.peers.get(caller.id), undefined, "who serves nothing has not offered it");
  await router.close({ graceMs: 0 });
});
