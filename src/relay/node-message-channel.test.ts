import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createServer as createHttpServer, type IncomingMessage } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Server } from "node:net";
import { type TestContext, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { type WebSocket, WebSocketServer } from "ws";
import { createSelfSignedCertificate } from "../../test/support/self-signed-certificate.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { deferred } from "../base/deferred.ts";
import { parseCertificates } from "../identity/certificates.ts";
import type { MessageChannel, MessageChannelOptions } from "./message-channel.ts";
import { openNodeMessageChannel } from "./node-message-channel.ts";

stayAlive();

const defaults: MessageChannelOptions = {
  subprotocols: ["two", "one"],
  timeoutMs: 60_000,
  maxMessageBytes: 1_000,
};

/** A WebSocket server on loopback. */
async function listen(
  t: TestContext,
  tls?: { readonly key: string; readonly cert: string },
): Promise<{ port: number; connected: Promise<{ socket: WebSocket; request: IncomingMessage }> }> {
  const server: Server = tls === undefined ? createHttpServer() : createHttpsServer(tls);
  const webSockets = new WebSocketServer({ server: server as never, perMessageDeflate: true });
  const connected = deferred<{ socket: WebSocket; request: IncomingMessage }>();
  webSockets.on("connection", (socket, request) => connected.resolve({ socket, request }));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of webSockets.clients) {
      socket.terminate();
    }
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, connected: connected.promise };
}

/** A channel whose events can be awaited. */
function open(url: string, options: Partial<MessageChannelOptions> = {}) {
  const opened = deferred<string>();
  const closed = deferred<Error | undefined>();
  const drained = deferred<void>();
  const messages: Uint8Array[] = [];
  let waiter: (() => void) | undefined;
  const channel: MessageChannel = openNodeMessageChannel(
    new URL(url),
    { ...defaults, ...options },
    {
      opened: opened.resolve,
      message: (bytes) => {
        messages.push(bytes);
        waiter?.();
      },
      drained: () => drained.resolve(),
      closed: closed.resolve,
    },
  );
  const received = async (count: number): Promise<readonly Uint8Array[]> => {
    while (messages.length < count) {
      await new Promise<void>((resolve) => {
        waiter = resolve;
      });
    }
    return messages;
  };
  return {
    channel,
    opened: opened.promise,
    closed: closed.promise,
    drained: drained.promise,
    received,
  };
}

for (const { where, scheme, host, masked } of [
  { where: "where others may read it", scheme: "ws", host: "localhost", masked: true },
  { where: "within a machine", scheme: "ws", host: "127.0.0.1", masked: false },
  { where: "over TLS", scheme: "wss", host: "localhost", masked: false },
]) {
  test(`a channel masks what it sends ${where}: ${masked} (RFC 6455 §5.3)`, async (t) => {
    const tls = createSelfSignedCertificate();
    const { port, connected } = await listen(t, scheme === "wss" ? tls : undefined);
    const authorities = parseCertificates(tls.cert);
    const { channel, opened } = open(`${scheme}://${host}:${port}/`, { authorities });
    const { socket, request } = await connected;
    const arrived = deferred<Buffer>();
    // Before the WebSocket itself, which unmasks where the bytes lie.
    request.socket.prependListener("data", (bytes: Buffer) => arrived.resolve(Buffer.from(bytes)));
    const message = deferred<Buffer>();
    socket.on("message", (bytes: Buffer) => message.resolve(bytes));
    await opened;
    const sent = Buffer.from("twelve bytes");
    channel.send(new Uint8Array(sent));
    const frame = await arrived.promise;
    assert.deepEqual([...frame.subarray(0, 2)], [0x82, 0x80 | sent.length]);
    assert.equal(frame.readUInt32BE(2) !== 0, masked);
    assert.equal(frame.subarray(6).equals(sent), !masked);
    assert.deepEqual(await message.promise, sent);
    channel.close();
  });
}

test("a channel carries binary messages in order, and skips text", async (t) => {
  const { port, connected } = await listen(t);
  const { channel, opened, drained, closed, received } = open(`ws://127.0.0.1:${port}/relay?a=b`, {
    headers: { authorization: "Bearer x" },
  });
  assert.equal(await opened, "two");
  const { socket, request } = await connected;
  assert.equal(request.url, "/relay?a=b");
  assert.equal(request.headers.authorization, "Bearer x");
  assert.equal(request.headers["sec-websocket-extensions"], undefined);
  const echoed: number[] = [];
  socket.on("message", (data: Buffer, isBinary) => {
    echoed.push(data[0] ?? -1);
    socket.send("text");
    socket.send(data, { binary: isBinary });
  });
  for (let index = 0; index < 20; index += 1) {
    channel.send(new Uint8Array(500).fill(index));
  }
  assert.equal(channel.bufferedBytes, 10_000);
  await drained;
  assert.equal(channel.bufferedBytes, 0);
  const messages = await received(20);
  assert.deepEqual(
    messages.map((bytes) => [bytes.constructor, bytes[0], bytes.length]),
    Array.from({ length: 20 }, (_, index) => [Uint8Array, index, 500]),
  );
  channel.close();
  channel.close();
  assert.equal(await closed, undefined);
  channel.send(Uint8Array.of(1));
});

test("a channel that is paused makes the other side wait", async (t) => {
  const { port, connected } = await listen(t);
  const { channel, opened, received } = open(`ws://127.0.0.1:${port}/`);
  await opened;
  channel.pause();
  const { socket } = await connected;
  const message = Buffer.alloc(1_000);
  for (let count = 0; count < 20_000; count += 1) {
    socket.send(message);
  }
  channel.resume();
  await received(20_000);
});

test("TLS: the host loses its last dot for the certificate, the server's name and the Host header", async (t) => {
  const certificate = createSelfSignedCertificate();
  const { port, connected } = await listen(t, certificate);
  const { opened, channel } = open(`wss://localhost.:${port}/`, {
    authorities: parseCertificates(certificate.cert),
  });
  assert.equal(await opened, "two");
  const { request } = await connected;
  assert.equal(request.headers.host, `localhost:${port}`);
  assert.equal((request.socket as TLSSocket & { servername: string }).servername, "localhost");
  channel.close({ now: true });
});

test("TLS: an IP address is checked against the certificate too", async (t) => {
  const certificate = createSelfSignedCertificate();
  const { port } = await listen(t, certificate);
  const { opened, channel } = open(`wss://127.0.0.1:${port}/`, {
    authorities: parseCertificates(certificate.cert),
  });
  await opened;
  channel.close({ now: true });
});

test("TLS: a server that nobody vouches for is not talked to", async (t) => {
  const { port } = await listen(t, createSelfSignedCertificate());
  const other = parseCertificates(createSelfSignedCertificate().cert);
  for (const authorities of [undefined, other]) {
    const { closed } = open(
      `wss://localhost:${port}/`,
      authorities === undefined ? {} : { authorities },
    );
    assert.match((await closed)?.message ?? "", /self.signed|verify/);
  }
});

test("what is wrong reaches closed, once", async (t) => {
  const { port, connected } = await listen(t);
  const refused = open("ws://127.0.0.1:1/");
  assert.match((await refused.closed)?.message ?? "", /ECONNREFUSED/);

  const noHeader = open(`ws://127.0.0.1:${port}/`, { headers: { authorization: "a\nb" } });
  assert.match((await noHeader.closed)?.message ?? "", /Invalid character/);
  noHeader.channel.send(Uint8Array.of(1));
  noHeader.channel.close();

  const noAuthority = open(`wss://127.0.0.1:${port}/`, { authorities: [Uint8Array.of(1)] });
  assert.ok((await noAuthority.closed) instanceof Error);

  const tooLong = open(`ws://127.0.0.1:${port}/`);
  await tooLong.opened;
  (await connected).socket.send(Buffer.alloc(1_001));
  assert.match((await tooLong.closed)?.message ?? "", /Max payload size exceeded/);
});

test("an answer that is no upgrade, or for another subprotocol, closes the channel", async (t) => {
  const server = createHttpServer((_, response) => {
    response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  assert.match((await open(`ws://127.0.0.1:${port}/`).closed)?.message ?? "", /404/);

  const webSockets = new WebSocketServer({
    port: 0,
    host: "127.0.0.1",
    handleProtocols: () => "three",
  });
  await new Promise((resolve) => webSockets.on("listening", resolve));
  t.after(() => webSockets.close());
  const other = webSockets.address() as AddressInfo;
  assert.match((await open(`ws://127.0.0.1:${other.port}/`).closed)?.message ?? "", /subprotocol/);
});

test("closed is also called for a channel that is closed before it has opened", async (t) => {
  const { port } = await listen(t);
  const { channel, closed } = open(`ws://127.0.0.1:${port}/`);
  channel.close({ now: true });
  assert.equal(await closed, undefined);
});

test("F5: an open channel, and one that is opening, do not keep the process alive", async (t) => {
  const { port } = await listen(t);
  const module = new URL("./node-message-channel.ts", import.meta.url).href;
  const program = `
    import { openNodeMessageChannel } from ${JSON.stringify(module)};
    const options = { subprotocols: ["two"], timeoutMs: 600_000, maxMessageBytes: 1000 };
    const held = setInterval(() => {}, 1000);
    const handler = { message() {}, drained() {}, closed() { console.log("closed"); } };
    openNodeMessageChannel(new URL("ws://127.0.0.1:${port}/"), options, { ...handler, opened() {
      // A blackhole: nobody answers.
      openNodeMessageChannel(new URL("ws://192.0.2.1/"), options, { ...handler, opened() {} });
      setTimeout(() => clearInterval(held), 100);
    } });`;
  const child = spawn(
    process.execPath,
    ["--import=tsx", "--input-type=module", "--eval", program],
    {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 60_000,
    },
  );
  const code = await new Promise((resolve) => child.on("exit", resolve));
  assert.equal(code, 0);
});

for (const now of [false, true]) {
  test(`a channel that is closed as soon as it is opened says so (now: ${now})`, async (t) => {
    const { port } = await listen(t);
    const { channel, closed } = open(`ws://127.0.0.1:${port}/`);
    channel.close({ now });
    channel.send(Uint8Array.of(1));
    assert.equal(channel.bufferedBytes, 0);
    assert.equal(await closed, undefined);
  });
}

test("a channel that is paused as soon as it is opened tells nothing until it goes on", async (t) => {
  const { port, connected } = await listen(t);
  const { channel, opened, received } = open(`ws://127.0.0.1:${port}/`);
  channel.pause();
  const { socket } = await connected;
  await opened;
  let heard = false;
  const first = received(1).then((messages) => {
    heard = true;
    return messages;
  });
  await new Promise((resolve) => {
    socket.send(Uint8Array.of(1), resolve);
  });
  // On loopback it is there by now.
  for (let turn = 0; turn < 50; turn++) {
    await new Promise(setImmediate);
  }
  assert.equal(heard, false);
  channel.resume();
  assert.deepEqual(await first, [Uint8Array.of(1)]);
});
