import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:https";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { openHeard } from "../../../test/support/heard-messages.ts";
import { createSelfSignedCertificate } from "../../../test/support/self-signed-certificate.ts";
import { stayAlive } from "../../../test/support/stay-alive.ts";
import { relayHttpVectors } from "../../../test/vectors/relay-vectors.ts";
import { nodePlatform } from "../../base/node-platform.ts";
import { Signal } from "../../base/signal.ts";
import { parseCertificates } from "../../identity/certificates.ts";
import { parseRelayUrl } from "../../identity/relay-url.ts";
import { SecretKey } from "../../identity/secret-key.ts";
import { openNodeMessageChannel } from "../node-message-channel.ts";
import { authHeaderName, createAuthHeader } from "../relay-auth-header.ts";
import { RelayClient, type RelayClientOptions, type RelayClientState } from "../relay-client.ts";
import { allowIds, requireToken } from "./relay-access.ts";
import { RelayServer, type RelayServerOptions } from "./relay-server.ts";

stayAlive();

const loopback = { host: "127.0.0.1", port: 0 };

async function start(
  t: TestContext,
  options: Partial<RelayServerOptions> = {},
): Promise<RelayServer> {
  const relay = await RelayServer.start({ listen: loopback, ...options });
  t.after(() => relay.close());
  return relay;
}

class Peer {
  readonly key = SecretKey.generate();
  readonly client: RelayClient;
  readonly received: Uint8Array[] = [];
  readonly states: RelayClientState[] = [];
  readonly #changed = new Signal();

  constructor(
    t: TestContext,
    relay: { readonly url: string },
    options: Partial<RelayClientOptions> = {},
  ) {
    this.client = new RelayClient({
      url: parseRelayUrl(relay.url),
      secretKey: this.key,
      platform: nodePlatform,
      openChannel: openNodeMessageChannel,
      handler: {
        datagrams: (_, bytes) => {
          this.received.push(bytes);
          this.#changed.notify();
        },
        endpointGone: () => {},
        stateChanged: (state) => {
          this.states.push(state);
          this.#changed.notify();
        },
      },
      ...options,
    });
    t.after(() => this.client.close());
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      await this.#changed.wait();
    }
  }

  async reached(type: RelayClientState["type"]): Promise<RelayClientState> {
    await this.until(() => this.client.state.type === type);
    return this.client.state;
  }
}

/** The head of the answer to a request that is sent as it stands. */
async function rawRequest(port: number, lines: readonly string[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(`${lines.join("\r\n")}\r\n\r\n`);
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    text += chunk;
  });
  await once(socket, "close");
  return text;
}

test("two clients exchange datagrams through a relay on loopback", async (t) => {
  const relay = await start(t);
  const [a, b] = [new Peer(t, relay), new Peer(t, relay)];
  await Promise.all([a.reached("connected"), b.reached("connected")]);
  for (let index = 0; index < 200; index += 1) {
    a.client.send(b.key.publicKey, new Uint8Array(1_200).fill(index), 1_200);
  }
  await b.until(() => b.received.length === 200);
  assert.deepEqual(
    b.received.map((bytes) => bytes[0]),
    Array.from({ length: 200 }, (_, index) => index),
  );
  assert.equal(relay.clients, 2);
  assert.equal(relay.metrics.bytesSent, 240_000);
});

test("over TLS a client proves its id with its request, without a challenge, to a hook too", async (t) => {
  const tls = createSelfSignedCertificate();
  const authorities = parseCertificates(tls.cert);
  const secretKey = SecretKey.generate();
  const authorize = allowIds([secretKey.publicKey]);
  const relay = await start(t, { tls, authorize });
  const heard = openHeard();
  const peer = new Peer(t, relay, { authorities, secretKey, openChannel: heard.open });
  await peer.reached("connected");
  assert.equal(heard.types[0], 2);
  const stranger = await new Peer(t, relay, { authorities }).reached("waiting");
  assert.ok(stranger.type === "waiting" && stranger.error.code === "denied");

  const plain = openHeard();
  await new Peer(t, await start(t), { openChannel: plain.open }).reached("connected");
  assert.equal(plain.types[0], 0);
});

test("a client that cannot prove its id with its request is asked", async (t) => {
  const tls = createSelfSignedCertificate();
  const relay = await start(t, { tls });
  for (const value of [
    "?",
    "AAAA",
    createAuthHeader(SecretKey.generate(), () => new Uint8Array(32)),
  ]) {
    const heard = openHeard();
    const peer = new Peer(t, relay, {
      authorities: parseCertificates(tls.cert),
      openChannel: (url, options, handler) =>
        heard.open(
          url,
          { ...options, headersOverTls: () => ({ [authHeaderName]: value ?? "" }) },
          handler,
        ),
    });
    await peer.reached("connected");
    assert.equal(heard.types[0], 0);
  }
});

test("TLS with an authority of its own, a new certificate while it runs, and a plain port for one check", async (t) => {
  const first = createSelfSignedCertificate();
  const second = createSelfSignedCertificate();
  const relay = await start(t, { tls: first, plain: loopback });
  assert.match(relay.url, /^https:/);
  const dial = (certificate: { cert: string }): Peer =>
    new Peer(t, relay, { authorities: parseCertificates(certificate.cert) });
  await dial(first).reached("connected");
  relay.setCertificate(second);
  const peer = dial(second);
  await peer.reached("connected");
  const refused = await dial(first).reached("waiting");
  assert.ok(refused.type === "waiting" && refused.error.code === "unreachable");
  assert.throws(() => relay.setCertificate({ cert: "no", key: "no" }), { code: "cannot-start" });
  const plainRelay = await start(t);
  assert.throws(() => plainRelay.setCertificate(second), TypeError);
  await dial(second).reached("connected");

  const plain = `http://127.0.0.1:${relay.plainAddress?.port}`;
  assert.equal((await fetch(`${plain}/generate_204`)).status, 204);
  assert.equal((await fetch(`${plain}/ping`)).status, 404);
  const answer = await new Promise<{ status: number | undefined; protocol: string | null }>(
    (resolve, reject) => {
      get(
        `https://127.0.0.1:${relay.address.port}/ping`,
        { ca: second.cert, agent: false },
        (response) => {
          response.resume();
          const { socket, statusCode: status } = response;
          resolve({ status, protocol: (socket as TLSSocket).getProtocol() });
        },
      ).on("error", reject);
    },
  );
  assert.deepEqual(answer, { status: 200, protocol: "TLSv1.3" });
});

test("pages, and metrics on a port of their own or among them", async (t) => {
  const apart = await start(t, { metrics: loopback });
  const metricsUrl = `http://127.0.0.1:${apart.metricsAddress?.port}/metrics`;
  assert.equal((await fetch(`${apart.url}ping`)).headers.get("access-control-allow-origin"), "*");
  assert.deepEqual(await (await fetch(`${apart.url}healthz`)).json(), { status: "ok" });
  assert.equal((await fetch(`${apart.url}metrics`)).status, 404);
  await new Peer(t, apart).reached("connected");
  assert.match(await (await fetch(metricsUrl)).text(), /^relayserver_accepts_total 1$/m);
  assert.equal((await fetch(metricsUrl.replace("/metrics", "/relay"))).status, 400);
  const here = await start(t, { metrics: "here" });
  assert.equal((await fetch(`${here.url}metrics`)).status, 200);
});

test("requests for a WebSocket are granted and refused as by iroh's relay", async (t) => {
  const relay = await start(t);
  for (const { name, path, change, response } of relayHttpVectors.upgrade) {
    if (change.Connection === null) {
      // Upstream takes it; HTTP (RFC 9110 §7.8) and Node.js do not.
      continue;
    }
    const headers = Object.entries({ ...relayHttpVectors.base_headers, ...change });
    const answer = await rawRequest(relay.address.port, [
      `GET ${path} HTTP/1.1`,
      ...headers.flatMap(([header, value]) => (value === null ? [] : [`${header}: ${value}`])),
    ]);
    assert.equal(Number(answer.split(" ")[1]), response.status, `${name}: ${answer}`);
    const head = answer.toLowerCase();
    for (const header of [
      "sec-websocket-protocol",
      "sec-websocket-accept",
      "sec-websocket-version",
    ]) {
      const value = response[header];
      if (value !== undefined) {
        assert.ok(
          head.includes(`${header}: ${String(value).toLowerCase()}\r\n`),
          `${name}: ${answer}`,
        );
      }
    }
    assert.ok(!head.includes("sec-websocket-extensions"), name);
    if (response.body !== undefined) {
      assert.ok(answer.endsWith(response.body), `${name}: ${answer}`);
    }
  }
});

test("a page is there also for those who would like another version of HTTP", async (t) => {
  const relay = await start(t);
  const answer = await rawRequest(relay.address.port, [
    "GET /ping HTTP/1.1",
    "Host: relay.example",
    "Connection: Upgrade, HTTP2-Settings",
    "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAAQAAP__",
  ]);
  assert.match(answer, /^HTTP\/1.1 200 OK\r\n/);
});

test("a wrong token is told to the client", async (t) => {
  const relay = await start(t, { authorize: requireToken(["sesame"]) });
  await new Peer(t, relay, { authToken: "sesame" }).reached("connected");
  const state = await new Peer(t, relay, { authToken: "wrong" }).reached("waiting");
  assert.ok(state.type === "waiting");
  assert.equal(state.error.code, "denied");
  assert.match(state.error.message, /not authorized/);
});

test("F6, F21: clients hear of a restart and are back at the next server", async (t) => {
  const relay = await start(t);
  const peers = [new Peer(t, relay), new Peer(t, relay)];
  await Promise.all(peers.map((peer) => peer.reached("connected")));
  await relay.close({ restartInMs: 60_000 });
  for (const peer of peers) {
    // However long the end took on a busy machine: without the notice it would be 10 ms.
    const state = await peer.reached("waiting");
    assert.ok(state.type === "waiting" && state.delayMs > 1_000, JSON.stringify(state));
  }
  await start(t, { listen: { host: "127.0.0.1", port: relay.address.port } });
  for (const { client } of peers) {
    client.networkChanged();
  }
  await Promise.all(peers.map((peer) => peer.reached("connected")));
});

test("a relay ends with clients that do not answer, and once", async (t) => {
  const relay = await start(t);
  const socket = connect(relay.address.port, "127.0.0.1");
  const headers = Object.entries(relayHttpVectors.base_headers).map(
    ([name, value]) => `${name}: ${value}`,
  );
  socket.write(`GET /relay HTTP/1.1\r\n${headers.join("\r\n")}\r\n\r\n`);
  await once(socket, "data");
  const silent = connect(relay.address.port, "127.0.0.1");
  await once(silent, "connect");
  await fetch(`${relay.url}ping`);
  await Promise.all([relay.close(), relay.close()]);
  socket.destroy();
});

test("what keeps a relay from starting is said", async (t) => {
  const relay = await start(t);
  const { port } = relay.address;
  await assert.rejects(RelayServer.start({ listen: { host: "127.0.0.1", port } }), {
    name: "RelayError",
    code: "cannot-start",
    message: `cannot listen on 127.0.0.1, port ${port}: listen EADDRINUSE: address already in use 127.0.0.1:${port}`,
  });
  await assert.rejects(
    RelayServer.start({ listen: loopback, metrics: { host: "127.0.0.1", port } }),
    {
      code: "cannot-start",
    },
  );
  await assert.rejects(RelayServer.start({ listen: loopback, tls: { cert: "x", key: "y" } }), {
    code: "cannot-start",
    message: /^cannot use the certificate: /,
  });
  await assert.rejects(
    RelayServer.start({ listen: loopback, limits: { maxConnections: 0 } }),
    RangeError,
  );
});

test("a relay listens on all addresses where none is said", async (t) => {
  const relay = await start(t, { listen: { port: 0 } });
  assert.equal(relay.url, `http://localhost:${relay.address.port}/`);
  await new Peer(t, { url: `http://127.0.0.1:${relay.address.port}` }).reached("connected");
});

const [elsewhere] = Object.values(networkInterfaces()).flatMap((all = []) =>
  all.flatMap(({ address, family, internal }) =>
    family === "IPv4" && !internal ? [{ host: address }] : [],
  ),
);
const skip = elsewhere === undefined && "no interface besides loopback";

test("a host has a bounded number of connections, and others are not concerned", {
  skip,
}, async (t) => {
  const { host = "" } = elsewhere ?? {};
  const relay = await start(t, { listen: { port: 0 }, limits: { maxConnectionsPerHost: 2 } });
  const { port } = relay.address;
  const sockets = [connect(port, host), connect(port, host)];
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  const third = connect(port, host).on("error", () => {});
  await once(third, "close");
  assert.equal(relay.metrics.httpConnectionsRefused, 1);
  const peer = new Peer(t, { url: `http://127.0.0.1:${port}` });
  await peer.reached("connected");
  sockets[0]?.end();
  while (relay.metrics.httpConnectionsClosed === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  const again = connect(port, host);
  again.write("GET /ping HTTP/1.1\r\nhost: a\r\n\r\n");
  const [answer] = (await once(again, "data")) as [Buffer];
  assert.match(answer.toString(), /^HTTP\/1\.1 200/);
  for (const socket of [...sockets, again]) {
    socket.destroy();
  }
});
