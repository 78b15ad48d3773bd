import assert from "node:assert/strict";
import { test } from "node:test";
import { nodePlatform } from "../../src/base/node-platform.ts";
import type { MessageHandler } from "../../src/http3/request-stream.ts";
import type { Peer } from "../../src/rpc/caller.ts";
import { ServedConnection } from "../../src/rpc/served-connection.ts";
import { headers, PeerOf } from "../support/http3-peer.ts";

const requests = 5;
const bytesOfRequest = 200_000;

test("F9: content in frames of one byte keeps nobody waiting, and reaches its handler in large pieces", async () => {
  let bytesRead = 0;
  let pieces = 0;
  let ended = 0;
  const served = new ServedConnection({
    caller: { type: "peer", id: { short: "c1c1c1c1c1" }, connection: {} } as Peer,
    routes: {
      find: () => ({
        readMaxBytes: 1_000_000,
        handle: async ({ body }) => {
          for await (const piece of body as AsyncIterable<Uint8Array>) {
            pieces += 1;
            bytesRead += piece.length;
          }
          ended += 1;
          return { status: 200 };
        },
      }),
    },
    maxConcurrentCalls: 100,
    platform: nodePlatform,
    report: assert.ifError,
  });
  let framesOfTurn = 0;
  const counting = (handler: MessageHandler): MessageHandler => {
    const data = handler.data.bind(handler);
    handler.data = (bytes) => {
      framesOfTurn += 1;
      data(bytes);
    };
    return handler;
  };
  const server = new PeerOf({
    role: "server",
    onRequest: (stream, fields) => counting(served.onRequest(stream, fields)),
  });

  const head = headers([
    [":method", "POST"],
    [":scheme", "https"],
    [":authority", "peer"],
    [":path", "/echo.v1.EchoService/Collect"],
    ["content-type", "application/connect+proto"],
  ]);
  // Frames of type DATA and length 1 (RFC 9114 §7.2.1).
  const frames = new Uint8Array(bytesOfRequest * 3).fill(1);
  for (let at = 0; at < frames.length; at += 3) {
    frames[at] = 0;
  }
  for (let request = 0; request < requests; request += 1) {
    const stream = server.open("bidirectional", head);
    for (let at = 0; at < frames.length; at += 65_536) {
      stream.send(frames.subarray(at, at + 65_536), { fin: at + 65_536 >= frames.length });
    }
  }
  let mostFramesOfTurn = framesOfTurn;
  let turns = 0;
  for (; ended < requests && turns < 10_000; turns += 1) {
    framesOfTurn = 0;
    await new Promise((resolve) => setImmediate(resolve));
    mostFramesOfTurn = Math.max(mostFramesOfTurn, framesOfTurn);
  }
  assert.equal(ended, requests, `all requests were read, in ${turns} turns of the event loop`);
  assert.equal(bytesRead, requests * bytesOfRequest);
  const perRequest = mostFramesOfTurn / requests;
  assert.ok(perRequest < 2_500, `${perRequest} frames of each request in one turn`);
  assert.ok(pieces < bytesRead / 256, `${pieces} pieces`);
});
