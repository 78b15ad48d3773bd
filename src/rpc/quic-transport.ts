import { Endpoint } from "../endpoint/endpoint.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import { isBoolean, oneOf } from "./check-options.ts";
import type { PeerRouter } from "./peer-router.ts";
import { type PeerServer, peerServerOf } from "./peer-server.ts";
import { PeerTransport, parsePeerAddr, type QuicTransport } from "./peer-transport.ts";
import { PerServiceTransport } from "./per-service-transport.ts";
import {
  type QuicTransportOptions,
  resolveTransportOptions,
  type ServiceTransportOptions,
  type UrlTransportOptions,
} from "./quic-transport-options.ts";
import { ServiceTransport } from "./service-transport.ts";
import { isUrl, UrlTransport } from "./url-transport.ts";
import { alpnOf, checkWires, type Wire } from "./wire.ts";

/**
 * Creates a transport for Connect clients that calls the peer `to`, which serves with a {@link PeerRouter}.
 *
 * ```ts
 * await using transport = createQuicTransport({ endpoint, to: ticket });
 * const eliza = createClient(ElizaService, transport);
 * ```
 *
 * Nothing is sent before the first call, unless it serves. Transports of one endpoint to one peer share a connection; when it is lost, the
 * next call dials again. A call keeps the process alive, a transport does not.
 *
 * Throws a ConnectError InvalidArgument when `to` is malformed, and TypeError or RangeError for other options.
 */
export function createQuicTransport(options: QuicTransportOptions): QuicTransport;
/**
 * Creates a transport for Connect clients that calls an HTTP/3 server by its URL, and believes its certificate when an
 * authority vouches for it.
 *
 * ```ts
 * await using transport = createQuicTransport({ to: "https://demo.example:8443" });
 * ```
 *
 * It has a connection of its own, and no endpoint. Throws as above, and IdentityError for PEM that is none.
 */
export function createQuicTransport(options: UrlTransportOptions): UrlTransport;
/**
 * Creates a transport for Connect clients that calls the peers of a service, whichever a source such as a `Rendezvous` knows.
 *
 * ```ts
 * await using transport = createQuicTransport({ endpoint, service: ElizaService, via: rendezvous });
 * ```
 *
 * The first call makes it follow the source and connect to peers, which it goes on with until it is closed; that keeps the
 * process alive where the calls of the source do. Each call goes to one peer by `policy`, of those whose health service
 * (`grpc.health.v1`) says that they serve it, or says nothing to us; calls that run stay where they are. When a peer has
 * provably not begun with a call, because it could not be reached or has refused it, the call goes to another one, up to
 * three in all. A call that finds no peer waits for one, at most `dialTimeoutMs`, and fails with Unavailable.
 *
 * Throws a ConnectError InvalidArgument for a malformed target, and TypeError or RangeError for other options.
 */
export function createQuicTransport(options: ServiceTransportOptions): ServiceTransport;
export function createQuicTransport(
  options: QuicTransportOptions | UrlTransportOptions | ServiceTransportOptions,
): QuicTransport | UrlTransport | ServiceTransport {
  if ("via" in options) {
    return new ServiceTransport(options);
  }
  if (!isUrl(options.to)) {
    return createPeerTransport(options as QuicTransportOptions);
  }
  if ("serve" in options && options.serve !== undefined) {
    throw new TypeError("option serve: a server that is called by URL does not call back");
  }
  if ("earlyData" in options && options.earlyData === true) {
    throw new TypeError(
      "option earlyData: it is for peers, not for servers that are called by URL",
    );
  }
  return new UrlTransport(options as UrlTransportOptions);
}

function createPeerTransport(options: QuicTransportOptions): QuicTransport {
  const { earlyData = false, endpoint, serve, wire = "connect-quic" } = options;
  if (!(endpoint instanceof Endpoint)) {
    throw new TypeError("option endpoint: expected an Endpoint");
  }
  isBoolean("stayConnected", options.stayConnected);
  const wires: readonly Wire[] = Array.isArray(wire) ? wire : [wire];
  checkWires("wire", wires);
  isBoolean("earlyData", earlyData);
  if (earlyData && (serve !== undefined || wires.includes("tonic-iroh"))) {
    const name = serve === undefined ? "tonic-iroh" : "serve";
    throw new TypeError(`option earlyData: not with ${name}`);
  }
  const addr = parsePeerAddr(options.to);
  if (wires.includes("tonic-iroh")) {
    return createTonicTransport(options, addr, wires);
  }
  const calls = resolveTransportOptions(options);
  const server = serve === undefined ? undefined : serverOf(serve, endpoint);
  const stayConnected = options.stayConnected ?? server !== undefined;
  return new PeerTransport({ endpoint, addr, calls, server, stayConnected, earlyData });
}

function createTonicTransport(
  options: QuicTransportOptions,
  addr: EndpointAddr,
  wires: readonly Wire[],
): QuicTransport {
  const { endpoint, protocol = "grpc", serve, stayConnected } = options;
  oneOf("protocol (over tonic-iroh)", protocol, ["grpc"]);
  if (serve !== undefined || stayConnected === true) {
    const name = serve === undefined ? "stayConnected" : "serve";
    throw new TypeError(
      `option ${name}: with tonic-iroh each service has a connection of its own, made with the first call`,
    );
  }
  const calls = resolveTransportOptions({ ...options, protocol });
  return new PerServiceTransport(addr.id, (serviceTypeName) => {
    const alpns = wires.map((each) => alpnOf(each, serviceTypeName));
    return new PeerTransport({ endpoint, addr, calls, alpns });
  });
}

function serverOf(router: PeerRouter, endpoint: Endpoint): PeerServer {
  const server = peerServerOf(router);
  if (server === undefined || server.endpoint !== endpoint) {
    throw new TypeError("option serve: expected a PeerRouter of the same endpoint");
  }
  if (!server.isOpen) {
    throw new TypeError("option serve: the router is closed");
  }
  return server;
}
