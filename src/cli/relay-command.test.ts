import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { RecordedIo } from "../../test/support/recorded-io.ts";
import { createSelfSignedCertificate } from "../../test/support/self-signed-certificate.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { nodePlatform } from "../base/node-platform.ts";
import { Endpoint, type RelayOptions } from "../endpoint/endpoint.ts";
import { parseCertificates } from "../identity/certificates.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { openNodeMessageChannel } from "../relay/node-message-channel.ts";
import { RelayClient } from "../relay/relay-client.ts";
import { runCommandLine } from "./command-line.ts";

stayAlive();

interface RunningRelay {
  readonly url: string;
  readonly io: RecordedIo;
  readonly ended: Promise<number>;
}

async function start(t: TestContext, ...args: string[]): Promise<RunningRelay> {
  const io = new RecordedIo();
  const ended = runCommandLine(["relay", "--listen", "127.0.0.1:0", ...args], io);
  t.after(async () => {
    io.interrupt();
    await ended;
  });
  return { url: await io.line(/^relay +(\S+)$/), io, ended };
}

async function bind(t: TestContext, relay: string | RelayOptions): Promise<Endpoint> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0", relays: [relay] });
  t.after(() => endpoint.close({ timeoutMs: 0 }));
  return endpoint;
}

test("a relay for development serves until Ctrl-C, and then tells its clients to come back", async (t) => {
  const { url, io, ended } = await start(t, "--dev");
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/);
  const endpoint = await bind(t, url);
  await endpoint.online();
  io.interrupt();
  assert.equal(await ended, 0);
  assert.deepEqual(io.notes, ["stopping; clients are told to come back: 1"]);
});

test("with --token and --allow, a peer needs both", async (t) => {
  const friend = SecretKey.generate();
  const args = ["--token", "a", "--token", "b", "--allow", friend.publicKey.toString()];
  const { url } = await start(t, "--dev", "--metrics", "here", ...args);
  const denied = /not authorized/;
  assert.match((await refusal(t, url, friend)) ?? "", denied);
  assert.match((await refusal(t, url, friend, "c")) ?? "", denied);
  assert.match((await refusal(t, url, SecretKey.generate(), "b")) ?? "", denied);
  assert.equal(await refusal(t, url, friend, "b"), undefined);
  assert.match(await (await fetch(`${url}metrics`)).text(), /accepts_total 1$/m);
});

/** What the relay says to who comes with this key and this token; undefined when it lets in. */
function refusal(
  t: TestContext,
  url: string,
  secretKey: SecretKey,
  authToken?: string,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const client = new RelayClient({
      url: parseRelayUrl(url),
      secretKey,
      ...(authToken === undefined ? {} : { authToken }),
      platform: nodePlatform,
      openChannel: openNodeMessageChannel,
      handler: {
        datagrams: () => {},
        endpointGone: () => {},
        stateChanged: (state) => {
          if (state.type === "connected") {
            resolve(undefined);
          } else if (state.type === "waiting") {
            resolve(state.error.message);
          }
        },
      },
    });
    t.after(() => client.close());
  });
}

test("metrics are served where it was said", async (t) => {
  const { io } = await start(t, "--dev", "--metrics", "127.0.0.1:0");
  const page = await io.line(/^metrics +(\S+)$/);
  assert.match(await (await fetch(page)).text(), /accepts_total 0/);
});

test("a relay with a certificate serves over TLS", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "connect-quic-relay-"));
  t.after(() => rm(folder, { recursive: true }));
  const { cert, key } = createSelfSignedCertificate();
  const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await writeFile(certFile, cert);
  await writeFile(keyFile, key);
  const tls = ["--tls-cert", certFile, "--tls-key", keyFile];
  const { url, io: printed } = await start(t, ...tls, "--quic", "127.0.0.1:0");
  assert.match(url, /^https:/);
  const quicPort = Number(await printed.line(/^quic +127\.0\.0\.1:(\d+)$/));
  const authorities = parseCertificates(cert);
  const endpoint = await bind(t, { url, authorities, quicPort });
  await endpoint.online();
  assert.equal((await endpoint.netcheck()).udp, true);
  const plain = new RecordedIo();
  assert.equal(await runCommandLine(["relay", "--dev", "--quic", "127.0.0.1:0"], plain), 2);
  assert.match(plain.notes.join("\n"), /--quic needs --tls-cert/);

  const io = new RecordedIo();
  const missing = ["relay", "--tls-cert", join(folder, "no.pem"), "--tls-key", keyFile];
  assert.equal(await runCommandLine(missing, io), 1);
  assert.match(io.notes.join("\n"), /^connect-quic relay: cannot read --tls-cert: ENOENT/);
  const swapped = new RecordedIo();
  assert.equal(
    await runCommandLine(
      ["relay", "--listen", "127.0.0.1:0", "--tls-cert", keyFile, "--tls-key", certFile],
      swapped,
    ),
    1,
  );
  assert.match(swapped.notes.join("\n"), /^connect-quic relay: cannot use the certificate: /);
});

test("a relay that cannot listen says so, with exit code 1", async (t) => {
  const { url } = await start(t, "--dev");
  const { host } = new URL(url);
  const io = new RecordedIo();
  assert.equal(await runCommandLine(["relay", "--dev", "--listen", host], io), 1);
  assert.match(
    io.notes.join("\n"),
    /^connect-quic relay: cannot listen on 127\.0\.0\.1, port \d+: .*EADDRINUSE/,
  );
});
