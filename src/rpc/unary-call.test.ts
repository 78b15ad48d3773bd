// The short way of unary calls against the general one: the same bytes on the wire, the same outcome on both sides.

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type CallOptions,
  Code,
  ConnectError,
  createClient,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import { validateReadWriteMaxBytes } from "@connectrpc/connect/protocol";
import { EchoService } from "../../test/support/echo-service.ts";
import { settled } from "../../test/support/manual-platform.ts";
import { connectInMemory, type MemoryConnection } from "../../test/support/memory-engine.ts";
import type { Frame } from "../../test/support/memory-stream.ts";
import { testPeer } from "../../test/support/rpc-pair.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { nodePlatform } from "../base/node-platform.ts";
import { Http3Connection } from "../http3/http3-connection.ts";
import { ClientCall } from "./client-call.ts";
import { defaultCompressions } from "./compressions.ts";
import { createProtocolTransport, type ProtocolTransportOptions } from "./protocol-transport.ts";
import { ServedConnection } from "./served-connection.ts";
import { type PeerServiceOptions, ServiceRoutes } from "./service-routes.ts";

stayAlive();

interface Scenario {
  readonly message?: string;
  readonly call?: CallOptions;
  readonly transport?: Partial<ProtocolTransportOptions>;
  readonly service?: PeerServiceOptions;
  readonly echo?: ServiceImpl<typeof EchoService>["echo"];
  /** Who stops before the end, which may be at once or when all was sent: a matter of time. */
  readonly stopped?: "client" | "both";
}

const scenarios: Readonly<Record<string, Scenario>> = {
  "a plain call": {},
  "an empty message": { message: "" },
  "a message in JSON": { transport: { useBinaryFormat: false } },
  "a message of 70,000 bytes": { message: "x".repeat(70_000) },
  "headers and a deadline": {
    call: {
      headers: { "x-custom": "1", "x-bytes-bin": "AAEC", "user-agent": "me" },
      timeoutMs: 60_000,
    },
  },
  "a deadline for all calls": { transport: { defaultTimeoutMs: 60_000 } },
  "no deadline": { call: { timeoutMs: 0 }, transport: { defaultTimeoutMs: 60_000 } },
  "headers and trailers of the answer": {
    echo: ({ message }, { responseHeader, responseTrailer }) => {
      responseHeader.set("x-header", "h");
      responseHeader.append("set-cookie", "a=1");
      responseHeader.append("set-cookie", "b=2");
      responseTrailer.set("x-trailer", "t");
      return { message };
    },
  },
  "what a handler sees": {
    call: { headers: { "x-custom": "1" }, timeoutMs: 60_000 },
    echo: (_request, context) => ({ message: JSON.stringify(describeContext({ ...context })) }),
  },
  "an answer that is compressed": {
    message: "x".repeat(5_000),
    transport: { acceptCompression: [...defaultCompressions] },
    service: { acceptCompression: [...defaultCompressions] },
  },
  "an answer too short to compress": {
    transport: { acceptCompression: [...defaultCompressions] },
    service: { acceptCompression: [...defaultCompressions] },
  },
  "a request that is compressed": {
    message: "x".repeat(5_000),
    transport: { sendCompression: defaultCompressions[0] ?? null },
    service: { acceptCompression: [...defaultCompressions] },
  },
  "an error with details and metadata": {
    echo: (_request, { responseHeader, responseTrailer }) => {
      responseHeader.set("x-header", "h");
      responseTrailer.set("x-trailer", "t");
      const details = [{ desc: EchoService.method.echo.input, value: { message: "why" } }];
      throw new ConnectError("no", Code.FailedPrecondition, { "x-meta": "m" }, details);
    },
  },
  "an error that is none of Connect": {
    echo: () => {
      throw new TypeError("secret");
    },
  },
  "a long error that is compressed": {
    transport: { acceptCompression: [...defaultCompressions] },
    service: { acceptCompression: [...defaultCompressions] },
    echo: () => Promise.reject(new ConnectError("x".repeat(5_000), Code.Aborted)),
  },
  "a refusal": { stopped: "client", service: { authorize: () => false } },
  "a consent": { service: { authorize: async () => true } },
  "a request that the server finds too large": {
    stopped: "client",
    message: "x".repeat(5_000),
    service: { readMaxBytes: 1_000 },
  },
  "an answer that the server finds too large": {
    message: "x".repeat(5_000),
    service: { writeMaxBytes: 1_000 },
  },
  "a request that the client finds too large": {
    message: "x".repeat(5_000),
    transport: { writeMaxBytes: 1_000 },
  },
  "an answer that the client finds too large": {
    stopped: "both",
    message: "x".repeat(5_000),
    transport: { readMaxBytes: 1_000 },
  },
  "a deadline that the server does not take": {
    stopped: "client",
    call: { timeoutMs: 60_000 },
    service: { maxTimeoutMs: 1_000 },
  },
  "an answer that is no message": { echo: () => ({ message: 5 as unknown as string }) },
  "a request that is none": { message: "\ud800" },
};

for (const [name, scenario] of Object.entries(scenarios)) {
  test(`${name}: the short way and the general way are the same`, async () => {
    const general = await play(scenario, { client: "general", server: "general" });
    for (const [client, server] of [
      ["short", "short"],
      ["short", "general"],
      ["general", "short"],
    ] as const) {
      const played = await play(scenario, { client, server });
      assert.deepEqual(played.outcome, general.outcome, `${client} to ${server}`);
      assert.ok(sameWire(played.wire, general.wire, scenario.stopped), `${client} to ${server}`);
    }
  });
}

/** Not `assert.deepEqual`, whose message would be as long as the bytes. */
function sameWire(played: Wire, expected: Wire, stopped: "client" | "both" | undefined): boolean {
  const sides = (["client", "server"] as const).filter(
    (side) => stopped !== "both" && stopped !== side,
  );
  const shown = (wire: Wire): string[] =>
    sides.map((side) => (wire[side] ?? "").replace(" stop 256", ""));
  return shown(played).join() === shown(expected).join();
}

/** All bytes of the request stream, in hex, by side. */
type Wire = Partial<Record<"client" | "server", string>>;

type Way = "short" | "general";

/** What an interceptor sees is the one difference, so one that does nothing keeps calls on the general way. */
const passOn: Interceptor = (next) => next;

interface Played {
  /** What the caller got. */
  readonly outcome: unknown;
  readonly wire: Wire;
}

async function play(
  { message = "hello", call = {}, transport, service, echo = echoMessage }: Scenario,
  ways: { readonly client: Way; readonly server: Way },
): Promise<Played> {
  const link = connectInMemory();
  const wire: Wire = {};
  record(link.client, "client", wire);
  record(link.server, "server", wire);
  await settled();
  const routes = new ServiceRoutes({
    handlers: { readMaxBytes: 16_777_216 },
    authorize: undefined,
    limitDuration: undefined,
    report: (error) => assert.fail(String(error)),
  });
  routes.addService(
    EchoService,
    { echo },
    { ...service, interceptors: ways.server === "general" ? [passOn] : [] },
  );
  const served = new ServedConnection({
    caller: testPeer,
    routes,
    maxConcurrentCalls: 10,
    platform: nodePlatform,
    report: (error) => assert.fail(String(error)),
  });
  new Http3Connection(link.server, {
    role: "server",
    platform: nodePlatform,
    onRequest: (stream, fields) => served.onRequest(stream, fields),
  });
  const session = new Http3Connection(link.client, { role: "client", platform: nodePlatform });
  await settled();
  let held = 0;
  const context = {
    channel: { acquire: () => session, answered() {}, forget() {}, peer: "c1c1c1c1c1" },
    dialTimeoutMs: 10_000,
    platform: nodePlatform,
    hold: () => {
      held += 1;
      return () => {
        held -= 1;
      };
    },
  };
  const client = createClient(
    EchoService,
    createProtocolTransport(
      "connect",
      {
        baseUrl: "https://c1c1.iroh.invalid",
        useBinaryFormat: true,
        acceptCompression: [],
        sendCompression: null,
        ...validateReadWriteMaxBytes(undefined, undefined, undefined),
        ...transport,
        interceptors: ways.client === "general" ? [passOn] : [],
      },
      (request, response) => new ClientCall(context, request, response, () => {}).start(),
    ),
  );
  const seen: Record<string, unknown> = {};
  let outcome: unknown;
  try {
    const answer = await client.echo(
      { message },
      {
        ...call,
        onHeader: (header) => {
          seen.header = [...header];
        },
        onTrailer: (trailer) => {
          seen.trailer = [...trailer];
        },
      },
    );
    outcome = { ...seen, message: answer.message };
  } catch (error) {
    assert.ok(error instanceof ConnectError, String(error));
    outcome = {
      ...seen,
      code: Code[error.code],
      message: error.message,
      metadata: [...error.metadata],
      details: error.details.length,
    };
  }
  await settled();
  assert.equal(held, 0);
  assert.equal(session.activeRequests, 0);
  link.client.close(0n, "");
  await settled();
  return { outcome, wire };
}

function echoMessage({ message }: { readonly message: string }): { message: string } {
  return { message };
}

function record(connection: MemoryConnection, side: "client" | "server", wire: Wire): void {
  const send = connection.send.bind(connection);
  connection.send = (frame) => {
    if ("id" in frame && frame.id === 0) {
      wire[side] = (wire[side] ?? "") + show(frame);
    }
    send(frame);
  };
}

function show(frame: Frame): string {
  switch (frame.type) {
    case "data":
      return Buffer.from(frame.bytes).toString("hex") + (frame.fin ? " end" : "");
    case "reset":
    case "stop":
      return ` ${frame.type} ${frame.code}`;
    default:
      return "";
  }
}

/** Without what differs from run to run. */
function describeContext(context: HandlerContext): unknown {
  const { method, service, requestMethod, url, protocolName } = context;
  const remainingMs = context.timeoutMs();
  return {
    method: method.name,
    service: service.typeName,
    requestMethod,
    url,
    protocolName,
    header: [...context.requestHeader],
    aborted: context.signal.aborted,
    timed: remainingMs !== undefined && remainingMs > 50_000 && remainingMs <= 60_000,
  };
}
