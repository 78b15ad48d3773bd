import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import { TestAuthority } from "../../../test/support/test-pki.ts";
import type { Platform } from "../../base/platform.ts";
import type { SocketAddress } from "../../base/socket-address.ts";
import { parseCertificates } from "../../identity/certificates.ts";
import { WebCertificate } from "../../identity/web-certificate.ts";
import type {
  ConnectionHandler,
  EngineEndpoint,
  EngineError,
  EngineOptions,
  WebCredentials,
} from "../engine.ts";
import { noq } from "./noq.ts";

/** A clock that stands still, and turns that come when they are told to. */
class Hand {
  nowMs = 0;
  #soon: (() => void)[] = [];

  readonly platform: Platform = {
    now: () => this.nowMs,
    unixMs: () => Date.now(),
    randomFill: (into) => void randomFillSync(into),
    soon: (callback) => void this.#soon.push(callback),
    settled: (callback) => callback(),
    // Nothing fires: a turn finds out by itself what is due.
    setTimer: () => ({ timer: undefined }),
    clearTimer: () => {},
  };

  /** Until there is nothing more to do at this moment. */
  turns(): void {
    for (let next = this.#soon.shift(); next !== undefined; next = this.#soon.shift()) {
      next();
    }
  }
}

const quiet: ConnectionHandler = {
  connected: () => {},
  streamOpened: () => {},
  streamsAvailable: () => {},
  datagram: () => {},
  datagramsWritable: () => {},
  pathsChanged: () => {},
  closed: () => {},
};

class Side {
  readonly endpoint: EngineEndpoint;
  readonly sent: Uint8Array[] = [];
  failure: EngineError | undefined;

  constructor(
    hand: Hand,
    credentials: WebCredentials,
    alpns: readonly string[],
    handler: Partial<EngineOptions["handler"]> = {},
  ) {
    this.endpoint = noq.createEndpoint({
      credentials,
      alpns,
      platform: hand.platform,
      transport: { multipath: false, maxMtu: 0 },
      transmit: (_to, bytes, segmentSize) => {
        for (let at = 0; at < bytes.length; at += segmentSize) {
          this.sent.push(bytes.slice(at, at + segmentSize));
        }
      },
      handler: {
        incoming: (connection) => {
          connection.handler = quiet;
        },
        failed: (error) => {
          this.failure = error;
        },
        ...handler,
      },
    });
  }

  take(): Uint8Array[] {
    return this.sent.splice(0);
  }
}

test("F15: a client whose probe timeout ends in the turn that brings the handshake's rest goes on", async () => {
  const authority = await TestAuthority.create({ key: "rsa", intermediate: true });
  const { chainPem, keyPem } = await authority.server(["server.test"], { key: "rsa" });
  const hand = new Hand();
  const at: SocketAddress = { family: 4, host: "10.0.0.1", port: 443 };
  const from: SocketAddress = { family: 4, host: "10.0.0.2", port: 4_433 };
  const server = new Side(
    hand,
    { type: "web", certificate: WebCertificate.fromPem({ cert: chainPem, key: keyPem }) },
    ["h3"],
  );
  const client = new Side(
    hand,
    { type: "web", serverAuthorities: parseCertificates(authority.certPem) },
    [],
  );
  let connected = false;
  client.endpoint.connect({
    remote: at,
    expected: { type: "web", serverName: "server.test" },
    alpns: ["h3"],
    handler: {
      ...quiet,
      connected: () => {
        connected = true;
      },
    },
  });
  hand.turns();
  for (const datagram of client.take()) {
    server.endpoint.receive(from, datagram);
  }
  hand.turns();
  const flight = server.take();
  assert(flight.length > 1, "the server's part of the handshake is to be longer than a datagram");
  const [first = assert.fail("no datagram"), ...rest] = flight;
  // The client acknowledges it, and with that gives up the keys of Initial packets.
  client.endpoint.receive(at, first);
  hand.turns();
  assert.equal(connected, false);
  client.take();
  // The rest comes so late that the client's patience ends with the same turn.
  hand.nowMs += 5_000;
  for (const datagram of rest) {
    client.endpoint.receive(at, datagram);
  }
  hand.turns();
  assert.equal(client.failure, undefined);
  assert.equal(connected, true);
  assert(client.sent.length > 0, "the client's part of the handshake leaves");
  client.endpoint.destroy();
  server.endpoint.destroy();
});
