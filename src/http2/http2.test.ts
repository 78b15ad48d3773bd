// Both ends of HTTP/2 on a stream in memory.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connectInMemory } from "../../test/support/memory-engine.ts";
import { deferred } from "../base/deferred.ts";
import { nodePlatform } from "../base/node-platform.ts";
import { H3, type H3Error } from "../http3/h3-error.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import { Http2Client } from "./http2-client.ts";
import { Http2Server } from "./http2-server.ts";

/** Remembers what comes, and says when it is over. */
class Recorder implements MessageHandler {
  readonly events: string[] = [];
  readonly over = deferred<H3Error | undefined>();

  headers(fields: readonly (readonly [string, string, ...unknown[]])[]): void {
    const value = (wanted: string) => fields.find(([name]) => name === wanted)?.[1];
    this.events.push(value(":status") ?? `${value(":scheme")} ${value(":path")}`);
  }
  informational(): void {}
  data(bytes: Uint8Array): void {
    this.events.push(Buffer.from(bytes).toString());
  }
  trailers(fields: readonly (readonly [string, string, ...unknown[]])[]): void {
    this.events.push(`${fields[0]?.[0]}: ${fields[0]?.[1]}`);
  }
  end(): void {
    this.events.push("end");
    this.over.resolve(undefined);
  }
  failed(error: H3Error): void {
    this.events.push("failed");
    this.over.resolve(error);
  }
  writable(): void {}
  stopped(): void {}
}

interface Pair {
  readonly client: Http2Client;
  readonly server: Http2Server;
  readonly reports: unknown[];
  close(): void;
}

async function pair(onRequest: (stream: RequestStream) => MessageHandler): Promise<Pair> {
  const link = connectInMemory();
  const connected = deferred<void>();
  link.client.handler = {
    connected: () => connected.resolve(),
    streamOpened: () => {},
    streamsAvailable: () => {},
    datagram: () => {},
    datagramsWritable: () => {},
    pathsChanged: () => {},
    closed: () => {},
  };
  const reports: unknown[] = [];
  const report = (error: unknown): void => void reports.push(error);
  const platform = nodePlatform;
  const server = new Http2Server({ platform, report });
  server.serve(link.server, onRequest);
  await connected.promise;
  const client = new Http2Client(link.client, {
    platform,
    report,
    keepAlive: "active",
    keepAliveMs: 0,
    authority: "iroh.local",
    onGoaway: () => {},
    onClosed: () => {},
  });
  return { client, server, reports, close: () => client.close(H3.NO_ERROR, "") };
}

const request = [
  [":method", "POST"],
  [":path", "/a.B/C"],
] as const;

test("a request and its answer, with trailers", async () => {
  const asked = new Recorder();
  const { client, reports, close } = await pair((stream) => {
    void asked.over.promise.then(() => {
      stream.sendHeaders([[":status", "200"]]);
      stream.sendData(Buffer.from("answer"));
      stream.sendTrailers([["grpc-status", "0"]]);
    });
    return asked;
  });
  const answer = new Recorder();
  client.request(request, answer, { content: Buffer.from("question"), end: true });
  assert.equal(client.activeRequests, 1);
  assert.equal(await answer.over.promise, undefined);
  assert.deepEqual(asked.events, ["http /a.B/C", "question", "end"]);
  assert.deepEqual(answer.events, ["200", "answer", "grpc-status: 0", "end"]);
  assert.deepEqual(reports, []);
  close();
});

test("a request that is cancelled does not look complete", async () => {
  const asked = new Recorder();
  const came = deferred<void>();
  const { client, close } = await pair(() => {
    came.resolve();
    return asked;
  });
  const answer = new Recorder();
  const stream = client.request(request, answer, { content: Buffer.from("half of it") });
  await came.promise;
  stream.cancel(H3.REQUEST_CANCELLED);
  const error = await asked.over.promise;
  assert.equal(error?.code, H3.REQUEST_CANCELLED);
  assert.ok(!asked.events.includes("end"));
  assert.deepEqual(answer.events, []);
  close();
});

test("trailers that HTTP/2 cannot carry fail their request, and are reported", async () => {
  const { client, reports, close } = await pair((stream) => {
    queueMicrotask(() => {
      stream.sendHeaders([[":status", "200"]]);
      stream.sendTrailers([[":status", "200"]]);
    });
    return new Recorder();
  });
  const answer = new Recorder();
  client.request(request, answer, { end: true });
  assert.equal((await answer.over.promise)?.code, H3.INTERNAL_ERROR);
  assert.equal(reports.length, 1);
  close();
});

test("what a handler throws fails its request alone, and is reported", async () => {
  let first = true;
  const { client, reports, close } = await pair((stream) => {
    if (first) {
      first = false;
      throw new Error("broken");
    }
    stream.sendHeaders([[":status", "204"]], { end: true });
    return new Recorder();
  });
  const broken = new Recorder();
  client.request(request, broken, { end: true });
  assert.equal((await broken.over.promise)?.code, H3.INTERNAL_ERROR);
  const fine = new Recorder();
  client.request(request, fine, { end: true });
  assert.equal(await fine.over.promise, undefined);
  assert.deepEqual(fine.events, ["204", "end"]);
  assert.deepEqual(reports, [new Error("broken")]);
  close();
});

test("when the connection ends, so do all requests, and the error says so", async () => {
  const { client, close } = await pair(() => new Recorder());
  const answer = new Recorder();
  client.request(request, answer);
  close();
  const error = await answer.over.promise;
  assert.equal(error?.scope, "connection");
  assert.equal(client.state, "closed");
  assert.throws(() => client.request(request, new Recorder()), { name: "H3Error" });
});
