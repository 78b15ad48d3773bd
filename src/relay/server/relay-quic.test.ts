import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import {
  createSelfSignedCertificate,
  type SelfSignedCertificate,
} from "../../../test/support/self-signed-certificate.ts";
import { stayAlive } from "../../../test/support/stay-alive.ts";
import { testCredentials } from "../../../test/support/test-credentials.ts";
import { nodePlatform } from "../../base/node-platform.ts";
import { BoundEngine } from "../../endpoint/bound-engine.ts";
import { Endpoint } from "../../endpoint/endpoint.ts";
import { untilConnected } from "../../endpoint/until-connected.ts";
import type { CloseCause, EngineConnection } from "../../engine/engine.ts";
import { parseCertificates } from "../../identity/certificates.ts";
import { RelayServer } from "./relay-server.ts";

stayAlive();

const loopback = { host: "127.0.0.1", port: 0 };

async function start(t: TestContext, tls: SelfSignedCertificate): Promise<RelayServer> {
  const relay = await RelayServer.start({ listen: loopback, tls, quic: loopback });
  t.after(() => relay.close());
  return relay;
}

async function ask(t: TestContext, relay: RelayServer, { cert }: SelfSignedCertificate) {
  const endpoint = await Endpoint.bind({
    bind: "127.0.0.1:0",
    relays: [
      {
        url: relay.url,
        authorities: parseCertificates(cert),
        quicPort: relay.quicAddress?.port ?? false,
      },
    ],
  });
  t.after(() => endpoint.close({ timeoutMs: 0 }));
  const { publicAddresses, udp, observers } = await endpoint.netcheck();
  return { endpoint, publicAddresses, udp, observers };
}

test("a client learns from a relay over QUIC from where its packets come", async (t) => {
  const tls = createSelfSignedCertificate();
  const relay = await start(t, tls);
  const { endpoint, publicAddresses, udp } = await ask(t, relay, tls);
  assert.equal(udp, true);
  assert.deepEqual(publicAddresses, endpoint.boundAddresses);
  assert.equal(relay.metrics.addressConnections, 1);
  await endpoint.close({ timeoutMs: 0 });
  assert.match(relay.metrics.toOpenMetrics(), /qad_connections_total 1$/m);
});

test("a new certificate of a relay is shown over QUIC too", async (t) => {
  const [old, fresh] = [createSelfSignedCertificate(), createSelfSignedCertificate()];
  const relay = await start(t, old);
  relay.setCertificate(fresh);
  assert.deepEqual((await ask(t, relay, old)).publicAddresses, []);
  assert.equal((await ask(t, relay, fresh)).publicAddresses.length, 1);
});

test("who tells addresses speaks nothing else, and takes no streams and no datagrams", async (t) => {
  const tls = createSelfSignedCertificate();
  const relay = await start(t, tls);
  const remote = relay.quicAddress ?? assert.fail();
  const bound = await BoundEngine.bind(
    {
      credentials: { ...testCredentials(1), serverAuthorities: parseCertificates(tls.cert) },
      alpns: [],
      bind: "127.0.0.1:0",
      platform: nodePlatform,
    },
    { incoming: () => {}, failed: () => {}, handlerError: () => {} },
  );
  t.after(() => bound.destroy());
  const dial = (alpn: string) =>
    new Promise<EngineConnection | CloseCause>((resolve) => {
      const expected = { type: "web", serverName: "localhost" } as const;
      const handler = untilConnected(() => resolve(connection), resolve);
      const { connection } = bound.dial([remote], { expected, alpns: [alpn], handler });
    });
  const refused = await dial("h3");
  assert.ok("type" in refused && refused.type === "transport" && refused.code === 0x178n);
  const connection = await dial("/iroh-qad/0");
  assert.ok("openStream" in connection);
  assert.equal(connection.openStream("bidirectional"), undefined);
  assert.equal(connection.openStream("unidirectional"), undefined);
  assert.equal(connection.maxDatagramSize, undefined);
});

test("telling addresses needs a certificate, and a port that is free", async (t) => {
  await assert.rejects(
    RelayServer.start({ listen: loopback, quic: loopback }),
    (error) => error instanceof TypeError,
  );
  const tls = createSelfSignedCertificate();
  const relay = await start(t, tls);
  const { port } = relay.quicAddress ?? loopback;
  await assert.rejects(RelayServer.start({ listen: loopback, tls, quic: { ...loopback, port } }), {
    name: "RelayError",
    code: "cannot-start",
    message: /cannot listen on 127\.0\.0\.1:\d+/,
  });
});
