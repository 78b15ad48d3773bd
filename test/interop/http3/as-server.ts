// Our transport calls another stack's server. The names of the tests begin with the column of the table in which they stand.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { TestResponseSchema, TestService } from "../../../gen/connectquic/test/v1/test_pb.ts";
import { EchoService } from "../../../gen/echo/v1/echo_pb.ts";
import { H3 } from "../../../src/http3/h3-error.ts";
import { createQuicTransport, type UrlTransportOptions } from "../../../src/index.ts";
import { hasCode } from "../../support/expect-code.ts";
import { testAuthority } from "../../support/public-router.ts";
import { RecordedEngine } from "./recorded-engine.ts";
import { type OurEngine, ourEngines, type Stack, startServer } from "./stack.ts";

export interface ServerFeatures {
  /** Why something is not tested with this stack. */
  readonly without?: Readonly<Partial<Record<"QPACK table", string>>>;
  /** Whether it says how long our encoder stream is. */
  readonly measuresEncoderStream?: boolean;
}

const timeout = 120_000;

export function describeServer(stack: Stack, features: ServerFeatures = {}): void {
  for (const ours of ourEngines) {
    describeOne(stack, ours, features);
  }
}

function describeOne(stack: Stack, ours: OurEngine, features: ServerFeatures): void {
  const skip = stack.missing ?? ours.missing ?? false;
  describe(`${stack.name}${ours.note} as server`, { skip }, () => {
    it("unary: a Connect call and its answer", { timeout }, async () => {
      await using pair = await connect(stack, ours);
      assert.equal((await pair.client.echo({ message: "hello" })).message, "hello");
    });

    it("trailers: a gRPC call and its status", { timeout }, async () => {
      await using pair = await connect(stack, ours, { protocol: "grpc" });
      let counted: string | null = null;
      const { message } = await pair.client.echo(
        { message: "hello" },
        {
          onTrailer: (trailer) => {
            counted = trailer.get("x-counted");
          },
        },
      );
      assert.equal(message, "hello");
      assert.equal(counted, "12");
    });

    it("GET: a Connect call without side effects", { timeout }, async () => {
      await using pair = await connect(stack, ours, { useHttpGet: true });
      const response = await createClient(TestService, pair.transport).lookup({});
      assert.deepEqual(response, create(TestResponseSchema));
      assert.equal((await pair.server.expect("answered")).method, "GET");
    });

    it("streaming: a gRPC call with many messages each way", { timeout }, async () => {
      await using pair = await connect(stack, ours, { protocol: "grpc" });
      const messages = Array.from({ length: 100 }, (_, index) => `message ${index}`);
      async function* requests() {
        for (const message of messages) {
          yield { message };
        }
      }
      const echoed: string[] = [];
      for await (const { message } of pair.client.converse(requests())) {
        echoed.push(message);
      }
      assert.deepEqual(echoed, messages);
    });

    it("10 MB: there and back", { timeout }, async () => {
      await using pair = await connect(stack, ours);
      const message = "0123456789abcdef".repeat(625_000);
      assert.equal((await pair.client.echo({ message })).message, message);
    });

    it("cancel: the server hears H3_REQUEST_CANCELLED", { timeout }, async () => {
      await using pair = await connect(stack, ours);
      const controller = new AbortController();
      const { signal } = controller;
      const responses = pair.client.repeat({}, { signal, headers: { "x-note": "forever" } });
      await assert.rejects(async () => {
        for await (const _ of responses) {
          controller.abort();
        }
      }, hasCode(Code.Canceled));
      assert.equal((await pair.server.expect("given up")).code, Number(H3.REQUEST_CANCELLED));
    });

    it("GOAWAY: later calls go to a new connection, and none is lost", { timeout }, async () => {
      await using pair = await connect(stack, ours);
      assert.equal(await pair.whereEchoed("before"), "1");
      const held = pair.whereEchoed("held", { "x-note": "hold" });
      // Where something else fails before it, that is what is to be told.
      held.catch(() => {});
      await pair.server.expect("answered");
      await pair.server.expect("held");
      pair.server.say('"goaway"');
      await pair.server.expect("going away");
      // Until the GOAWAY is on its way, the connection may go on answering.
      while ((await pair.whereEchoed("on the way")) === "1") {}
      const later = ["a", "b", "c"].map((message) => pair.whereEchoed(message));
      assert.deepEqual(await Promise.all(later), ["2", "2", "2"]);
      pair.server.say('"release"');
      assert.equal(await held, "1");
      assert.equal(pair.engine.connections.length, 2);
    });

    const skip = features.without?.["QPACK table"] ?? false;
    it("QPACK table: it is filled both ways, and sections refer to it", {
      timeout,
      skip,
    }, async () => {
      await using pair = await connect(stack, ours);
      let theirs: unknown;
      for (let round = 0; round < 5; round++) {
        await pair.client.echo(
          { message: "hello" },
          { headers: { "x-known": "a value that comes again and again" } },
        );
        theirs = (await pair.server.expect("answered")).encoderStreamBytes;
      }
      const [wire, ...others] = pair.engine.connections;
      assert(wire !== undefined && others.length === 0);
      for (const direction of ["sent", "received"] as const) {
        const { inserts, references } = wire.use(direction);
        assert(inserts > 0, `${direction}: ${inserts} entries`);
        assert(references > 0, `${direction}: ${references} sections refer to the table`);
      }
      if (features.measuresEncoderStream === true) {
        assert.equal(theirs, wire.use("sent").encoderStreamBytes);
      }
    });
  });
}

/** Their server, and a client of ours. */
async function connect(
  stack: Stack,
  ours: OurEngine,
  options: Pick<UrlTransportOptions, "protocol" | "useHttpGet"> = {},
) {
  const { certPem } = await testAuthority();
  const { server, port } = await startServer(stack);
  const engine = new RecordedEngine(ours.engine());
  const transport = createQuicTransport({
    to: `https://127.0.0.1:${port}`,
    ca: certPem,
    engine,
    ...options,
  });
  const client = createClient(EchoService, transport);
  return {
    engine,
    server,
    transport,
    client,
    /** Echoes, and tells the number of the connection that the answer came by. */
    whereEchoed: async (message: string, headers: Record<string, string> = {}) => {
      let where: string | null = null;
      const onHeader = (header: Headers): void => {
        where = header.get("x-connection");
      };
      const response = await client.echo({ message }, { headers, onHeader });
      assert.equal(response.message, message);
      return where;
    },
    [Symbol.asyncDispose]: async () => {
      await transport.close();
      await server[Symbol.asyncDispose]();
    },
  };
}
