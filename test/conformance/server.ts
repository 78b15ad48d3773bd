// The server that the conformance runner tests. It is told on stdin what to be, says on stdout where it is, and serves
// until SIGTERM.
//
//   node .cache/conformance/programs/server.mjs --way short|general --at peer|url --engine noq|quiche
//
// At "peer" it is a peer, and at "url" what anybody reaches by HTTP/3, on the engine that is named.

import { once } from "node:events";
import { parseArgs } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ServerCompatRequest,
  ServerCompatRequestSchema,
  type ServerCompatResponse,
  ServerCompatResponseSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/server_compat_pb.js";
import { ConformanceService } from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.js";
import { createPeerRouter, Endpoint, type PeerRouter } from "../../src/index.ts";
import { readDelimited, writeDelimited } from "./delimited.ts";
import { conformanceService } from "./service.ts";
import { engineOf, interceptorsOf, registry } from "./way.ts";

const { values } = parseArgs({
  options: { way: { type: "string" }, at: { type: "string" }, engine: { type: "string" } },
});
const engine = engineOf(values.engine);

for await (const message of readDelimited(process.stdin)) {
  const request = fromBinary(ServerCompatRequestSchema, message);
  const { messageReceiveLimit } = request;
  if (!request.useTls) {
    throw new Error("asked to serve without TLS, which QUIC cannot");
  }
  await using endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  await using router = createPeerRouter(endpoint, {
    interceptors: interceptorsOf(values.way),
    jsonOptions: { registry },
    // Messages of the suite are small, and are to be compressed nevertheless.
    compressMinBytes: 0,
    ...(messageReceiveLimit === 0 ? {} : { readMaxBytes: messageReceiveLimit }),
  });
  router.service(ConformanceService, conformanceService);
  const response = values.at === "url" ? await listen(router, request) : whereIs(endpoint);
  writeDelimited(process.stdout, toBinary(ServerCompatResponseSchema, response));
  await once(process, "SIGTERM");
  await router.close({ graceMs: 0 });
}

function whereIs(endpoint: Endpoint): ServerCompatResponse {
  return create(ServerCompatResponseSchema, {
    host: "127.0.0.1",
    port: endpoint.boundAddresses[0]?.port ?? 0,
    // The runner hands this to the client as it is: here it is the ticket that says who to trust, and where it is.
    pemCert: Buffer.from(endpoint.ticket()),
  });
}

async function listen(
  router: PeerRouter,
  { serverCreds, clientTlsCert }: ServerCompatRequest,
): Promise<ServerCompatResponse> {
  if (serverCreds === undefined) {
    throw new Error("asked to listen without a certificate");
  }
  const { cert, key } = serverCreds;
  const { addresses } = await router.listen({
    bind: "127.0.0.1:0",
    engine,
    cert,
    key,
    ...(clientTlsCert.length === 0 ? {} : { clientCertificates: { ca: clientTlsCert } }),
  });
  return create(ServerCompatResponseSchema, {
    host: "127.0.0.1",
    port: addresses[0]?.port ?? 0,
    pemCert: cert,
  });
}
