import { createRouterTransport } from "@connectrpc/connect";
import { allCompressions } from "./compressions.ts";
import { Journal } from "./journal.ts";
import type { Subject } from "./subject.ts";
import { registerTestServices } from "./test-service.ts";

const onlyConnect = "createRouterTransport speaks the Connect protocol alone";

/** connect-es's transport without a network. */
export const routerSubject: Subject = {
  name: "createRouterTransport",
  capabilities: {
    connect: true,
    grpc: onlyConnect,
    "grpc-web": onlyConnect,
    fullDuplex: true,
    ahead: "createRouterTransport asks the handler for each message",
    backpressure: true,
    leave: "the responses of connect-es have no `return`",
    peerIdentity: "createRouterTransport has no peers",
    disconnect: "createRouterTransport has no connection",
  },
  start: async () => {
    // Each transport has a router of its own; the calls of all share a journal.
    const journal = new Journal();
    return {
      transport: (config) =>
        createRouterTransport((router) => registerTestServices(router, { journal }), {
          // Its own default is more than zlib takes as a limit, so that nothing could be decompressed.
          transport: { readMaxBytes: 0xffff_ffff, ...config },
          router: { acceptCompression: [...allCompressions] },
        }),
      close: async () => {},
    };
  },
};
