// Unary calls in gRPC with content and trailers that are not what they should be: both ways take them for the same.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import fc from "fast-check";
import {
  bothGeneral,
  connectWays,
  describeError,
  type Ways,
} from "../../test/support/both-ways.ts";
import { EchoService } from "../../test/support/echo-service.ts";
import { ignoreMessage } from "../../test/support/ignore-message.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { concatBytes } from "../base/bytes.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { defaultCompressions } from "./compressions.ts";
import type { FieldSection } from "./fields.ts";

stayAlive();

const { input } = EchoService.method.echo;
const message = toBinary(input, create(input, { message: "hello, hello, hello" }));
const limits = { readMaxBytes: 60, acceptCompression: [...defaultCompressions] };

const anyContent = fc
  .record({
    envelopes: fc.array(
      fc.constantFrom(
        encodeEnvelope(0, message),
        encodeEnvelope(0, new Uint8Array(0)),
        encodeEnvelope(1, gzipSync(message)),
        encodeEnvelope(1, message),
        encodeEnvelope(2, message),
        encodeEnvelope(0, new Uint8Array(61)),
        encodeEnvelope(0, Uint8Array.of(0xff)),
      ),
      { maxLength: 2 },
    ),
    missing: fc.constantFrom(0, 0, 0, 1, 4),
    cut: fc.integer({ min: 1, max: 40 }),
  })
  .map(({ envelopes, missing, cut }) => {
    const whole = concatBytes(envelopes);
    const content = whole.subarray(0, Math.max(0, whole.length - missing));
    const pieces = [content.subarray(0, cut), content.subarray(cut)];
    return {
      content: pieces.filter(({ length }) => length > 0),
      // Where several things are wrong, connect-es may tell of another one; some cut ends it overlooks.
      isExact: envelopes.length < 2 && missing === 0,
    };
  });

const grpcType = ["content-type", "application/grpc+proto"] as const;

const anyHead = fc.constantFrom<FieldSection>(
  [[":status", "200"], grpcType],
  [[":status", "200"], grpcType],
  [[":status", "200"], grpcType, ["grpc-encoding", "gzip"]],
  [[":status", "200"], grpcType, ["grpc-encoding", "identity"], ["x-more", "1"]],
  [[":status", "200"], grpcType, ["grpc-encoding", "none"]],
  [[":status", "200"], grpcType, ["grpc-encoding", "gzip"], ["grpc-encoding", "gzip"]],
  [[":status", "200"], grpcType, ["grpc-status", "5"], ["grpc-message", "not%20here"]],
  [[":status", "200"], grpcType, ["grpc-status", "0"]],
  [
    [":status", "200"],
    ["content-type", "application/grpc+json"],
  ],
  [
    [":status", "200"],
    ["content-type", "text/html"],
  ],
  [[":status", "200"]],
  [[":status", "503"], grpcType],
);

const anyTrailers = fc.constantFrom<FieldSection | undefined>(
  [["grpc-status", "0"]],
  [["grpc-status", "0"]],
  [
    ["grpc-status", "0"],
    ["x-trailer", "t"],
  ],
  [
    ["grpc-status", "8"],
    ["grpc-message", "too%20much"],
  ],
  [["grpc-status", "what"]],
  [["x-trailer", "t"]],
  undefined,
);

/** A response and what its caller sees: headers, trailers and the message, or an error. */
async function respond(
  ways: Ways,
  fields: FieldSection,
  content: readonly Uint8Array[],
  trailers: FieldSection | undefined,
): Promise<unknown[]> {
  const { client, end } = await connectWays(ways, {
    protocol: "grpc",
    transport: limits,
    answer: (stream) => {
      stream.sendHeaders(fields);
      for (const piece of content) {
        stream.sendData(piece.slice());
      }
      if (trailers === undefined) {
        stream.end();
      } else {
        stream.sendTrailers(trailers);
      }
      return ignoreMessage;
    },
  });
  const seen: unknown[] = [];
  try {
    const answer = await client.echo(
      { message: "" },
      {
        onHeader: (header) => seen.push([...header]),
        onTrailer: (trailer) => seen.push([...trailer]),
      },
    );
    return [...seen, answer.message];
  } catch (error) {
    return [...seen, describeError(error)];
  } finally {
    await end();
  }
}

function hasFailed(seen: unknown[]): boolean {
  return typeof seen.at(-1) === "object";
}

test("a response, whatever is in it", async () => {
  await fc.assert(
    fc.asyncProperty(
      anyHead,
      anyContent,
      anyTrailers,
      async (fields, { content, isExact }, trailers) => {
        const short = { client: "short", server: "general" } as const;
        const seen = await respond(short, fields, content, trailers);
        if (isExact) {
          assert.deepEqual(seen, await respond(bothGeneral, fields, content, trailers));
        } else {
          assert.ok(hasFailed(seen), "half a response was taken");
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

/** A request and what is answered. */
async function request(ways: Ways, content: readonly Uint8Array[]): Promise<unknown[]> {
  const { session, end } = await connectWays(ways, { protocol: "grpc", service: limits });
  const over: Deferred<void> = deferred();
  const seen: unknown[] = [];
  const stream = session.request(
    [
      [":method", "POST"],
      [":scheme", "https"],
      [":authority", "c1c1.iroh.invalid"],
      [":path", "/echo.v1.EchoService/Echo"],
      grpcType,
    ],
    {
      ...ignoreMessage,
      headers: (fields) => seen.push([...fields]),
      data: (bytes) => seen.push(Buffer.from(bytes).toString("hex")),
      trailers: (fields) => seen.push([...fields]),
      end: () => over.resolve(),
      failed: (error) => over.reject(error),
    },
  );
  for (const piece of content) {
    stream.sendData(piece.slice());
  }
  stream.end();
  await over.promise;
  await end();
  return seen;
}

function isRefused(seen: unknown[]): boolean {
  const trailers = seen.at(-1) as FieldSection;
  return trailers.some(([name, value]) => name === "grpc-status" && value !== "0");
}

test("a request, whatever is in it", async () => {
  await fc.assert(
    fc.asyncProperty(anyContent, async ({ content, isExact }) => {
      const short = { client: "general", server: "short" } as const;
      const seen = await request(short, content);
      if (isExact) {
        assert.deepEqual(seen, await request(bothGeneral, content));
      } else {
        assert.ok(isRefused(seen), "half a request was taken");
      }
    }),
    { numRuns: 1_000 },
  );
});
