// What a peer may do wrong, over UDP: each fault goes to the public listener, or answers a request of our client,
// and what comes back is a CONNECTION_CLOSE, a RESET_STREAM or a STOP_SENDING with the code that the section asks for.

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";
import { deferred } from "../../src/base/deferred.ts";
import { nodePlatform } from "../../src/base/node-platform.ts";
import { WebDialer } from "../../src/endpoint/web-dialer.ts";
import { WebListener } from "../../src/endpoint/web-listener.ts";
import { H3 } from "../../src/http3/h3-error.ts";
import { Http3Connection } from "../../src/http3/http3-connection.ts";
import { parseCertificates } from "../../src/identity/certificates.ts";
import { WebCertificate } from "../../src/identity/web-certificate.ts";
import { echoImplementation } from "../support/echo-service.ts";
import { type Fault, faults } from "../support/http3-faults.ts";
import { get, headers, Recorder } from "../support/http3-peer.ts";
import { type PublicRouter, servePublicly, testAuthority } from "../support/public-router.ts";
import { stayAlive } from "../support/stay-alive.ts";
import { FaultPlayer, type Outcome } from "./fault-player.ts";

const timeout = 30_000;
const onError = (error: unknown): void => assert.fail(String(error));

stayAlive();

describe("the public listener", () => {
  let served: PublicRouter;
  let dialer: WebDialer;

  before(async () => {
    served = await servePublicly();
    served.router.service(EchoService, echoImplementation);
    dialer = dialerOf(served.ca);
  });
  after(async () => {
    await served[Symbol.asyncDispose]();
    await dialer.close();
  });

  // A router gives a CONNECT up when it sees it, and not what follows.
  const sent = faults.filter(
    ({ role, name }) => role === "server" && !/after a CONNECT/.test(name),
  );
  for (const fault of sent) {
    it(`${verb(fault)} ${fault.name}`, { timeout }, async () => {
      const { port } = served;
      const release = dialer.hold();
      const player = await dialer.connect(
        { host: "127.0.0.1", port, serverName: "127.0.0.1" },
        ["h3"],
        { timeoutMs: timeout },
        (connection) => new FaultPlayer(connection, fault),
      );
      try {
        assertMet(fault, await player.play());
        if (fault.scope === "stream") {
          const next = player.open("bidirectional");
          next.write(headers(get));
          next.stream.finish();
          assert.deepEqual(await next.outcome, { type: "answered" });
        }
      } finally {
        player.connection.close(H3.NO_ERROR, "");
        await player.closed;
        release();
      }
    });
  }
});

describe("our client", () => {
  for (const fault of faults.filter(({ role }) => role === "client")) {
    it(`${verb(fault)} ${fault.name}`, { timeout }, async () => {
      const authority = await testAuthority();
      const { certPem, keyPem } = await authority.server(["127.0.0.1"]);
      const played = deferred<Outcome>();
      const listener = await WebListener.bind({
        bind: "127.0.0.1:0",
        certificate: WebCertificate.fromPem({ cert: certPem, key: keyPem }),
        alpns: ["h3"],
        platform: nodePlatform,
        onConnection: ({ engine }) => {
          new FaultPlayer(engine, fault).play().then(played.resolve, played.reject);
        },
        onError,
      });
      const port = listener.localAddresses[0]?.port ?? 0;
      const dialer = dialerOf(authority.certPem);
      const release = dialer.hold();
      const closed = deferred<void>();
      const client = await dialer.connect(
        { host: "127.0.0.1", port, serverName: "127.0.0.1" },
        ["h3"],
        { timeoutMs: timeout },
        (connection) =>
          new Http3Connection(connection, {
            role: "client",
            platform: nodePlatform,
            onClosed: () => closed.resolve(),
          }),
      );
      const message = new Recorder();
      const failed = new Promise<void>((resolve) => {
        message.onCall = (name) => name === "failed" && resolve();
      });
      client.request(get, message, { end: true });
      try {
        // Of a stream that has ended both ways, nothing can be given up any more.
        if (fault.scope === "connection" || fault.acts.every(({ close }) => close !== "fin")) {
          assertMet(fault, await played.promise);
        }
        await failed;
        assert.equal(message.error?.code, fault.code);
        assert.equal(message.error?.scope, fault.scope);
      } finally {
        client.close(H3.NO_ERROR, "");
        await closed.promise;
        release();
        await dialer.close();
        await listener.close();
      }
    });
  }
});

function dialerOf(ca: string): WebDialer {
  return new WebDialer({ authorities: parseCertificates(ca), platform: nodePlatform, onError });
}

function verb({ scope }: Fault): string {
  return scope === "connection" ? "closes the connection for" : "gives up the stream for";
}

function assertMet({ scope, code }: Fault, outcome: Outcome): void {
  if (scope === "stream") {
    assert.deepEqual(outcome, { type: "stream", code });
    return;
  }
  assert(outcome.type === "closed", `the connection lives: ${outcome.type}`);
  const { cause } = outcome;
  assert(cause.type === "application" && cause.origin === "peer", cause.type);
  assert.equal(cause.code, code, cause.reason);
}
