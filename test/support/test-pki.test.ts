import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import { connect, createServer, type TLSSocket } from "node:tls";
import { type KeyKind, TestAuthority, type TestCertificate } from "./test-pki.ts";

const kinds: readonly KeyKind[] = ["rsa", "ecdsa", "ecdsa-p384", "ed25519"];

for (const key of kinds) {
  for (const intermediate of [false, true]) {
    const below = intermediate ? "an intermediate authority" : "the root";
    test(`${key}: TLS takes certificates of servers and clients from ${below}`, async () => {
      const authority = await TestAuthority.create({ key, intermediate });
      const server = await authority.server(["peer.example", "127.0.0.1", "::1"], { key });
      const client = await authority.client("alice", { key });
      assert.equal(await clientSeenByServer(authority, server, client), "alice");
    });
  }
}

test("a certificate is no other authority's, and not of the other usage", async () => {
  const authority = await TestAuthority.create();
  const other = await TestAuthority.create();
  const server = await authority.server(["peer.example"]);
  const client = await authority.client("alice");
  await assert.rejects(clientSeenByServer(other, server, client), {
    code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  });
  await assert.rejects(clientSeenByServer(authority, client, client), { code: "INVALID_PURPOSE" });
});

test("certificates are of version 3, no authorities, and valid from a day ago for a year", async () => {
  const authority = await TestAuthority.create({ intermediate: true });
  const { certPem, chainPem } = await authority.server(["peer.example", "::1"]);
  const certificate = new X509Certificate(certPem);
  assert.equal(certificate.ca, false);
  assert.equal(certificate.subjectAltName, "DNS:peer.example, IP Address:0:0:0:0:0:0:0:1");
  const [from, to] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
  assert.ok(from < Date.now() && Date.now() < to);
  assert.equal(to - from, 365 * 86_400_000);
  assert.ok(new X509Certificate(authority.certPem).ca);
  assert.ok(chainPem.startsWith(certPem) && chainPem.length > certPem.length);
  // [0] { INTEGER 2 }, the first field.
  assert.ok(certificate.raw.subarray(0, 16).includes(Buffer.from("a003020102", "hex")));
});

test("certificates have the dates that are asked for", async () => {
  const authority = await TestAuthority.create();
  const { certPem } = await authority.server(["peer.example"], {
    notBefore: new Date("2020-01-01"),
    notAfter: new Date("2020-02-01"),
  });
  const certificate = new X509Certificate(certPem);
  assert.equal(new Date(certificate.validFrom).toISOString(), "2020-01-01T00:00:00.000Z");
  assert.equal(new Date(certificate.validTo).toISOString(), "2020-02-01T00:00:00.000Z");
});

/** The common name that a TLS server finds in the client's certificate, once each has verified the other. */
async function clientSeenByServer(
  authority: TestAuthority,
  server: TestCertificate,
  client: TestCertificate,
): Promise<string | string[] | undefined> {
  const listener = createServer({
    cert: server.chainPem,
    key: server.keyPem,
    ca: authority.certPem,
    requestCert: true,
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const address = listener.address();
  assert.ok(typeof address === "object" && address !== null);
  const accepted = once(listener, "secureConnection");
  const socket = connect({
    host: "127.0.0.1",
    port: address.port,
    servername: "peer.example",
    ca: authority.certPem,
    cert: client.chainPem,
    key: client.keyPem,
  });
  try {
    await once(socket, "secureConnect");
    const [peer]: TLSSocket[] = await accepted;
    return peer?.getPeerCertificate().subject.CN;
  } finally {
    socket.destroy();
    listener.close();
  }
}
