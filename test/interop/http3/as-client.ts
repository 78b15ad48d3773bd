// Another stack calls our public listener. The names of the tests begin with the column of the table in which they stand.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { TestResponseSchema, TestService } from "../../../gen/connectquic/test/v1/test_pb.ts";
import { deferred } from "../../../src/base/deferred.ts";
import { H3 } from "../../../src/http3/h3-error.ts";
import { aborted, EchoService, echoImplementation } from "../../support/echo-service.ts";
import { hasCode } from "../../support/expect-code.ts";
import { servePublicly } from "../../support/public-router.ts";
import type { Line } from "./foreign-process.ts";
import { RecordedEngine } from "./recorded-engine.ts";
import { type OurEngine, ourEngines, type Stack, startClient } from "./stack.ts";

export interface ClientFeatures {
  /** Why something is not tested with this stack. */
  readonly without?: Readonly<
    Partial<Record<"trailers" | "cancel" | "GOAWAY" | "QPACK table", string>>
  >;
  /** Whose encoder uses the dynamic table: ours, when it has "sent". Default both. */
  readonly qpackTable?: readonly ("sent" | "received")[];
  /** Whether it says when a GOAWAY comes. */
  readonly saysGoaway?: boolean;
  /** Whether it says how long our encoder stream is. */
  readonly measuresEncoderStream?: boolean;
}

const echoPath = "/echo.v1.EchoService/Echo";
const repeatPath = "/echo.v1.EchoService/Repeat";
const json = { "content-type": "application/json", "connect-protocol-version": "1" };
const timeout = 120_000;

export function describeClient(stack: Stack, features: ClientFeatures = {}): void {
  for (const ours of ourEngines) {
    describeOne(stack, ours, features);
  }
}

function describeOne(stack: Stack, ours: OurEngine, features: ClientFeatures): void {
  const { without = {}, qpackTable = ["sent", "received"] } = features;
  const skipped = (column: keyof typeof without) => ({ timeout, skip: without[column] ?? false });

  const skip = stack.missing ?? ours.missing ?? false;
  describe(`${stack.name}${ours.note} as client`, { skip }, () => {
    it("unary: a Connect call and its answer", { timeout }, async () => {
      await using pair = await connect(stack, ours);
      const { status, headers, body } = await pair.call({ body: '{"message":"hello"}' });
      assert.equal(status, 200);
      assert.equal(headers["content-type"], "application/json");
      assert.deepEqual(JSON.parse(body.toString()), { message: "hello" });
      const wrong = await pair.call({ body: "{" });
      assert.equal(wrong.status, 400);
      assert.equal(JSON.parse(wrong.body.toString()).code, "invalid_argument");
    });

    it("GET: a Connect call without side effects", { timeout }, async () => {
      await using pair = await connect(stack, ours);
      const query = `connect=v1&encoding=json&message=${encodeURIComponent("{}")}`;
      const path = `/connectquic.test.v1.TestService/Lookup?${query}`;
      const { status, body } = await pair.call({ method: "GET", path, headers: {} });
      assert.equal(status, 200);
      assert.deepEqual(JSON.parse(body.toString()), {});
    });

    it("streaming: a Connect call with many answers", { timeout }, async () => {
      await using pair = await connect(stack, ours);
      const { status, body } = await pair.call({
        path: repeatPath,
        headers: { "content-type": "application/connect+json" },
        body: envelope('{"message":"again","count":100}'),
      });
      assert.equal(status, 200);
      const messages = envelopes(body);
      assert.equal(messages.length, 101);
      assert.deepEqual(JSON.parse(messages[99]?.text ?? ""), { message: "again", number: 100 });
      assert.deepEqual(messages[100], { flags: 2, text: "{}" });
    });

    it("trailers: a gRPC call and its status", skipped("trailers"), async () => {
      await using pair = await connect(stack, ours);
      const headers = { "content-type": "application/grpc+json", te: "trailers" };
      const { status, body, trailers } = await pair.call({
        headers,
        body: envelope('{"message":"hello"}'),
      });
      assert.equal(status, 200);
      assert.deepEqual(envelopes(body), [{ flags: 0, text: '{"message":"hello"}' }]);
      assert.equal(trailers["grpc-status"], "0");
    });

    it("10 MB: there and back", { timeout }, async () => {
      await using pair = await connect(stack, ours);
      const fill = 10_000_000;
      const { status, length, sha256 } = await pair.call({ body: '{"message":"FILL"}', fill });
      assert.equal(status, 200);
      const expected = `{"message":"${"0123456789abcdef".repeat(fill / 16)}"}`;
      assert.equal(length, expected.length);
      assert.equal(sha256, createHash("sha256").update(expected).digest("hex"));
    });

    it("cancel: a handler notices, and the connection lives on", skipped("cancel"), async () => {
      await using pair = await connect(stack, ours);
      pair.send(
        {
          path: repeatPath,
          headers: { "content-type": "application/connect+json" },
          body: envelope('{"message":"for ever","count":4000000000}'),
        },
        { cancel: true },
      );
      await pair.client.expect("cancelled");
      // libcurl may send what it has to say of the last transfer only in the course of the next.
      const { status } = await pair.call({ body: '{"message":"still there"}' });
      assert.equal(status, 200);
      hasCode(Code.Canceled)(await pair.repeatAborted);
      assert.equal(pair.engine.connections.length, 1);
    });

    it(
      "GOAWAY: a call in flight comes to its end, and a later one is refused",
      skipped("GOAWAY"),
      async () => {
        await using pair = await connect(stack, ours);
        await pair.call({ body: '{"message":"before"}' });
        pair.send({ body: '{"message":"hold"}' });
        await pair.held.promise;
        const closed = pair.served.listener.close({ graceMs: timeout });
        if (features.saysGoaway === true) {
          const { id } = await pair.client.expect("goaway");
          assert.equal(id, 8);
        }
        pair.send({ body: '{"message":"too late"}' });
        const { code } = await pair.client.expect("failed");
        if (features.saysGoaway === true) {
          assert.equal(code, Number(H3.REQUEST_REJECTED));
        }
        pair.released.resolve();
        const { status, body } = await pair.response();
        assert.equal(status, 200);
        assert.equal(body.toString(), '{"message":"hold"}');
        await closed;
        if (features.saysGoaway === true) {
          assert.equal((await pair.client.expect("closed")).code, Number(H3.NO_ERROR));
        }
      },
    );

    it("QPACK table: it is filled, and sections refer to it", skipped("QPACK table"), async () => {
      await using pair = await connect(stack, ours);
      const headers = { ...json, "x-known": "a value that comes again and again" };
      let theirs: unknown;
      for (let round = 0; round < 5; round++) {
        const response = await pair.call({ headers, body: '{"message":"hello"}' });
        assert.equal(response.headers["x-known"], headers["x-known"]);
        theirs = response.encoderStreamBytes;
      }
      const [wire, ...others] = pair.engine.connections;
      assert(wire !== undefined && others.length === 0);
      for (const direction of qpackTable) {
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

interface Call {
  readonly method?: "GET" | "POST";
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A char for each byte; FILL in it stands for `fill` bytes. */
  readonly body?: string;
  readonly fill?: number;
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly trailers: Readonly<Record<string, string>>;
  readonly length: number;
  readonly sha256: string;
  /** Empty when it was too long. */
  readonly body: Buffer;
  readonly encoderStreamBytes: unknown;
}

/** Our listener, and their client that is connected to it. */
async function connect(stack: Stack, ours: OurEngine) {
  const engine = new RecordedEngine(ours.engine());
  const served = await servePublicly({ engine });
  const held = deferred<void>();
  const released = deferred<void>();
  const repeat = deferred<unknown>();
  served.router.service(EchoService, {
    ...echoImplementation,
    echo: async ({ message }, context) => {
      const known = context.requestHeader.get("x-known");
      if (known !== null) {
        context.responseHeader.set("x-known", known);
      }
      if (message === "hold") {
        held.resolve();
        await released.promise;
      }
      return { message };
    },
    repeat: (request, context) => {
      void aborted(context.signal).then(repeat.resolve);
      return echoImplementation.repeat(request, context);
    },
  });
  served.router.rpc(TestService.method.lookup, () => create(TestResponseSchema));
  const client = await startClient(stack, served.port).catch(async (error: unknown) => {
    await served[Symbol.asyncDispose]();
    throw error;
  });
  const send = (call: Call, options: { readonly cancel?: boolean } = {}): void => {
    const { method = "POST", path = echoPath, headers = json, body = "", fill = 0 } = call;
    const { cancel = false } = options;
    client.say(JSON.stringify({ method, path, headers, body, fill, cancel }));
  };
  const response = async (): Promise<Answer> => answerOf(await client.expect("response"));
  return {
    engine,
    served,
    client,
    held,
    released,
    /** Resolves with the reason when a call of Repeat was given up. */
    repeatAborted: repeat.promise,
    send,
    response,
    call: (call: Call): Promise<Answer> => {
      send(call);
      return response();
    },
    [Symbol.asyncDispose]: async () => {
      await client[Symbol.asyncDispose]();
      await served[Symbol.asyncDispose]();
    },
  };
}

function answerOf(line: Line): Answer {
  const answer = line as unknown as Omit<Answer, "body"> & { readonly body: string | null };
  return { ...answer, body: Buffer.from(answer.body ?? "", "base64") };
}

/** As Connect's streams and gRPC have it; a char for each byte. */
function envelope(message: string): string {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return head.toString("latin1") + message;
}

function envelopes(body: Buffer): { flags: number; text: string }[] {
  const found: { flags: number; text: string }[] = [];
  for (let at = 0; at < body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    found.push({ flags: body.readUInt8(at), text: body.toString("utf8", at + 5, end) });
    at = end;
  }
  return found;
}
