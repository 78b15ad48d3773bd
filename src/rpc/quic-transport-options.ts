import type {
  BinaryReadOptions,
  BinaryWriteOptions,
  JsonReadOptions,
  JsonWriteOptions,
} from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { type Compression, validateReadWriteMaxBytes } from "@connectrpc/connect/protocol";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { WebDialerOptions } from "../endpoint/web-dialer.ts";
import type { Target } from "../identity/target.ts";
import type { WebCertificateOptions } from "../identity/web-certificate.ts";
import { inRange, isList, largestMessageBytes, longestTimerMs, oneOf } from "./check-options.ts";
import { defaultCompressions } from "./compressions.ts";
import { defaultReadMaxBytes } from "./message-limits.ts";
import type { PeerRouter } from "./peer-router.ts";
import type { PeerSource } from "./peer-source.ts";
import type { KeyOf, Protocol, ProtocolTransportOptions } from "./protocol-transport.ts";
import type { Pem } from "./public-listener.ts";
import type { Wire } from "./wire.ts";

export interface QuicTransportOptions extends CallTransportOptions {
  /** Whose identity and socket the calls use. */
  readonly endpoint: Endpoint;
  /** The peer to call: a ticket or an id, as text or as object, or an EndpointAddr. */
  readonly to: Target;
  /**
   * What the calls run on, or several, most wanted first: the peer takes the first that it serves, within the one
   * handshake. With "tonic-iroh" among them, `protocol` is "grpc". Default "connect-quic".
   */
  readonly wire?: Wire | readonly Wire[];
  /**
   * Calls that have to wait for a connection are sent with its first packets (0-RTT), where an earlier connection of the
   * endpoint to the peer is remembered and the method has `idempotency_level = NO_SIDE_EFFECTS` and one message to send.
   * Others can record that and send it again, so that such a method may run twice; all other calls wait for the handshake.
   * See docs/early-data.md. Not with `serve`, nor with other wires than "connect-quic". Default false.
   */
  readonly earlyData?: boolean;
  /**
   * Lets the peer call back on the connection that is dialed: what this router serves, to whom its `authorize` says. A
   * router of the same endpoint, which keeps the process alive. It is served until the transport or the router is closed;
   * transports to the same peer share the connection, so that those without it are called back, too. Default none.
   */
  readonly serve?: PeerRouter;
  /**
   * Dials at once, keeps the connection alive between calls, and when it is lost dials again: within a second, and then at
   * growing intervals of up to 3 seconds. Does not keep the process alive. Default: true with `serve`, so that the peer can
   * call at any time.
   */
  readonly stayConnected?: boolean;
}

/** Options of a transport to all peers of a service. Others than `connect-quic` peers have no part in it. */
export interface ServiceTransportOptions extends Omit<CallTransportOptions, "keepAlive"> {
  /** Whose identity and socket the calls use. */
  readonly endpoint: Endpoint;
  /** The name of the service with its package, or the service itself. */
  readonly service: string | { readonly typeName: string };
  /**
   * Who knows the peers: a `Rendezvous` of `connect-quic/rendezvous`, a list of targets, or a source of one's own. Where only
   * some of those that serve it are wanted, a source can ask for these:
   * `{ watch: (query, options) => rendezvous.watch({ ...query, labels: { zone: "north" } }, options) }`.
   */
  readonly via: PeerSource | readonly Target[];
  /** Which peer a call goes to. Default "nearest". */
  readonly policy?: PeerPolicy;
  /**
   * Peers that are connected or dialed at once. Where there are more, "round-robin" uses a part of them, each endpoint
   * another one; "nearest" puts another in the place of the slowest every minute; with `sticky` the one that has had no call
   * for longest makes room, and while calls run on all of them a call goes to one of these. Default 16.
   */
  readonly maxConnections?: number;
  /** Peers that are remembered; a source that tells of more is not listened to. About 1 KiB each, default 10000. */
  readonly maxPeers?: number;
  /**
   * How long a call waits for a peer that takes it. A single peer has half of that to be connected and to tell its health;
   * after a tenth, `sticky` looks for the next one that the key prefers.
   * Milliseconds, default 10000.
   */
  readonly dialTimeoutMs?: number;
}

/**
 * Which of the peers that are there and healthy a call goes to.
 *
 * - "nearest": the one with the shortest round trip, as measured on the connections that there are, every second.
 * - "round-robin": the one that has waited longest for a call.
 * - `sticky`: calls with the same key go to the same peer, from whichever program, as long as that is there; when a peer
 *   comes or goes, only its own keys move (rendezvous hashing). It sees the request as the innermost interceptor does, and
 *   must not read the messages of a stream. What it throws is the call's error. Calls take the longer way of interceptors.
 */
export type PeerPolicy = "nearest" | "round-robin" | { readonly sticky: KeyOf };

/** Options of a transport over the connections that there are to a peer, whoever dialed them. */
export interface LiveTransportOptions
  extends Omit<CallTransportOptions, "keepAlive" | "keepAliveIntervalMs"> {
  /**
   * A call that finds no connection waits until there is one again, for `dialTimeoutMs` at most, instead of failing at
   * once with Unavailable. What has been sent already fails all the same when its connection is lost. Default false.
   */
  readonly waitForReady?: boolean;
}

/** Options of a transport that uses the connections that there are to a peer, and dials when there is none. */
export interface TransportToOptions extends CallTransportOptions {
  /**
   * A call waits until the peer was dialed or has dialed itself, for `dialTimeoutMs` at most, instead of failing with the
   * first dial. Default false.
   */
  readonly waitForReady?: boolean;
}

export interface UrlTransportOptions
  extends CallTransportOptions,
    Pick<WebDialerOptions, "bind" | "bindSocket" | "engine" | "keyLog" | "transport"> {
  /** The server to call, and the path in front of those of its methods where there is one: `https://host:port/prefix`. */
  readonly to: URL | `https://${string}`;
  /** Authorities that have to vouch for the server, in PEM. Default: those that Node.js trusts. */
  readonly ca?: Pem;
  /** The name that the server's certificate has to be for. Default: the host of the URL. */
  readonly serverName?: string;
  /** What is shown to a server that asks for a certificate. PEM, see `WebCertificate`; with `key`. */
  readonly cert?: WebCertificateOptions["cert"];
  readonly key?: WebCertificateOptions["key"];
  readonly passphrase?: WebCertificateOptions["passphrase"];
  /** Not needed for a server with a URL: its clock is used, and nothing else. */
  readonly endpoint?: Endpoint;
}

/** What can be said of calls, whoever is called. */
export interface CallTransportOptions {
  /** How calls look on the wire; a PeerRouter understands all three. Default "connect". */
  readonly protocol?: Protocol;
  /** How long a call waits for a connection. Milliseconds, default 10000. */
  readonly dialTimeoutMs?: number;
  /**
   * "active": the connection is kept alive while calls are open; between them it ends after the idle timeout, and the
   * next call dials again. "always": also between calls, from the next dial on. Default "active".
   */
  readonly keepAlive?: "active" | "always";
  /**
   * How often a connection that is kept alive shows it, at least; well below the idle timeout of both endpoints (30 s),
   * after which a silent peer counts as gone. Of transports that share a connection the least one counts, from the next
   * dial on. Milliseconds, default 5000.
   */
  readonly keepAliveIntervalMs?: number;
  /** Messages as Protobuf binary, or as JSON with false. Default true. */
  readonly useBinaryFormat?: boolean;
  /** Applied to all calls, the first one outermost. Default none. */
  readonly interceptors?: readonly Interceptor[];
  readonly jsonOptions?: Partial<JsonReadOptions & JsonWriteOptions>;
  readonly binaryOptions?: Partial<BinaryReadOptions & BinaryWriteOptions>;
  /** Compressions that the peer may answer with, most wanted first. Default gzip, brotli, and zstd where Node.js has it. */
  readonly acceptCompression?: readonly Compression[];
  /** Compression of requests. Default none. */
  readonly sendCompression?: Compression;
  /** Smaller messages are sent uncompressed; 0 compresses all. Bytes, default 1024. */
  readonly compressMinBytes?: number;
  /** Largest message taken from the peer; larger ones end the call with ResourceExhausted. Bytes, default 16 MiB. */
  readonly readMaxBytes?: number;
  /** Largest message sent to the peer; larger ones fail with ResourceExhausted. Bytes, default 4 GiB. */
  readonly writeMaxBytes?: number;
  /** Methods without side effects are called with HTTP GET in the Connect protocol. Default false. */
  readonly useHttpGet?: boolean;
  /** Deadline of calls that do not have their own. Milliseconds, default none. */
  readonly defaultTimeoutMs?: number;
}

/** The options with their defaults; `common` is for Connect's own transports. */
export interface ResolvedTransportOptions {
  readonly protocol: Protocol;
  readonly dialTimeoutMs: number;
  readonly keepAlive: "active" | "always";
  readonly keepAliveIntervalMs: number;
  readonly common: Omit<ProtocolTransportOptions, "baseUrl">;
}

/** Throws TypeError or RangeError naming the option that cannot be. */
export function resolveTransportOptions(options: CallTransportOptions): ResolvedTransportOptions {
  const { protocol = "connect", dialTimeoutMs = 10_000 } = options;
  const { keepAlive = "active", keepAliveIntervalMs = 5_000 } = options;
  oneOf("protocol", protocol, ["connect", "grpc", "grpc-web"]);
  oneOf("keepAlive", keepAlive, ["active", "always"]);
  inRange("dialTimeoutMs", dialTimeoutMs, 1, longestTimerMs);
  inRange("keepAliveIntervalMs", keepAliveIntervalMs, 100, longestTimerMs);
  inRange("defaultTimeoutMs", options.defaultTimeoutMs, 1, longestTimerMs);
  inRange("compressMinBytes", options.compressMinBytes, 0, Number.MAX_SAFE_INTEGER);
  inRange("readMaxBytes", options.readMaxBytes, 1, largestMessageBytes);
  inRange("writeMaxBytes", options.writeMaxBytes, 1, largestMessageBytes);
  isList("interceptors", options.interceptors);
  isList("acceptCompression", options.acceptCompression);
  const common: ResolvedTransportOptions["common"] = {
    useBinaryFormat: options.useBinaryFormat ?? true,
    useHttpGet: options.useHttpGet ?? false,
    interceptors: [...(options.interceptors ?? [])],
    acceptCompression: [...(options.acceptCompression ?? defaultCompressions)],
    sendCompression: options.sendCompression ?? null,
    ...validateReadWriteMaxBytes(
      options.readMaxBytes ?? defaultReadMaxBytes,
      options.writeMaxBytes,
      // At 0, Connect would leave empty messages of unary calls uncompressed, and no others.
      options.compressMinBytes === 0 ? -1 : options.compressMinBytes,
    ),
  };
  if (options.jsonOptions !== undefined) {
    common.jsonOptions = options.jsonOptions;
  }
  if (options.binaryOptions !== undefined) {
    common.binaryOptions = options.binaryOptions;
  }
  if (options.defaultTimeoutMs !== undefined) {
    common.defaultTimeoutMs = options.defaultTimeoutMs;
  }
  return { protocol, keepAlive, keepAliveIntervalMs, dialTimeoutMs, common };
}
