// What passes a relay, as the relay itself and those on the way to it see it when there is no TLS: WebSocket messages with
// datagrams of QUIC. Who talks to whom, when and how much is there to see; what they say is not.

import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateSync } from "node:zlib";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createPeerRouter, createQuicTransport, Endpoint, EndpointAddr } from "../../src/index.ts";
import { decodeClientFrame, decodeRelayFrame } from "../../src/relay/relay-frame.ts";
import { RelayServer } from "../../src/relay.ts";
import { RelayPeer } from "../interop/relay/relay-peer.ts";
import { EchoService } from "../support/echo-service.ts";
import { bindMutedUdp } from "../support/muted-udp.ts";
import { RecordingProxy, webSocketMessages } from "../support/recording-proxy.ts";
import { stayAlive } from "../support/stay-alive.ts";

stayAlive();

const secrets = {
  request: "the-request-says-xylophone",
  response: "the-response-says-marimba",
  streamed: "the-stream-says-glockenspiel",
  header: "x-header-called-vibraphone",
  headerValue: "the-header-says-celesta",
  trailer: "x-trailer-called-dulcimer",
  error: "the-error-says-cymbal",
  path: "/echo.v1.EchoService/Echo",
  token: "Bearer tambourine-token-0123456789",
};

/** Those of the secrets that can be read in `bytes`, as they are or in an encoding that needs no key. */
function readable(bytes: Buffer): string[] {
  const haystack = bytes.toString("latin1");
  return Object.entries(secrets).flatMap(([name, text]) => {
    const utf8 = Buffer.from(text);
    // Base64 of what may begin at any of three places: the characters that do not depend on what stands around.
    const base64 = [0, 1, 2].map((shift) => {
      const encoded = Buffer.concat([Buffer.alloc(shift), utf8]).toString("base64");
      return encoded.slice(shift === 0 ? 0 : 4, -4);
    });
    const needles = [
      text,
      utf8.toString("hex"),
      utf8.toString("hex").toUpperCase(),
      Buffer.from(text, "utf16le").toString("latin1"),
      ...base64,
    ];
    return needles.some((needle) => haystack.includes(needle)) ? [name] : [];
  });
}

/** All of it: the bytes on the wire, and what is in the messages. */
function seen(proxy: RecordingProxy): { readonly wire: Buffer; readonly messages: Buffer[] } {
  return {
    wire: Buffer.concat(proxy.streams),
    messages: proxy.streams.flatMap(webSocketMessages),
  };
}

async function relayBehindProxy() {
  const relay = await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } });
  const proxy = await RecordingProxy.start(relay.address);
  return {
    proxy,
    url: `http://127.0.0.1:${proxy.port}/`,
    [Symbol.asyncDispose]: async () => {
      await relay.close();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

test("nothing of a call's content can be read in what passes a relay without TLS", async () => {
  await using relay = await relayBehindProxy();
  const bind = (): Promise<Endpoint> =>
    Endpoint.bind({
      bind: "127.0.0.1:0",
      relays: [relay.url],
      network: { bindSocket: bindMutedUdp },
    });
  await using server = await bind();
  await using client = await bind();
  createPeerRouter(server).service(EchoService, {
    echo: ({ message }, { requestHeader, responseHeader, responseTrailer }) => {
      assert.equal(requestHeader.get(secrets.header), secrets.headerValue);
      assert.equal(requestHeader.get("authorization"), secrets.token);
      if (message.startsWith("fail")) {
        throw new ConnectError(secrets.error, Code.DataLoss);
      }
      responseHeader.set(secrets.header, secrets.headerValue);
      responseTrailer.set(secrets.trailer, "1");
      return { message: secrets.response };
    },
    async *repeat({ count }) {
      for (let number = 0; number < count; number += 1) {
        yield { message: secrets.streamed, number };
      }
    },
  });
  await Promise.all([server.online(), client.online()]);
  const addr = new EndpointAddr(
    server.id,
    server.addr().addrs.filter(({ type }) => type === "relay"),
  );
  for (const protocol of ["connect", "grpc", "grpc-web"] as const) {
    for (const useBinaryFormat of [true, false]) {
      await using transport = createQuicTransport({
        endpoint: client,
        to: addr,
        protocol,
        useBinaryFormat,
        acceptCompression: [],
      });
      const { echo, repeat } = createClient(EchoService, transport);
      const headers = { [secrets.header]: secrets.headerValue, authorization: secrets.token };
      const { message } = await echo({ message: secrets.request.repeat(50) }, { headers });
      assert.equal(message, secrets.response);
      await assert.rejects(echo({ message: `fail ${secrets.request}` }, { headers }), {
        rawMessage: secrets.error,
      });
      for await (const each of repeat({ message: secrets.request, count: 20 }, { headers })) {
        assert.equal(each.message, secrets.streamed);
      }
    }
  }

  const { wire, messages } = seen(relay.proxy);
  assert.deepEqual(readable(wire), []);
  const content = Buffer.concat(messages);
  assert.ok(content.length > 50_000, `${content.length} bytes: it did not all go there`);
  assert.deepEqual(readable(content), []);
  assertRandom(messages);
});

/** Datagrams after the handshake look like noise: what says the same again and again could be compressed otherwise. */
function assertRandom(messages: readonly Buffer[]): void {
  const datagrams: Uint8Array[] = [];
  for (const message of messages) {
    const frame = message[0] === 4 || message[0] === 5 ? decodeClientFrame(message) : undefined;
    if (frame?.type === "datagrams") {
      const { contents, segmentSize = contents.length } = frame;
      for (let at = 0; at < contents.length; at += segmentSize) {
        const datagram = contents.subarray(at, at + segmentSize);
        // Long headers name versions and ids. A short one is a byte and an id, which are the same each time.
        if (((datagram[0] ?? 0) & 0x80) === 0) {
          datagrams.push(datagram.subarray(9));
        }
      }
    }
  }
  const noise = Buffer.concat(datagrams);
  assert.ok(noise.length > 20_000);
  assert.ok(deflateSync(noise).length >= noise.length * 0.99, "it can be compressed");
}

test("what is sent over a relay in clear is found there, so what is not found is not there", async () => {
  await using relay = await relayBehindProxy();
  using sender = new RelayPeer(relay.url);
  using receiver = new RelayPeer(relay.url);
  await Promise.all(
    [sender, receiver].map((peer) => peer.until(() => peer.client.state.type === "connected")),
  );
  const [text, base64, hex] = [Object.values(secrets).join(" "), "base64", "hex"] as const;
  for (const form of [
    text,
    Buffer.from(`?${text}`).toString(base64),
    Buffer.from(text).toString(hex),
  ]) {
    const bytes = Buffer.from(form);
    const before = receiver.received.length;
    const { messages: earlier } = seen(relay.proxy);
    sender.client.send(receiver.id, bytes, bytes.length);
    await receiver.until(() => receiver.received.length > before);
    const messages = seen(relay.proxy).messages.slice();
    assert.ok(messages.length > earlier.length);
    const last = messages.filter((message) => message[0] === 6).at(-1);
    assert.ok(last && decodeRelayFrame(last, 2).type === "datagrams");
    assert.deepEqual(readable(last), Object.keys(secrets));
  }
  // Towards the relay a mask lies over it, which is no secret.
  const [toRelay] = relay.proxy.streams
    .map(webSocketMessages)
    .map((messages) => messages.filter((message) => message[0] === 4))
    .filter((messages) => messages.length > 0);
  assert.ok(toRelay && readable(Buffer.concat(toRelay)).length > 5);
  const [message = Buffer.alloc(0)] = toRelay;
  assert.throws(() => assertRandom(new Array<Buffer>(100).fill(message)), /can be compressed/);
});
