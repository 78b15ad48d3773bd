import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { EnginePair, testAlpn, testServerName } from "../../../test/support/engine-pair.ts";
import { TestAuthority } from "../../../test/support/test-pki.ts";
import { parseCertificates, systemAuthorities } from "../../identity/certificates.ts";
import { WebCertificate } from "../../identity/web-certificate.ts";
import { type CertifiedKey, type CloseCause, EngineError, type WebCredentials } from "../engine.ts";

/** What the virtual world calls now. */
const now = Date.UTC(2024, 0, 1);
const day = 24 * 3_600_000;
const valid = { notBefore: new Date(now - day), notAfter: new Date(now + day) };

/** CRYPTO_ERROR and a TLS alert (RFC 9001 §4.8, RFC 8446 §6.2). */
const alert = {
  badCertificate: 0x12an,
  certificateExpired: 0x12dn,
  unknownCa: 0x130n,
  certificateRequired: 0x174n,
};

describe("noq with web certificates", () => {
  let authority: TestAuthority;
  let other: TestAuthority;
  let trusting: WebCredentials;
  let serving: WebCredentials;

  before(async () => {
    authority = await TestAuthority.create({ intermediate: true });
    other = await TestAuthority.create({ name: "Other" });
    trusting = { type: "web", serverAuthorities: parseCertificates(authority.certPem) };
    serving = { type: "web", certificate: await serverCertificate() };
  });

  async function serverCertificate(
    options: Parameters<TestAuthority["server"]>[1] = {},
    from = authority,
    names: [string, ...string[]] = [testServerName],
  ): Promise<CertifiedKey> {
    const { chainPem, keyPem } = await from.server(names, { ...valid, ...options });
    return WebCertificate.fromPem({ cert: chainPem, key: keyPem });
  }

  async function clientCertificate(
    from = authority,
    options: Parameters<TestAuthority["client"]>[1] = {},
  ): Promise<CertifiedKey> {
    const { chainPem, keyPem } = await from.client("alice", { ...valid, ...options });
    return WebCertificate.fromPem({ cert: chainPem, key: keyPem });
  }

  function pairOf(server: WebCredentials, client: WebCredentials): EnginePair {
    return new EnginePair({}, { web: server }, { web: client });
  }

  /** How a dial ends that is to fail. */
  function failure(pair: EnginePair, serverName: string = testServerName): CloseCause | undefined {
    const dialed = pair.client.dial(pair.server, { expected: { type: "web", serverName } });
    pair.run(() => dialed.cause !== undefined);
    return dialed.cause;
  }

  for (const key of ["rsa", "ecdsa", "ecdsa-p384", "ed25519"] as const) {
    it(`show a certificate with a key of the kind ${key}`, async () => {
      const certificate = await serverCertificate({ key });
      const pair = pairOf({ type: "web", certificate }, trusting);
      const { local, remote } = pair.connect();
      assert.deepEqual(local.info, {
        alpn: testAlpn,
        identity: { type: "web", chain: certificate.chain },
        earlyData: "none",
      });
      assert.deepEqual(remote.info?.identity, { type: "web", chain: [] });
      const echo = local.send("hello");
      pair.run(() => echo.isEnded);
      assert.equal(echo.text, "hello");
    });
  }

  it("need no more than a round trip, also for a certificate of many bytes", async () => {
    const large = await TestAuthority.create({ key: "rsa", intermediate: true });
    const certificate = await serverCertificate({ key: "rsa" }, large);
    const delayMs = 50;
    const pair = new EnginePair(
      { link: { delayMs } },
      { web: { type: "web", certificate } },
      { web: { type: "web", serverAuthorities: parseCertificates(large.certPem) } },
    );
    const start = pair.now;
    const dialed = pair.client.dial(pair.server);
    pair.run(() => dialed.info !== undefined);
    assert(pair.now - start < 2.2 * delayMs, `${pair.now - start} ms`);
  });

  it("reach a server by its IP address where its certificate says it", async () => {
    const certificate = await serverCertificate({}, authority, ["10.0.0.1"]);
    const pair = pairOf({ type: "web", certificate }, trusting);
    const expected = { type: "web", serverName: "10.0.0.1" } as const;
    const dialed = pair.client.dial(pair.server, { expected });
    pair.run(() => dialed.info !== undefined);
    const cause = failure(pair, "10.0.0.2");
    assert(cause?.type === "transport" && cause.code === alert.badCertificate, show(cause));
  });

  it("refuse another name, another authority, and another time", async () => {
    const early = { notBefore: new Date(now - 2 * day), notAfter: new Date(now - day) };
    const late = { notBefore: new Date(now + day), notAfter: new Date(now + 2 * day) };
    const cases = [
      [await serverCertificate(), "other.test", alert.badCertificate, /not valid for name/],
      [await serverCertificate({}, other), testServerName, alert.unknownCa, /UnknownIssuer/],
      [await serverCertificate(early), testServerName, alert.certificateExpired, /expired/],
      [await serverCertificate(late), testServerName, alert.certificateExpired, /not valid yet/],
    ] as const;
    for (const [certificate, name, code, reason] of cases) {
      const pair = pairOf({ type: "web", certificate }, trusting);
      const cause = failure(pair, name);
      assert(cause?.type === "transport" && cause.origin === "local", show(cause));
      assert.equal(cause.code, code, show(cause));
      assert.match(cause.reason, reason);
      pair.runFor(1_000);
      const theirs = pair.server.incoming[0]?.cause;
      assert(theirs?.type === "transport" && theirs.origin === "peer", show(theirs));
      assert.equal(theirs.code, code);
    }
  });

  it("say what is wrong with the certificate of an authority in the place of a server's", () => {
    const chain = parseCertificates(authority.certPem);
    const mine = serving.certificate ?? assert.fail();
    const certificate: CertifiedKey = {
      chain,
      signatureSchemes: mine.signatureSchemes,
      sign: (message, scheme) => mine.sign(message, scheme),
      exportPrivateKey: () => mine.exportPrivateKey(),
    };
    const cause = failure(pairOf({ type: "web", certificate }, trusting));
    assert(cause?.type === "transport", show(cause));
    assert.match(cause.reason, /^it is the certificate of an authority, .*CA:FALSE$/);
  });

  it("ask clients for a certificate when told so, and tell what they have shown", async () => {
    const certificate = await clientCertificate();
    for (const required of [false, true]) {
      const clientCertificates = { authorities: parseCertificates(authority.certPem), required };
      const pair = pairOf({ ...serving, clientCertificates }, { ...trusting, certificate });
      const { remote } = pair.connect();
      assert.deepEqual(remote.info?.identity, { type: "web", chain: certificate.chain });
    }
  });

  it("do without a certificate of the client where it is not required", () => {
    const clientCertificates = {
      authorities: parseCertificates(authority.certPem),
      required: false,
    };
    const { remote } = pairOf({ ...serving, clientCertificates }, trusting).connect();
    assert.deepEqual(remote.info?.identity, { type: "web", chain: [] });
  });

  it("send clients away that have no certificate, or one that nobody vouches for", async () => {
    const authorities = parseCertificates(authority.certPem);
    const required = { ...serving, clientCertificates: { authorities, required: true } };
    const optional = { ...serving, clientCertificates: { authorities, required: false } };
    const expired = { notBefore: new Date(now - 2 * day), notAfter: new Date(now - day) };
    const cases = [
      [required, undefined, alert.certificateRequired],
      [required, await clientCertificate(other), alert.unknownCa],
      [required, await clientCertificate(authority, expired), alert.certificateExpired],
      [optional, await clientCertificate(other), alert.unknownCa],
    ] as const;
    for (const [server, certificate, code] of cases) {
      const pair = pairOf(server, certificate ? { ...trusting, certificate } : trusting);
      const cause = failure(pair);
      assert(cause?.type === "transport" && cause.origin === "peer", show(cause));
      assert.equal(cause.code, code, show(cause));
      assert.equal(pair.server.incoming[0]?.info, undefined, "the server has let it in");
    }
  });

  it("take a certificate of a server for none of a client", async () => {
    const clientCertificates = {
      authorities: parseCertificates(authority.certPem),
      required: true,
    };
    const certificate = await serverCertificate();
    const pair = pairOf({ ...serving, clientCertificates }, { ...trusting, certificate });
    assert.equal(failure(pair)?.type, "transport");
  });

  it("show another certificate from one moment to the next, and keep the connections", async () => {
    const pair = pairOf(serving, trusting);
    const { local: old } = pair.connect();
    const certificate = await serverCertificate({ key: "rsa" });
    pair.server.endpoint.setCertificate(certificate);
    const { local: fresh } = pair.connect();
    assert(fresh.info?.identity.type === "web");
    assert.deepEqual(fresh.info.identity.chain, certificate.chain);
    const echo = old.send("still here");
    pair.run(() => echo.isEnded);
    assert.equal(echo.text, "still here");
  });

  it("believe the authorities of Node.js, which vouch for nobody here", () => {
    const pair = pairOf(serving, { type: "web", serverAuthorities: systemAuthorities() });
    const cause = failure(pair);
    assert(cause?.type === "transport" && cause.code === alert.unknownCa, show(cause));
  });

  it("fail the handshake alone when the key cannot sign", () => {
    const broken: CertifiedKey = {
      ...(serving.certificate ?? assert.fail()),
      sign: () => {
        throw new Error("the token was pulled out");
      },
    };
    const pair = pairOf({ type: "web", certificate: broken }, trusting);
    assert.equal(failure(pair)?.type, "transport");
    assert.equal(pair.server.failure, undefined);
  });

  it("refuse options that cannot work", () => {
    const invalid = (error: unknown): boolean =>
      error instanceof EngineError && error.code === "invalid-options";
    const { certificate } = serving;
    assert.throws(() => pairOf({ type: "web" }, trusting), invalid, "nothing to show");
    assert.throws(
      () =>
        pairOf({ ...serving, clientCertificates: { authorities: [], required: true } }, trusting),
      invalid,
      "nobody to vouch for clients",
    );
    const pair = pairOf(serving, { type: "web" });
    assert.throws(() => pair.client.dial(pair.server), invalid, "nobody is trusted");
    const trustful = pairOf(serving, trusting);
    for (const serverName of ["", "a b", "x".repeat(300), "ü.test"]) {
      const expected = { type: "web", serverName } as const;
      assert.throws(() => trustful.client.dial(trustful.server, { expected }), invalid, serverName);
    }
    const peers = new EnginePair();
    assert(certificate !== undefined);
    assert.throws(() => peers.server.endpoint.setCertificate(certificate), invalid);
    assert.throws(
      () => peers.client.dial(peers.server, { expected: { type: "web", serverName: "x.test" } }),
      invalid,
    );
  });
});

function show(cause: CloseCause | undefined): string {
  return JSON.stringify(cause, (_, value) => (typeof value === "bigint" ? `${value}` : value));
}
