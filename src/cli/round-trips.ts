import { create } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { describeClose, EndpointError } from "../endpoint/endpoint-error.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import { createQuicTransport } from "../rpc/quic-transport.ts";
import { unservedMethod } from "./unserved-method.ts";

/** A way to tell how long it takes to a peer and back. */
export interface RoundTrips {
  /** "pong" for a message that went there and back, "estimate" for what QUIC expects. */
  readonly type: "pong" | "estimate";
  /** The connection in use; dials where there is none. Rejects with what the dial failed with. */
  connect(): Promise<Connection>;
  /** Milliseconds. Rejects when there is no answer in time, and when the connection is lost. */
  measure(): Promise<number>;
  close(): Promise<void>;
}

export interface RoundTripOptions {
  readonly endpoint: Endpoint;
  readonly addr: EndpointAddr;
  /** For a dial, and for each answer. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Calls a method that the peer does not serve, over Connect. */
export function callRoundTrips(options: RoundTripOptions): RoundTrips {
  const { endpoint, addr, timeoutMs, signal } = options;
  const { platform } = endpoint;
  const method = unservedMethod();
  const transport = createQuicTransport({
    endpoint,
    to: addr,
    dialTimeoutMs: timeoutMs,
    keepAlive: "always",
  });
  return {
    type: "pong",
    connect: () => transport.connect({ signal }),
    measure: async () => {
      const start = platform.now();
      try {
        await transport.unary(method, signal, timeoutMs, undefined, create(EmptySchema));
      } catch (error) {
        if (!isAnswer(error)) {
          throw error;
        }
      }
      return platform.now() - start;
    },
    close: () => transport.close({ timeoutMs: 0 }),
  };
}

/** Connects with any protocol, and asks QUIC. One connection: what the peer makes of it is unknown. */
export function pathRoundTrips(options: RoundTripOptions & { readonly alpn: string }): RoundTrips {
  const { endpoint, addr, alpn, timeoutMs, signal } = options;
  let connection: Connection | undefined;
  return {
    type: "estimate",
    connect: async () => {
      const transport = { keepAliveIntervalMs };
      connection ??= await endpoint.connect(addr, alpn, { timeoutMs, signal, transport });
      return connection;
    },
    measure: async () => {
      const cause = connection?.closeCause;
      if (cause !== undefined) {
        throw new EndpointError("connection-lost", describeClose(cause), { closeCause: cause });
      }
      const inUse = connection?.paths().find(({ active }) => active);
      if (inUse === undefined) {
        throw new EndpointError("connection-lost", "no path is in use");
      }
      return inUse.rttMs;
    },
    close: async () => {
      await connection?.close({ timeoutMs: 0 });
    },
  };
}

/** How often QUIC looks at paths on which nothing happens. */
const keepAliveIntervalMs = 1_000;

/** Whether the peer has said so, and not this side. */
function isAnswer(error: unknown): boolean {
  return (
    error instanceof ConnectError && error.cause === undefined && saidByPeers.includes(error.code)
  );
}

/** By one that does not know the method, and by hooks that let nobody call. */
const saidByPeers: readonly Code[] = [
  Code.Unimplemented,
  Code.PermissionDenied,
  Code.Unauthenticated,
];
