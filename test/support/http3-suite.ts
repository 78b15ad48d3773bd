// What an HTTP/3 connection does on any engine.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Platform } from "../../src/base/platform.ts";
import type { CloseCause, EngineConnection, TransportOptions } from "../../src/engine/engine.ts";
import { H3 } from "../../src/http3/h3-error.ts";
import { Http3Connection, type Http3ConnectionOptions } from "../../src/http3/http3-connection.ts";
import type { Field } from "../../src/http3/qpack/field.ts";
import type { MessageHandler, RequestStream } from "../../src/http3/request-stream.ts";
import { frame, get, headers, hex, ok, post, Recorder, text } from "./http3-peer.ts";

/** A QUIC connection seen from both ends, with its handshake done. */
export interface EngineLink {
  readonly client: EngineConnection;
  readonly server: EngineConnection;
  readonly platform: Platform;
  /** Lets everything happen that can happen without more than a second passing. */
  settle(): Promise<void>;
  /** Lets time pass. */
  advance(byMs: number): Promise<void>;
}

export interface EngineLinkOptions {
  readonly client?: Partial<TransportOptions>;
  readonly server?: Partial<TransportOptions>;
}

/** Runs the suite on connections made by `connect`. */
export function http3Suite(
  engine: string,
  connect: (options: EngineLinkOptions) => Promise<EngineLink>,
): void {
  const on = (name: string, run: () => Promise<void>) => test(`on ${engine}: ${name}`, run);

  on("a call goes both ways, and leaves nothing behind", async () => {
    const { client, server, settle } = await start();
    const response = new Recorder();
    const request = client.request(post, response);
    request.sendData(text("hello"));
    request.sendTrailers([["a", "b"]]);
    await settle();
    const [received] = server.requests;
    assert.deepEqual(received?.message.log.slice(1), ["data 5", "trailers a=b", "end"]);
    received?.stream.sendHeaders(ok, { content: text("world") });
    received?.stream.sendTrailers([["grpc-status", "0"]]);
    await settle();
    assert.deepEqual(response.log, [
      "headers :status=200",
      "data 5",
      "trailers grpc-status=0",
      "end",
    ]);
    assert.equal(client.activeRequests, 0);
    assert.equal(server.http3.activeRequests, 0);
  });

  on("F13: one call after another, and many at once, get by with few streams", async () => {
    const { client, settle } = await start(
      { server: { maxBidirectionalStreams: 3 } },
      { onRequest: (stream) => echo(stream) },
    );
    for (let count = 0; count < 30; count += 1) {
      const response = new Recorder();
      client.request(post, response, { content: text("x"), end: true });
      await settle();
      assert.equal(response.log.at(-1), "end");
    }
    const responses = Array.from({ length: 100 }, (_, index) => {
      const response = new Recorder();
      const fields: Field[] = [...post, ["x-user", `user ${index % 7}`], ["x-number", `${index}`]];
      client.request(fields, response, { content: text("x".repeat(index)), end: true });
      return response;
    });
    assert.equal(client.queuedRequests, 97);
    for (let turns = 0; client.activeRequests > 0 && turns < 100; turns += 1) {
      await settle();
    }
    assert.deepEqual(
      responses.map(({ content }) => content.reduce((sum, bytes) => sum + bytes.length, 0)),
      responses.map((_, index) => index),
    );
    assert.equal(client.queuedRequests, 0);
  });

  on(
    "F14: a request above the stream limit waits, is seen, and can be cancelled unsent",
    async () => {
      const { client, server, settle } = await start({ server: { maxBidirectionalStreams: 1 } });
      const responses = [new Recorder(), new Recorder(), new Recorder()] as const;
      client.request(get, responses[0], { end: true });
      const second = client.request(get, responses[1], { end: true });
      client.request(get, responses[2], { end: true });
      await settle();
      assert.equal(client.queuedRequests, 2);
      second.cancel(H3.REQUEST_CANCELLED);
      assert.equal(client.queuedRequests, 1);
      server.requests[0]?.stream.sendHeaders(ok, { end: true });
      await settle();
      assert.equal(server.requests.length, 2);
      server.requests[1]?.stream.sendHeaders(ok, { end: true });
      await settle();
      assert.deepEqual(
        responses.map(({ log }) => log.at(-1)),
        ["end", undefined, "end"],
      );
    },
  );

  on("F7: a reader that pauses stops the writer, and gets all of it in the end", async () => {
    const { client, server, settle } = await start({
      server: { streamReceiveWindow: 50_000, receiveWindow: 100_000 },
      client: { sendWindow: 50_000 },
    });
    const response = new Recorder();
    const request = client.request(post, response);
    await settle();
    const [received] = server.requests;
    received?.stream.pause();
    const total = 1_000_000;
    let pushed = 0;
    const push = (): void => {
      while (pushed < total) {
        const piece = new Uint8Array(10_000).fill(pushed / 10_000);
        pushed += piece.length;
        if (!request.sendData(piece, { end: pushed === total })) {
          return;
        }
      }
    };
    response.onCall = (name) => {
      if (name === "writable") {
        push();
      }
    };
    push();
    await settle();
    assert.ok(pushed <= 250_000, `${pushed} bytes were taken though nobody reads`);
    assert.equal(received?.message.content.length, 0);
    received?.stream.resume();
    for (let turns = 0; received?.message.log.at(-1) !== "end" && turns < 200; turns += 1) {
      await settle();
    }
    const got = Buffer.concat(received?.message.content ?? []);
    assert.equal(got.length, total);
    assert.ok(got.every((byte, index) => byte === Math.floor(index / 10_000) % 256));
  });

  on("F10: a call that is not read holds up no other", async () => {
    const { client, server, settle } = await start({ client: { streamReceiveWindow: 20_000 } });
    const stuck = new Recorder();
    const request = client.request(get, stuck, { end: true });
    request.pause();
    await settle();
    const [received] = server.requests;
    received?.stream.sendHeaders(ok);
    assert.equal(received?.stream.sendData(new Uint8Array(200_000)), false);
    await settle();
    for (let count = 1; count <= 5; count += 1) {
      const response = new Recorder();
      client.request(get, response, { end: true });
      await settle();
      server.requests[count]?.stream.sendHeaders(ok, { content: text("x"), end: true });
      await settle();
      assert.equal(response.log.at(-1), "end");
    }
    assert.deepEqual(stuck.log, []);
    request.cancel(H3.REQUEST_CANCELLED);
    await settle();
    assert.match(received?.message.log.at(-1) ?? "", /^(stopped 0x10c|failed)$/);
  });

  on("F16: the server hears of a cancelled call at once, also while it reads nothing", async () => {
    const { client, server, settle } = await start();
    const response = new Recorder();
    const request = client.request(post, response);
    request.sendData(text("x"));
    await settle();
    const [received] = server.requests;
    received?.stream.pause();
    received?.stream.sendHeaders(ok);
    request.cancel(H3.REQUEST_CANCELLED);
    await settle();
    assert.ok(received?.message.log.includes("stopped 0x10c"), received?.message.log.join());
    received?.stream.cancel(H3.REQUEST_CANCELLED);
    await settle();
    assert.deepEqual(response.log, []);
    assert.equal(client.activeRequests, 0);
    assert.equal(server.http3.activeRequests, 0);
  });

  on("a server that answers early is heard to the end (RFC 9114 §4.1)", async () => {
    const { client, server, settle } = await start();
    const response = new Recorder();
    const request = client.request(post, response);
    request.sendData(text("the beginning"));
    await settle();
    const stream = server.requests[0]?.stream;
    stream?.stopReceiving(H3.NO_ERROR);
    stream?.sendHeaders(ok, { content: text("enough"), end: true });
    await settle();
    assert.ok(response.log.includes("stopped 0x100"));
    assert.deepEqual(
      response.log.filter((entry) => !entry.startsWith("stopped")),
      ["headers :status=200", "data 6", "end"],
    );
    assert.equal(server.http3.activeRequests, 0);
    assert.equal(client.activeRequests, 0);
  });

  on("F13: calls that are cancelled, stopped or rejected give their stream back", async () => {
    const { client, server, settle } = await start({ server: { maxBidirectionalStreams: 1 } });
    const endings: ((client: RequestStream, server: RequestStream) => void)[] = [
      (request) => request.cancel(H3.REQUEST_CANCELLED),
      (_, stream) => stream.cancel(H3.REQUEST_CANCELLED),
      (_, stream) => stream.cancel(H3.REQUEST_REJECTED),
      (_, stream) => {
        stream.stopReceiving(H3.NO_ERROR);
        stream.sendHeaders(ok, { end: true });
      },
      (request, stream) => {
        stream.sendHeaders(ok);
        request.cancel(H3.REQUEST_CANCELLED);
      },
      (request, stream) => {
        request.stopReceiving(H3.NO_ERROR);
        request.end();
        stream.sendHeaders(ok, { content: new Uint8Array(2_000_000) });
      },
    ];
    for (const [index, ending] of endings.entries()) {
      const request = client.request(post, new Recorder());
      request.sendData(text("x"));
      await settle();
      const received = server.requests[index];
      assert.ok(received, `call ${index} got no stream`);
      ending(request, received.stream);
      await settle();
      received.stream.cancel(H3.REQUEST_CANCELLED);
      await settle();
      assert.equal(client.activeRequests, 0);
      assert.equal(server.http3.activeRequests, 0);
    }
  });

  on("F18: a rejected request is known not to have been processed (RFC 9114 §4.1.1)", async () => {
    const { client, server, settle } = await start();
    const response = new Recorder();
    client.request(get, response, { end: true });
    await settle();
    server.requests[0]?.stream.cancel(H3.REQUEST_REJECTED);
    await settle();
    assert.equal(response.error?.code, H3.REQUEST_REJECTED);
    assert.equal(response.error?.origin, "peer");
    assert.equal(response.error?.unprocessed, true);
  });

  on("the end of the connection fails all calls on both sides, with code and origin", async () => {
    const link = await start({ server: { maxBidirectionalStreams: 1 } });
    const { client, server, settle } = link;
    const open = new Recorder();
    const waiting = new Recorder();
    client.request(get, open, { end: true });
    client.request(get, waiting, { end: true });
    await settle();
    server.http3.close(H3.INTERNAL_ERROR, "on fire");
    assert.equal(server.http3.state, "closed");
    await settle();
    assert.equal(open.error?.code, H3.INTERNAL_ERROR);
    assert.equal(open.error?.origin, "peer");
    assert.equal(open.error?.scope, "connection");
    assert.equal(open.error?.unprocessed, false);
    assert.match(open.error?.message ?? "", /H3_INTERNAL_ERROR: on fire/);
    assert.equal(waiting.error?.unprocessed, true);
    assert.equal(server.requests[0]?.message.error?.origin, "local");
    assert.equal(client.state, "closed");
    const late = new Recorder();
    client.request(get, late);
    assert.deepEqual(late.log, []);
    await settle();
    assert.equal(late.error?.unprocessed, true);
    assert.equal(link.closed.length, 2);
  });

  on(
    "F6: a server that shuts down answers what runs, refuses what comes, and closes (RFC 9114 §5.2)",
    async () => {
      const { client, server, settle, goaways } = await start();
      const running = new Recorder();
      client.request(get, running, { end: true });
      await settle();
      let done = false;
      const shutdown = server.http3.shutdown({ timeoutMs: 60_000 }).then(() => {
        done = true;
      });
      assert.equal(server.http3.state, "draining");
      const crossing = new Recorder();
      client.request(get, crossing, { end: true });
      await settle();
      assert.equal(crossing.error?.unprocessed, true);
      assert.equal(server.requests.length, 1);
      assert.deepEqual(goaways, ["client"]);
      assert.equal(client.state, "draining");
      assert.equal(done, false);
      server.requests[0]?.stream.sendHeaders(ok, { content: text("done"), end: true });
      await settle();
      await shutdown;
      assert.deepEqual(running.log, ["headers :status=200", "data 4", "end"]);
      assert.equal(client.state, "closed");
    },
  );

  on(
    "F18: a request that crosses the GOAWAY of an idle server is known not to be processed",
    async () => {
      const { client, server, settle } = await start();
      const response = new Recorder();
      client.request(get, response, { end: true });
      const shutdown = server.http3.shutdown({ timeoutMs: 60_000 });
      await settle();
      await shutdown;
      assert.equal(response.error?.unprocessed, true);
      assert.equal(server.requests.length, 0);
    },
  );

  on("a client that shuts down gets its answers first, those of waiting requests too", async () => {
    const { client, server, settle } = await start({ server: { maxBidirectionalStreams: 1 } });
    const responses = [new Recorder(), new Recorder()];
    for (const response of responses) {
      client.request(get, response, { end: true });
    }
    await settle();
    const shutdown = client.shutdown({ timeoutMs: 60_000 });
    server.requests[0]?.stream.sendHeaders(ok, { end: true });
    await settle();
    server.requests[1]?.stream.sendHeaders(ok, { end: true });
    await settle();
    await shutdown;
    assert.deepEqual(
      responses.map(({ log }) => log.at(-1)),
      ["end", "end"],
    );
    assert.equal(server.http3.state, "closed");
    await client.shutdown({ timeoutMs: 1 });
  });

  on("F6: shutting down ends by its timeout, whatever the peer does", async () => {
    const { client, server, settle, advance } = await start();
    const response = new Recorder();
    client.request(get, response, { end: true });
    await settle();
    const shutdown = server.http3.shutdown({ timeoutMs: 5_000 });
    await advance(4_000);
    assert.equal(server.http3.state, "draining");
    await advance(2_000);
    await shutdown;
    assert.equal(response.error?.code, H3.NO_ERROR);
    assert.equal(response.error?.scope, "connection");
  });

  on(
    "with requests both ways a server sends them too, as many at once as the client takes",
    async () => {
      const both = { requestsBothWays: true };
      const { client, server, settle } = await start(
        { client: { maxBidirectionalStreams: 3 }, server: { maxBidirectionalStreams: 3 } },
        { ...both, onRequest: (stream) => echo(stream) },
        { ...both, onRequest: (stream) => echo(stream) },
      );
      assert.equal(server.http3.sendsRequests, true);
      const senders = [client, server.http3];
      const responses = Array.from({ length: 40 }, (_, index) => {
        const response = new Recorder();
        const fields: Field[] = [...post, ["x-user", `user ${index % 7}`]];
        const content = text("x".repeat(index));
        senders[index % 2]?.request(fields, response, { content, end: true });
        return response;
      });
      assert.deepEqual(
        senders.map(({ queuedRequests }) => queuedRequests),
        [17, 17],
      );
      for (let turns = 0; client.activeRequests > 0 && turns < 100; turns += 1) {
        await settle();
      }
      assert.deepEqual(
        responses.map(({ content }) => content.reduce((sum, bytes) => sum + bytes.length, 0)),
        responses.map((_, index) => index),
      );
      assert.equal(server.http3.activeRequests, 0);
    },
  );

  on(
    "F6: a client that shuts down answers the server's requests, and refuses those that cross (RFC 9114 §5.2)",
    async () => {
      const received: RequestStream[] = [];
      const onRequest = (stream: RequestStream): MessageHandler => {
        received.push(stream);
        return new Recorder();
      };
      const both = { requestsBothWays: true };
      const { client, server, settle, goaways } = await start({}, both, { ...both, onRequest });
      const running = new Recorder();
      server.http3.request(get, running, { end: true });
      await settle();
      const shutdown = client.shutdown({ timeoutMs: 60_000 });
      const crossing = new Recorder();
      server.http3.request(get, crossing, { end: true });
      await settle();
      assert.equal(crossing.error?.unprocessed, true);
      assert.deepEqual(goaways, ["server"]);
      assert.equal(server.http3.state, "draining");
      assert.equal(received.length, 1);
      received[0]?.sendHeaders(ok, { content: text("done"), end: true });
      await settle();
      await shutdown;
      assert.deepEqual(running.log, ["headers :status=200", "data 4", "end"]);
      assert.equal(server.http3.state, "closed");
    },
  );

  on("a peer that breaks the rules is told why (RFC 9114 §8)", async () => {
    const link = await connect({});
    const server = serve(link, {});
    const closed: CloseCause[] = [];
    link.client.handler = { ...silent, closed: (cause) => closed.push(cause) };
    link.client.openStream("unidirectional")?.write(hex("00 0d 01 01"));
    await link.settle();
    assert.equal(server.http3.state, "closed");
    const [cause] = closed;
    assert.ok(cause?.type === "application");
    assert.equal(cause.origin, "peer");
    assert.equal(cause.code, H3.MISSING_SETTINGS);
  });

  on("hostile streams cost little, and other calls go on", async () => {
    const link = await connect({ server: { streamReceiveWindow: 50_000, receiveWindow: 500_000 } });
    const server = serve(link, { onRequest: (stream) => echo(stream) });
    link.client.handler = silent;
    link.client.openStream("unidirectional")?.write(hex("00 04 00"));
    const open = (bytes: Uint8Array, fin = false) => {
      const stream = link.client.openStream("bidirectional");
      assert.ok(stream);
      stream.handler = { ...quiet, stopped: () => {}, readable: () => {} };
      const taken = stream.write(bytes, fin);
      return { stream, taken };
    };
    for (let count = 0; count < 50; count += 1) {
      open(hex("01"));
      open(headers(post).subarray(0, 20));
      open(
        Buffer.concat([
          headers([...post, ["content-length", "2147483648"]]),
          hex("00 c000000080000000 aa"),
        ]),
      );
    }
    await link.settle();
    assert.equal(server.http3.activeRequests, 150);
    const { stream } = open(Buffer.concat([headers(post), frame(0x00, text("hi"))]), true);
    await link.settle();
    assert.ok((stream.read()?.length ?? 0) > 0, "answered in spite of the others");
    await link.advance(11_000);
    assert.equal(server.http3.activeRequests, 50, "heads that are not complete are rejected");
    assert.equal(server.http3.state, "open");
  });

  async function start(
    options: EngineLinkOptions = {},
    serverOptions: Partial<Http3ConnectionOptions> = {},
    clientOptions: Partial<Http3ConnectionOptions> = {},
  ) {
    const link = await connect(options);
    const { platform } = link;
    const closed: CloseCause[] = [];
    const goaways: string[] = [];
    const onClosed = (cause: CloseCause): void => {
      closed.push(cause);
    };
    const server = serve(link, {
      onClosed,
      onGoaway: () => goaways.push("server"),
      ...serverOptions,
    });
    const client = new Http3Connection(link.client, {
      role: "client",
      platform,
      onClosed,
      onGoaway: () => goaways.push("client"),
      ...clientOptions,
    });
    await link.settle();
    return {
      client,
      server,
      closed,
      goaways,
      settle: () => link.settle(),
      advance: (byMs: number) => link.advance(byMs),
    };
  }
}

interface Received {
  readonly stream: RequestStream;
  readonly message: Recorder;
}

function serve(link: EngineLink, options: Partial<Http3ConnectionOptions>) {
  const requests: Received[] = [];
  const http3 = new Http3Connection(link.server, {
    role: "server",
    platform: link.platform,
    onRequest: (stream) => {
      const message = new Recorder();
      requests.push({ stream, message });
      return message;
    },
    ...options,
  });
  return { http3, requests };
}

/** Sends back what comes. */
function echo(stream: RequestStream): MessageHandler {
  const content: Uint8Array[] = [];
  return Object.assign(new Recorder(), {
    data: (bytes: Uint8Array) => {
      content.push(bytes);
    },
    end: () => {
      stream.sendHeaders(ok);
      for (const bytes of content) {
        stream.sendData(bytes);
      }
      stream.end();
    },
  });
}

const silent = {
  connected: () => {},
  streamOpened: () => {},
  streamsAvailable: () => {},
  datagram: () => {},
  datagramsWritable: () => {},
  pathsChanged: () => {},
  closed: () => {},
};

const quiet = {
  readable: () => {},
  writable: () => {},
  stopped: () => {},
  acknowledged: () => {},
  connectionClosed: () => {},
};
