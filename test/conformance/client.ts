// The client that the conformance runner tests: makes the calls that stdin describes, and says on stdout what came of
// each, in the order in which they end. Ends when stdin has ended and no call is left.
//
//   node .cache/conformance/programs/client.mjs --way short|general --at peer|url --engine noq|quiche
//
// Where the server is, it hears with each call; the engine is for servers that have a URL.

import { parseArgs } from "node:util";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type ClientCompatRequest,
  ClientCompatRequestSchema,
  type ClientCompatResponse,
  ClientCompatResponseSchema,
  ClientErrorResultSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/client_compat_pb.js";
import { Endpoint } from "../../src/index.ts";
import { makeCall } from "./call.ts";
import { readDelimited, writeDelimited } from "./delimited.ts";
import { Transports } from "./transports.ts";
import { engineOf, interceptorsOf } from "./way.ts";

/**
 * The suite looks at how much of a deadline is left when a request arrives, and forgives half a second. So there are few
 * calls at a time, and one alone as long as both sides are new to what they do.
 */
const callsAtOnce = 4;
const callsPerStep = 16;

const { values } = parseArgs({
  options: { way: { type: "string" }, at: { type: "string" }, engine: { type: "string" } },
});
await using endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
await using transports = new Transports(
  endpoint,
  interceptorsOf(values.way),
  engineOf(values.engine),
);

const running = new Set<Promise<void>>();
let started = 0;
for await (const message of readDelimited(process.stdin)) {
  const request = fromBinary(ClientCompatRequestSchema, message);
  const call = answer(request)
    .then((response) => {
      writeDelimited(process.stdout, toBinary(ClientCompatResponseSchema, response));
    })
    .finally(() => running.delete(call));
  running.add(call);
  started += 1;
  if (running.size >= Math.min(callsAtOnce, 1 + Math.floor(started / callsPerStep))) {
    await Promise.race(running);
  }
}
await Promise.all(running);

async function answer(request: ClientCompatRequest): Promise<ClientCompatResponse> {
  const { testName } = request;
  try {
    const value = await makeCall(transports.for(request), request);
    return create(ClientCompatResponseSchema, {
      testName,
      result: { case: "response", value },
    });
  } catch (error) {
    const value = create(ClientErrorResultSchema, { message: `${error}` });
    return create(ClientCompatResponseSchema, { testName, result: { case: "error", value } });
  }
}
