import { Code, ConnectError } from "@connectrpc/connect";
import { assertByteStreamRequest } from "@connectrpc/connect/protocol";
import type { connectNodeAdapter } from "@connectrpc/connect-node";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import { type CallScope, callScopeKey } from "./call-scope.ts";
import { callerValues, type WebCaller } from "./caller.ts";
import { Cors, type CorsOptions } from "./cors.ts";
import type { FieldSection } from "./fields.ts";
import type { ServiceRoutes } from "./service-routes.ts";

/** Answers requests of Node's HTTP servers: `http.createServer(handler)`, `http2.createSecureServer(options, handler)`. */
export type NodeRequestHandler = ReturnType<typeof connectNodeAdapter>;

type NodeRequest = Parameters<NodeRequestHandler>[0];
type NodeResponse = Parameters<NodeRequestHandler>[1];

export interface BridgeOptions {
  /** Pages of which other origins may call. Default: none. */
  readonly cors?: CorsOptions;
}

export interface NodeBridgeServices {
  readonly routes: Pick<ServiceRoutes, "find">;
  readonly report: (error: unknown) => void;
}

/** Serves a router's calls through a server of Node's. Throws TypeError or RangeError for options that cannot be. */
export function createNodeBridge(
  services: NodeBridgeServices,
  options: BridgeOptions = {},
): NodeRequestHandler {
  const cors = options.cors === undefined ? undefined : new Cors(options.cors);
  // A program without a bridge starts without it.
  const loading = import("@connectrpc/connect-node");
  // The first request tells of it.
  loading.catch(() => {});
  return (request, response) => {
    const preflight = cors?.preflight({
      method: request.method,
      origin: request.headers.origin,
      requestMethod: request.headers["access-control-request-method"],
    });
    if (preflight === undefined) {
      const fields = cors?.response(request.headers.origin) ?? [];
      void answer({ services, connectNode: loading, fields }, request, response);
    } else {
      response.writeHead(204, Object.fromEntries(preflight));
      response.end();
    }
  };
}

interface BridgedAnswer {
  readonly services: NodeBridgeServices;
  readonly connectNode: Promise<typeof import("@connectrpc/connect-node")>;
  /** Go with every response. */
  readonly fields: FieldSection;
}

async function answer(
  { services: { routes, report }, connectNode, fields }: BridgedAnswer,
  request: NodeRequest,
  response: NodeResponse,
): Promise<void> {
  try {
    const { universalRequestFromNodeRequest, universalResponseToNodeResponse } = await connectNode;
    if (request.aborted) {
      return;
    }
    const route = routes.find(request.url ?? "");
    const caller = callerOf(request);
    const scope = new BridgedCall();
    const values = callerValues(caller).set(callScopeKey, scope);
    // Before anything else is awaited: the content begins to arrive.
    const universal = universalRequestFromNodeRequest(request, response, undefined, values);
    assertByteStreamRequest(universal);
    scope.refusal = await route.authorize?.(caller);
    const answered = await route.handle({ ...universal, body: copies(universal.body) });
    const header = new Headers(answered.header);
    for (const [name, value] of fields) {
      header.append(name, value);
    }
    await universalResponseToNodeResponse({ ...answered, header }, response);
  } catch (error) {
    // The caller is gone, and nobody has done anything wrong.
    if (ConnectError.from(error).code !== Code.Aborted) {
      report(error);
    }
    response.destroy();
  }
}

/** Whoever reads our streams gives their memory back, and others may look at what Node has received. */
async function* copies(content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const bytes of content) {
    yield new Uint8Array(bytes);
  }
}

/** What Connect's handlers learn elsewhere comes from Node's server here. */
class BridgedCall implements CallScope {
  refusal: ConnectError | undefined;

  complete(): void {}

  outlives(): void {}
}

function callerOf(request: NodeRequest): WebCaller {
  return {
    type: "web",
    httpVersion: request.httpVersion,
    remoteAddress: addressOf(request.socket),
    certificates: certificatesOf(request.socket),
  };
}

function addressOf({
  remoteAddress = "0.0.0.0",
  remotePort = 0,
}: NodeRequest["socket"]): SocketAddress {
  try {
    return socketAddress(remoteAddress, remotePort);
  } catch {
    // A socket of the file system, or one that is gone already.
    return { family: 4, host: "0.0.0.0", port: 0 };
  }
}

/** What Node says of the other side of a TLS socket. */
interface PeerCertificate {
  readonly raw?: Uint8Array;
  readonly issuerCertificate?: PeerCertificate;
}

/** The verified certificates of the caller, if it has shown any. */
function certificatesOf(
  socket: NodeRequest["socket"] & {
    readonly authorized?: boolean;
    getPeerCertificate?(detailed: true): PeerCertificate;
  },
): Uint8Array[] {
  const chain: Uint8Array[] = [];
  if (socket.authorized !== true) {
    return chain;
  }
  let certificate = socket.getPeerCertificate?.(true);
  while (certificate?.raw !== undefined) {
    chain.push(certificate.raw);
    const issuer: PeerCertificate | undefined = certificate.issuerCertificate;
    // An authority names itself as its issuer.
    certificate = issuer === certificate ? undefined : issuer;
  }
  return chain;
}
