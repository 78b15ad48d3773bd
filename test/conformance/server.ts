// The server that the conformance runner tests: a peer. It is told on stdin what to be, says on stdout where it is, and
// serves until SIGTERM.
//
//   node --import tsx test/conformance/server.ts --way plain|general

import { once } from "node:events";
import { parseArgs } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/server_compat_pb.js";
import { ConformanceService } from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.js";
import { createPeerRouter, Endpoint } from "../../src/index.ts";
import { readDelimited, writeDelimited } from "./delimited.ts";
import { conformanceService } from "./service.ts";
import { interceptorsOf, registry } from "./way.ts";

const { values } = parseArgs({ options: { way: { type: "string" } } });

for await (const message of readDelimited(process.stdin)) {
  const { messageReceiveLimit, useTls } = fromBinary(ServerCompatRequestSchema, message);
  if (!useTls) {
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
  const response = create(ServerCompatResponseSchema, {
    host: "127.0.0.1",
    port: endpoint.boundAddresses[0]?.port ?? 0,
    // The runner hands this to the client as it is: here it is the ticket that says who to trust, and where it is.
    pemCert: Buffer.from(endpoint.ticket()),
  });
  writeDelimited(process.stdout, toBinary(ServerCompatResponseSchema, response));
  await once(process, "SIGTERM");
  await router.close({ graceMs: 0 });
}
