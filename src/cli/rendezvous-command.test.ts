import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { RecordedIo } from "../../test/support/recorded-io.ts";
import { createSelfSignedCertificate } from "../../test/support/self-signed-certificate.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { Endpoint } from "../endpoint/endpoint.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import type { RegisteringPeer } from "../rendezvous/kept-registration.ts";
import { Rendezvous } from "../rendezvous/rendezvous.ts";
import { createQuicTransport } from "../rpc/quic-transport.ts";
import { runCommandLine } from "./command-line.ts";

stayAlive();

interface RunningPlace {
  readonly url: string;
  readonly io: RecordedIo;
  readonly ended: Promise<number>;
}

async function start(t: TestContext, ...args: string[]): Promise<RunningPlace> {
  const io = new RecordedIo();
  const ended = runCommandLine(["rendezvous", "--listen", "127.0.0.1:0", ...args], io);
  t.after(async () => {
    io.interrupt();
    await ended;
  });
  return { url: await io.line(/^rendezvous +(\S+)$/), io, ended };
}

function peer(): RegisteringPeer {
  const secretKey = SecretKey.generate();
  return { secretKey, addr: () => new EndpointAddr(secretKey.publicKey) };
}

function over(url: string, token?: string): Rendezvous {
  return new Rendezvous({
    transport: createConnectTransport({ baseUrl: url, httpVersion: "1.1" }),
    ...(token === undefined ? {} : { token }),
  });
}

test("a place for development serves peers over HTTP and by its key until Ctrl-C, with pages for operators", async (t) => {
  const { url, io, ended } = await start(t, "--dev");
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  t.after(() => endpoint.close({ timeoutMs: 0 }));
  const to = await io.line(/^ticket +(\S+)$/);
  const transport = createQuicTransport({ endpoint, to });
  const byKey = new Rendezvous({ transport }).register(endpoint, {
    services: ["echo.v1.EchoService"],
    labels: { zone: "north" },
  });
  const byHttp = over(url).register(peer());
  await Promise.all([byKey.ready(), byHttp.ready()]);
  assert.equal(await (await fetch(`${url}/healthz`)).text(), "ok\n");
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /^rendezvous_registered_peers 2$/m);
  assert.match(metrics, /^rendezvous_registrations_total 2$/m);
  assert.match(metrics, /# EOF\n$/);
  const page = (await (await fetch(`${url}/debug/list_workers`)).json()) as {
    total: number;
    workers: { id: string; services: string[]; labels: unknown }[];
  };
  assert.equal(page.total, 2);
  const shown = page.workers.find(({ id }) => id === endpoint.id.toString());
  assert.deepEqual(shown?.services, ["echo.v1.EchoService"]);
  assert.deepEqual(shown?.labels, { zone: "north" });
  assert.equal((await fetch(`${url}/debug/other`)).status, 404);
  io.interrupt();
  assert.equal(await ended, 0);
  assert.deepEqual(io.notes, ["stopping; peers come back by themselves"]);
  await Promise.all([byKey.close({ timeoutMs: 0 }), byHttp.close({ timeoutMs: 0 })]);
});

test("with --token and --allow, either lets in; pages can have an address of their own", async (t) => {
  const friend = peer();
  const id = friend.secretKey.publicKey.toString();
  const { url, io } = await start(
    t,
    "--dev",
    "--token",
    "a",
    "--allow",
    id,
    "--pages",
    "127.0.0.1:0",
  );
  const pages = await io.line(/^pages +(\S+)$/);
  assert.match(await (await fetch(`${pages}metrics`)).text(), /rendezvous_registered_peers 0/);
  assert.equal((await fetch(`${url}/metrics`)).status, 404);
  const denied = (error: unknown): boolean =>
    error instanceof ConnectError && error.code === Code.PermissionDenied;
  await assert.rejects(over(url).lookUp().next(), denied);
  await assert.rejects(over(url, "b").lookUp().next(), denied);
  const registration = over(url).register(friend);
  await registration.ready();
  assert.equal((await over(url, "a").lookUp().next()).value?.id.toString(), id);
  await registration.close();
});

test("a place with a certificate serves over TLS, HTTP/2 and HTTP/1.1", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "connect-quic-rendezvous-"));
  t.after(() => rm(folder, { recursive: true }));
  const { cert, key } = createSelfSignedCertificate();
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await writeFile(certFile, cert);
  await writeFile(keyFile, key);
  const { url } = await start(t, "--tls-cert", certFile, "--tls-key", keyFile);
  assert.match(url, /^https:/);
  for (const httpVersion of ["2", "1.1"] as const) {
    const transport = createConnectTransport({
      baseUrl: url,
      httpVersion,
      nodeOptions: { ca: cert, checkServerIdentity: () => undefined },
    });
    const rendezvous = new Rendezvous({ transport });
    const registration = rendezvous.register(peer());
    await registration.ready();
    assert.ok((await rendezvous.lookUp().next()).value?.id.equals(registration.id), httpVersion);
    await registration.close();
  }
  const swapped = new RecordedIo();
  const args = ["--listen", "127.0.0.1:0", "--tls-cert", keyFile, "--tls-key", certFile];
  assert.equal(await runCommandLine(["rendezvous", ...args], swapped), 1);
  assert.match(swapped.notes.join("\n"), /^connect-quic rendezvous: cannot use the certificate: /);
});

test("a place that cannot listen, or is told what makes no sense, says so", async (t) => {
  const { url } = await start(t, "--dev");
  const taken = new RecordedIo();
  const listen = ["--listen", new URL(url).host];
  assert.equal(await runCommandLine(["rendezvous", "--dev", ...listen], taken), 1);
  assert.match(taken.notes.join("\n"), /cannot listen on 127\.0\.0\.1, port \d+: .*EADDRINUSE/);
  const bare = new RecordedIo();
  assert.equal(await runCommandLine(["rendezvous"], bare), 2);
  assert.match(bare.notes.join("\n"), /takes --tls-cert and --tls-key, or --dev/);
  for (const [args, problem] of [
    [["--dev", "--redis", "localhost"], /--redis takes a URL with redis:\/\//],
    [["--dev", "--redis-prefix", "x"], /--redis-prefix is for --redis/],
    [["--dev", "--tls-cert", "x"], /--dev is plain HTTP/],
  ] as const) {
    const io = new RecordedIo();
    assert.equal(await runCommandLine(["rendezvous", ...args], io), 2);
    assert.match(io.notes.join("\n"), problem);
  }
  const help = new RecordedIo();
  assert.equal(await runCommandLine(["rendezvous", "--help"], help), 0);
  assert.match(help.printed.join("\n"), /--pages <ip:port>/);
});
