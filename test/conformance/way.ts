// What client and server of a run have in common.

import { createRegistry, type Registry } from "@bufbuild/protobuf";
import type { Interceptor } from "@connectrpc/connect";
import { file_connectrpc_conformance_v1_service } from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.js";
import type { Engine } from "../../src/index.ts";
import { quiche } from "../../src/quiche.ts";

/**
 * The interceptors of a run. Calls of the Connect protocol and gRPC go a short way when nobody could see the difference:
 * "short" lets them, "general" keeps them from it with an interceptor that does nothing.
 */
export function interceptorsOf(way: string | undefined): Interceptor[] {
  switch (way) {
    case "short":
      return [];
    case "general":
      return [(next) => next];
    default:
      throw new RangeError(`no way ${JSON.stringify(way)}: there are short and general`);
  }
}

/** What carries connections with certificates; undefined for the default. */
export function engineOf(name: string | undefined): Engine | undefined {
  switch (name) {
    case "noq":
      return undefined;
    case "quiche":
      return quiche();
    default:
      throw new RangeError(`no engine ${JSON.stringify(name)}: there are noq and quiche`);
  }
}

/** The messages that stand inside of others as google.protobuf.Any; JSON cannot be read or written without. */
export const registry: Registry = createRegistry(file_connectrpc_conformance_v1_service);
