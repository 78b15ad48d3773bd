// The short way of calls and the general one, each on either side, with the bytes between them.

import assert from "node:assert/strict";
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  type HandlerContext,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import { validateReadWriteMaxBytes } from "@connectrpc/connect/protocol";
import { nodePlatform } from "../../src/base/node-platform.ts";
import { Http3Connection } from "../../src/http3/http3-connection.ts";
import { ClientCall } from "../../src/rpc/client-call.ts";
import {
  createProtocolTransport,
  type Protocol,
  type ProtocolTransportOptions,
} from "../../src/rpc/protocol-transport.ts";
import { ServedConnection } from "../../src/rpc/served-connection.ts";
import { type PeerServiceOptions, ServiceRoutes } from "../../src/rpc/service-routes.ts";
import { EchoService, echoImplementation } from "./echo-service.ts";
import { settled } from "./manual-platform.ts";
import { connectInMemory, type MemoryConnection } from "./memory-engine.ts";
import type { Frame } from "./memory-stream.ts";
import { testPeer } from "./rpc-pair.ts";

export type Way = "short" | "general";

export interface Ways {
  readonly client: Way;
  readonly server: Way;
}

export const bothGeneral: Ways = { client: "general", server: "general" };

/** Those with a short one. */
export const otherWays: readonly Ways[] = [
  { client: "short", server: "short" },
  { client: "short", server: "general" },
  { client: "general", server: "short" },
];

/** All bytes of the request stream, in hex, by side. */
export type Wire = Partial<Record<"client" | "server", string>>;

export interface WaysOptions {
  readonly protocol: Protocol;
  readonly transport?: Partial<ProtocolTransportOptions>;
  readonly service?: PeerServiceOptions;
  readonly implementation?: Partial<ServiceImpl<typeof EchoService>>;
  /** Answers in the place of the service. */
  readonly answer?: Answerer;
}

type Answerer = NonNullable<ConstructorParameters<typeof Http3Connection>[1]["onRequest"]>;

export interface WaysPair {
  readonly client: Client<typeof EchoService>;
  /** For requests that no client makes. */
  readonly session: Http3Connection;
  readonly wire: Wire;
  /** Everything is over and nothing is left. */
  end(): Promise<void>;
}

/** What an interceptor sees is the one difference, so one that does nothing keeps calls on the general way. */
const passOn: Interceptor = (next) => next;

/** A client and a server of the echo service, for one call. */
export async function connectWays(
  ways: Ways,
  { protocol, transport, service, implementation, answer }: WaysOptions,
): Promise<WaysPair> {
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
    { ...echoImplementation, ...implementation },
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
    onRequest: answer ?? ((stream, fields) => served.onRequest(stream, fields)),
  });
  const session = new Http3Connection(link.client, { role: "client", platform: nodePlatform });
  await settled();
  let held = 0;
  const { clearTimer, setTimer, settled: whenSettled, soon } = nodePlatform;
  const timers = { clearTimer, setTimer, settled: whenSettled, soon };
  const context = {
    channel: { acquire: () => session, answered() {}, forget() {}, nameOf: () => "c1c1c1c1c1" },
    dialTimeoutMs: 10_000,
    // The time that a call has waited shows in its deadline.
    platform: { ...timers, now: () => 0 },
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
      protocol,
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
  const end = async (): Promise<void> => {
    await settled();
    assert.equal(held, 0);
    assert.equal(session.activeRequests, 0);
    link.client.close(0n, "");
    await settled();
  };
  return { client, session, wire, end };
}

/**
 * Whether all is the same that was sent; of who has `stopped` before the end, all until then, because when that is depends
 * on the time. Not `assert.deepEqual`, whose message would be as long as the bytes.
 */
export function sameWire(
  played: Wire,
  expected: Wire,
  stopped: "client" | "both" | undefined,
): boolean {
  return (["client", "server"] as const).every((side) => {
    const [one = "", other = ""] = [played[side], expected[side]];
    if (stopped === "both" || stopped === side) {
      const [bytes = "", others = ""] = [one.split(" ")[0], other.split(" ")[0]];
      return bytes.startsWith(others) || others.startsWith(bytes);
    }
    return one.replace(" stop 256", "") === other.replace(" stop 256", "");
  });
}

/** What a caller can see of an error. */
export function describeError(error: unknown): unknown {
  assert.ok(error instanceof ConnectError, String(error));
  return {
    code: Code[error.code],
    message: error.message,
    metadata: [...error.metadata],
    details: error.details.length,
  };
}

/** Without what differs from run to run. */
export function describeContext(context: HandlerContext): unknown {
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
