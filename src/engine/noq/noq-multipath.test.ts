import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EnginePair, type PeerOptions, testServerName } from "../../../test/support/engine-pair.ts";
import type { RecordedConnection } from "../../../test/support/recorded-connection.ts";
import { TestAuthority } from "../../../test/support/test-pki.ts";
import type { SocketAddress } from "../../base/socket-address.ts";
import { parseCertificates } from "../../identity/certificates.ts";
import { WebCertificate } from "../../identity/web-certificate.ts";
import type { LinkOptions } from "../../testing/virtual-link.ts";
import {
  type EngineConnection,
  EngineError,
  type EngineOptions,
  type Multipath,
  type PathInfo,
} from "../engine.ts";

/** A second address of the server. */
const elsewhere: SocketAddress = { family: 6, host: "fd00::1", port: 4_433 };
const nowhere: SocketAddress = { family: 4, host: "10.9.9.9", port: 9 };

/** Two connected peers of which the server can be reached at a second address as well. */
function connected(
  server: Partial<PeerOptions> = {},
  client: Partial<PeerOptions> = {},
  link: Partial<LinkOptions> = {},
) {
  // An engine does not say from which address it sends: from where the peer was heard last.
  let heardElsewhere = false;
  const transmit: EngineOptions["transmit"] = (to, bytes, segmentSize) =>
    (heardElsewhere ? second : pair.server.socket).transmit(to, bytes, segmentSize);
  const pair: EnginePair = new EnginePair(
    { link: { delayMs: 20, ...link } },
    { transmit, ...server },
    client,
  );
  const follow = (): void => {
    pair.network.tap = ({ to, bytes }) => {
      if (to.host !== pair.client.address.host) {
        heardElsewhere = to.host === elsewhere.host;
      }
      return bytes;
    };
  };
  const second = pair.network.bind(elsewhere, (from, bytes) =>
    pair.server.endpoint.receive(from, bytes),
  );
  const { local, remote } = pair.connect();
  // Paths need connection ids that come after the handshake.
  pair.runFor(100);
  return { pair, second, follow, local: local.connection, remote: remote.connection, talk: local };
}

function multipathOf({ multipath }: EngineConnection): Multipath {
  assert.ok(multipath);
  return multipath;
}

function remotes(connection: EngineConnection): string[] {
  return connection.paths().map(({ remote }) => remote.host);
}

function pathTo(connection: EngineConnection, { host }: SocketAddress): PathInfo {
  return connection.paths().find(({ remote }) => remote.host === host) ?? assert.fail();
}

function echoes(pair: EnginePair, connection: RecordedConnection): void {
  const echo = connection.send("hello");
  pair.run(() => echo.isEnded);
  assert.equal(echo.text, "hello");
}

describe("paths of noq", () => {
  it("are opened by the client, and data goes to the one that is no backup", () => {
    const { pair, local, remote, talk } = connected();
    assert.equal(multipathOf(local).open(elsewhere, "backup"), "opened");
    assert.equal(multipathOf(local).open(elsewhere, "backup"), "opened");
    pair.run(() => local.paths().length === 2 && remote.paths().length === 2);
    assert.deepEqual(
      local.paths().map(({ status, active }) => [status, active]),
      [
        ["available", true],
        ["backup", false],
      ],
    );
    echoes(pair, talk);
    assert.equal(local.remoteAddress.host, pair.server.address.host);

    multipathOf(local).setStatus(0, "backup");
    multipathOf(local).setStatus(pathTo(local, elsewhere).id, "available");
    echoes(pair, talk);
    assert.equal(local.remoteAddress.host, elsewhere.host);
  });

  it("live on when the one in use is given up, and the last one cannot be", () => {
    const { pair, local, remote, talk } = connected();
    assert.equal(multipathOf(local).close(0), false);
    multipathOf(local).open(elsewhere, "backup");
    pair.run(() => local.paths().length === 2);
    assert.equal(multipathOf(local).close(0), true);
    assert.equal(multipathOf(local).close(0), false);
    pair.run(() => local.paths().length === 1 && remote.paths().length === 1);
    assert.deepEqual(remotes(local), [elsewhere.host]);
    echoes(pair, talk);
  });

  it("are closed by the server too, which cannot open any", () => {
    const { pair, local, remote, talk } = connected();
    assert.equal(multipathOf(remote).open(nowhere, "available"), "unavailable");
    multipathOf(local).open(elsewhere, "backup");
    pair.run(() => remote.paths().length === 2);
    assert.equal(multipathOf(remote).close(0), true);
    pair.run(() => local.paths().length === 1);
    assert.deepEqual(remotes(local), [elsewhere.host]);
    echoes(pair, talk);
  });

  it("that nobody answers on never come to be", () => {
    const { pair, local, talk } = connected();
    assert.equal(multipathOf(local).open(nowhere, "backup"), "opened");
    pair.runFor(20_000);
    assert.deepEqual(remotes(local), [pair.server.address.host]);
    echoes(pair, talk);
  });

  it("end after the time that they were given", () => {
    const { pair, second, local } = connected({}, { transport: { keepAliveIntervalMs: 1_000 } });
    multipathOf(local).open(elsewhere, "backup");
    pair.run(() => local.paths().length === 2);
    multipathOf(local).setIdleTimeout(pathTo(local, elsewhere).id, 3_000);
    second.close();
    const start = pair.now;
    pair.run(() => local.paths().length === 1);
    assert.ok(pair.now - start < 5_000, `after ${pair.now - start} ms`);
  });

  it("that are opened are no sign of life: a peer that is gone is found to be after the idle timeout", () => {
    const transport = { idleTimeoutMs: 10_000, keepAliveIntervalMs: 0 };
    const { pair, local, talk } = connected({ transport }, { transport });
    const start = pair.now;
    pair.network.tap = ({ from, bytes }) =>
      from.host === pair.client.address.host ? bytes : undefined;
    for (let count = 1; talk.cause === undefined && count < 60; count += 1) {
      multipathOf(local).open({ ...nowhere, port: count }, "backup");
      pair.runFor(1_000);
    }
    assert.deepEqual(talk.cause, { type: "timeout", handshaking: false });
    assert.ok(pair.now - start <= 12_000, `after ${pair.now - start} ms`);
  });

  it("take larger datagrams when they are asked to, up to what passes", () => {
    for (const [mtu, expected] of [
      [65_527, 16_000],
      [7_000, 7_000],
      [1_500, 1_500],
    ] as const) {
      const { pair, local, talk } = connected({}, {}, { mtu });
      pair.runFor(2_000);
      assert.equal(pathTo(local, pair.server.address).mtu, 1_452);
      multipathOf(local).probeMtu(0, 16_000);
      pair.runFor(30_000);
      const found = pathTo(local, pair.server.address).mtu;
      assert.ok(found > expected - 40 && found <= expected, `${found} of ${expected}`);
      echoes(pair, talk);
    }
  });

  it("take no larger datagrams where discovery is off", () => {
    const { pair, local } = connected({}, { transport: { maxMtu: 0 } }, { mtu: 65_527 });
    pair.runFor(2_000);
    multipathOf(local).probeMtu(0, 16_000);
    pair.runFor(10_000);
    assert.equal(pathTo(local, pair.server.address).mtu, 1_200);
  });

  it("show that they live when they are asked", () => {
    const { pair, local } = connected({}, { transport: { keepAliveIntervalMs: 0 } });
    multipathOf(local).open(elsewhere, "backup");
    pair.run(() => local.paths().length === 2);
    pair.runFor(1_000);
    const { id, packetsAcknowledged } = pathTo(local, elsewhere);
    multipathOf(local).ping(id);
    pair.run(() => pathTo(local, elsewhere).packetsWaiting > 0, 10);
    pair.run(() => pathTo(local, elsewhere).packetsAcknowledged > packetsAcknowledged, 1_000);
  });

  it("are no more than the two sides have agreed on", () => {
    const { local } = connected();
    const answers = Array.from({ length: 20 }, (_, index) =>
      multipathOf(local).open({ ...nowhere, port: 1 + index }, "backup"),
    );
    assert.equal(answers[0], "opened");
    assert.equal(answers.at(-1), "later");
  });

  it("can be one alone: then nothing else does anything", () => {
    const { pair, local, talk } = connected({ transport: { multipath: false } });
    const multipath = multipathOf(local);
    assert.equal(multipath.open(elsewhere, "backup"), "unavailable");
    assert.equal(multipath.close(0), false);
    assert.equal(multipath.punch(), "unavailable");
    assert.equal(multipath.addCandidate(elsewhere), false);
    assert.equal(multipath.remoteCandidates(), undefined);
    multipath.removeCandidate(elsewhere);
    multipath.setStatus(0, "backup");
    multipath.setIdleTimeout(0, 1);
    multipath.ping(7);
    multipath.networkChanged([0]);
    echoes(pair, talk);
  });

  it("do nothing any more when the connection is closed", () => {
    const { local } = connected();
    local.close(0n, "");
    const multipath = multipathOf(local);
    assert.equal(multipath.open(elsewhere, "backup"), "unavailable");
    assert.equal(multipath.close(0), false);
    assert.equal(multipath.punch(), "unavailable");
    assert.equal(multipath.remoteCandidates(), undefined);
    multipath.networkChanged([]);
  });

  it("are replaced where the network has changed", () => {
    const { pair, local, talk } = connected();
    multipathOf(local).networkChanged([0]);
    pair.run(() => local.paths().some(({ id }) => id !== 0));
    assert.deepEqual(remotes(local), [pair.server.address.host]);
    echoes(pair, talk);
  });

  it("follow a client whose address becomes another", () => {
    const { pair, local, remote, talk } = connected();
    pair.client.socket.rebind({ family: 4, host: "10.0.0.77", port: 7 });
    multipathOf(local).networkChanged([]);
    echoes(pair, talk);
    pair.run(() => remote.remoteAddress.host === "10.0.0.77");
  });
});

describe("NAT traversal of noq", () => {
  it("opens a path to an address that the server has told of", () => {
    const { pair, local, remote, talk, follow } = connected();
    follow();
    assert.equal(multipathOf(local).punch(), "nothing");
    assert.equal(multipathOf(remote).addCandidate(elsewhere), true);
    pair.run(() => talk.candidatesChanges > 0);
    assert.deepEqual(multipathOf(local).remoteCandidates(), [elsewhere]);
    assert.equal(multipathOf(remote).remoteCandidates(), undefined);
    assert.equal(multipathOf(local).addCandidate(pair.client.address), true);
    assert.equal(multipathOf(remote).punch(), "unavailable");
    assert.equal(multipathOf(local).punch(), "started");
    pair.run(() => local.paths().length === 2);
    assert.deepEqual(remotes(local), [pair.server.address.host, elsewhere.host]);

    multipathOf(remote).removeCandidate(elsewhere);
    pair.run(() => multipathOf(local).remoteCandidates()?.length === 0);
  });

  it("takes no more addresses than the two sides have agreed on", () => {
    const { remote } = connected();
    const answers = Array.from({ length: 40 }, (_, index) =>
      multipathOf(remote).addCandidate({ ...nowhere, port: 1 + index }),
    );
    assert.deepEqual([answers[31], answers[32]], [true, false]);
  });
});

describe("a peer of noq", () => {
  it("can dial a server with a certificate, which does not learn its key", async () => {
    const authority = await TestAuthority.create();
    const now = Date.UTC(2024, 0, 1);
    const { chainPem, keyPem } = await authority.server([testServerName], {
      notBefore: new Date(now - 1),
      notAfter: new Date(now + 86_400_000),
    });
    const certificate = WebCertificate.fromPem({ cert: chainPem, key: keyPem });
    const serverAuthorities = parseCertificates(authority.certPem);
    const [anyone] = [new EnginePair().client.credentials];
    const pair = new EnginePair(
      {},
      { web: { type: "web", certificate } },
      { credentials: { ...anyone, serverAuthorities } },
    );
    const { local, remote } = pair.connect();
    assert.deepEqual(local.info?.identity, { type: "web", chain: certificate.chain });
    assert.deepEqual(remote.info?.identity, { type: "web", chain: [] });
    echoes(pair, local);
    const dialed = pair.client.dial(pair.server, {
      expected: { type: "web", serverName: "other.test" },
    });
    pair.run(() => dialed.cause !== undefined);
    assert.equal(dialed.cause?.type, "transport");
  });

  it("says when it knows nobody who vouches for servers", () => {
    const pair = new EnginePair();
    assert.throws(
      () =>
        pair.client.dial(pair.server, { expected: { type: "web", serverName: testServerName } }),
      (error) => error instanceof EngineError && error.code === "invalid-options",
    );
  });
});
