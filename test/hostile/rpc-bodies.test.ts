// What is in requests and answers, bent in every way: envelopes, compressed content, trailers, end-of-stream messages.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ConnectError, createClient } from "@connectrpc/connect";
import fc from "fast-check";
import type { MessageHandler, RequestStream } from "../../src/http3/request-stream.ts";
import { defaultCompressions } from "../../src/rpc/compressions.ts";
import type { FieldSection } from "../../src/rpc/fields.ts";
import { EchoService, echoImplementation } from "../support/echo-service.ts";
import { LoopbackSession } from "../support/loopback-http3.ts";
import { RpcPair } from "../support/rpc-pair.ts";
import { stayAlive } from "../support/stay-alive.ts";

/** Of each side in each protocol. */
const bodies = process.env.CONNECT_QUIC_TEST === "slow" ? 50_000 : 3_000;
/** A call that takes longer hangs. */
const hangMs = 20_000;

const message = Buffer.from("0a0568656c6c6f", "hex");
const json = Buffer.from('{"message":"hello"}');
const texts = [
  "{}",
  "[]",
  "null",
  '{"error":{"code":"aborted","message":"no"}}',
  '{"error":{"code":7,"details":[{"type":"x","value":"!"}]}}',
  '{"error":null,"metadata":{"a":["b"],"c":5}}',
  '{"metadata":{"\\n":["\\n"]}}',
  "grpc-status: 0\r\n",
  "grpc-status: 99\r\ngrpc-message: %zz\r\n",
  "grpc-status: x\r\n: y\r\n\r\n",
  "grpc-status: 7\r\ngrpc-status-details-bin: AAAA\r\n",
];

const plainContent = fc.oneof(
  fc.constantFrom<Uint8Array>(message, json, new Uint8Array(0), ...texts.map(bytesOf)),
  fc.uint8Array({ maxLength: 20 }),
);
const content = fc.oneof(
  plainContent,
  plainContent.map((bytes): Uint8Array => gzipSync(bytes)),
  fc.tuple(plainContent, fc.nat(60), fc.nat(255)).map(([bytes, at, to]): Uint8Array => {
    const bent = gzipSync(bytes);
    bent[at % bent.length] = to;
    return bent;
  }),
  fc
    .tuple(plainContent, fc.nat(60))
    .map(([bytes, at]): Uint8Array => gzipSync(bytes).subarray(0, at)),
);
const envelope = fc
  .record({
    flags: fc.oneof(fc.constantFrom(0, 0, 1, 2, 3, 0x80, 0x81), fc.nat(255)),
    content,
    longer: fc.oneof(
      { weight: 8, arbitrary: fc.constant(0) },
      fc.constantFrom(1, -1, 1_000, 0x7fff_ffff, 0xffff_0000),
    ),
  })
  .map(({ flags, content: bytes, longer }): Uint8Array => {
    const prefix = Buffer.alloc(5);
    prefix[0] = flags;
    prefix.writeUInt32BE(Math.min(Math.max(bytes.length + longer, 0), 0xffff_ffff), 1);
    return Buffer.concat([prefix, bytes]);
  });
const body = fc.oneof(
  content,
  fc
    .tuple(fc.array(envelope, { maxLength: 4 }), fc.oneof(fc.constant(0), fc.nat(30)))
    .map(([parts, cut]): Uint8Array => {
      const joined = Buffer.concat(parts);
      return joined.subarray(0, joined.length - cut);
    }),
);
/** The same bytes, in pieces of this length. */
const pieceLength = fc.constantFrom(1, 3, 7, 10_000);

const encoding = fc.constantFrom("identity", "gzip", "br", "zstd", "unknown", undefined);
const protocols = ["connect", "grpc", "grpc-web"] as const;
const types = {
  connect: [
    "application/proto",
    "application/json",
    "application/connect+proto",
    "application/connect+json",
  ],
  grpc: ["application/grpc", "application/grpc+proto", "application/grpc+json"],
  "grpc-web": ["application/grpc-web", "application/grpc-web+proto", "application/grpc-web+json"],
} as const;
const encodingNames = ["content-encoding", "connect-content-encoding", "grpc-encoding"] as const;
const methods = ["Echo", "Repeat", "Collect", "Converse"] as const;

stayAlive();

for (const protocol of protocols) {
  describe(`${protocol}: whatever is in`, () => {
    test("a request, a server answers it or refuses it, and has nothing to report", async () => {
      const pair = new RpcPair({
        router: { acceptCompression: [...defaultCompressions], readMaxBytes: 100_000 },
      }).serve(EchoService, echoImplementation);
      const session = pair.open();
      const request = fc.record({
        method: fc.constantFrom(...methods),
        type: fc.constantFrom(...types[protocol]),
        encoding,
        encodingName: fc.constantFrom(...encodingNames),
        body,
        pieceLength,
      });
      await forAll(request, async (one) => {
        const fields: [string, string][] = [
          [":method", "POST"],
          [":scheme", "https"],
          [":authority", "peer"],
          [":path", `/echo.v1.EchoService/${one.method}`],
          ["content-type", one.type],
        ];
        if (one.encoding !== undefined) {
          fields.push([one.encodingName, one.encoding]);
        }
        await new Promise<void>((resolve) => {
          const stream = session.request(fields, listener(resolve));
          sendPieces(stream, one.body, one.pieceLength);
        });
      });
      assert.equal(session.activeRequests, 0);
      assert.deepEqual(pair.reports, []);
    });

    test("an answer, the caller gets messages, or a ConnectError", async () => {
      let answer: (stream: RequestStream) => void = () => {};
      const pair = new RpcPair({
        protocol,
        transport: { acceptCompression: [...defaultCompressions], readMaxBytes: 100_000 },
        dial: async (events) =>
          new LoopbackSession({
            events,
            onRequest: (stream) => listener(() => answer(stream)),
          }),
      });
      const client = createClient(EchoService, pair.transport);
      const one = fc.record({
        method: fc.constantFrom(...methods),
        status: fc.constantFrom("200", "200", "200", "404", "500"),
        type: fc.constantFrom(...types[protocol], "text/html", ""),
        encoding,
        encodingName: fc.constantFrom(...encodingNames),
        body,
        pieceLength,
        trailers: fc.option(
          fc.array(
            fc.tuple(
              fc.constantFrom("grpc-status", "grpc-message", "grpc-status-details-bin", "x"),
              fc.oneof(fc.constantFrom("0", "7", "99", "-1", "%", "AAAA", "!"), fc.constant("")),
            ),
            { maxLength: 3 },
          ),
        ),
      });
      await forAll(one, async ({ method, status, type, encodingName, trailers, ...rest }) => {
        answer = (stream) => {
          const fields: [string, string][] = [
            [":status", status],
            ["content-type", type],
          ];
          if (rest.encoding !== undefined) {
            fields.push([encodingName, rest.encoding]);
          }
          stream.sendHeaders(fields);
          sendPieces(stream, rest.body, rest.pieceLength, trailers ?? undefined);
        };
        try {
          await call(client, method);
        } catch (error) {
          assert.ok(error instanceof ConnectError, String(error));
        }
      });
      assert.equal(pair.calls.size, 0);
      assert.equal(pair.held, 0);
      assert.equal(pair.session.activeRequests, 0);
    });
  });
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}

async function forAll<T>(inputs: fc.Arbitrary<T>, check: (input: T) => Promise<void>) {
  await fc.assert(fc.asyncProperty(inputs, check), { numRuns: bodies, timeout: hangMs });
}

function sendPieces(
  stream: RequestStream,
  bytes: Uint8Array,
  length: number,
  trailers?: FieldSection,
): void {
  for (let at = 0; at < bytes.length; at += length) {
    stream.sendData(bytes.subarray(at, at + length));
  }
  if (trailers === undefined) {
    stream.end();
  } else {
    stream.sendTrailers(trailers);
  }
}

async function call(
  client: ReturnType<typeof createClient<typeof EchoService>>,
  method: (typeof methods)[number],
): Promise<void> {
  const requests = async function* () {
    yield { message: "hello" };
  };
  switch (method) {
    case "Echo":
      await client.echo({ message: "hello" });
      return;
    case "Collect":
      await client.collect(requests());
      return;
    case "Repeat":
    case "Converse": {
      const responses =
        method === "Repeat" ? client.repeat({ message: "hello" }) : client.converse(requests());
      for await (const { message } of responses) {
        assert.equal(typeof message, "string");
      }
    }
  }
}

/** Calls `over` when the message has come to an end of any kind. */
function listener(over: () => void): MessageHandler {
  return {
    headers: () => {},
    informational: () => {},
    data: () => {},
    trailers: () => {},
    end: over,
    failed: over,
    writable: () => {},
    stopped: () => {},
  };
}
