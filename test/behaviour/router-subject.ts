import { createRouterTransport } from "@connectrpc/connect";
import { allCompressions } from "./compressions.ts";
import { Journal } from "./journal.ts";
import { kinds } from "./kinds.ts";
import type { Subject } from "./subject.ts";
import { registerTestServices } from "./test-service.ts";

const onlyConnect = "createRouterTransport speaks the Connect protocol alone";

const kindNames = Object.keys(kinds);

/** connect-es's transport without a network. */
export const routerSubject: Subject = {
  name: "createRouterTransport",
  capabilities: {
    connect: true,
    grpc: onlyConnect,
    "grpc-web": onlyConnect,
    json: true,
    compression: true,
    fullDuplex: true,
    ahead: "createRouterTransport asks the handler for each message",
    backpressure: true,
    leave: "the responses of connect-es have no `return`",
    peerIdentity: "createRouterTransport has no peers",
    disconnect: "createRouterTransport has no connection",
  },
  deviations: [
    {
      tests: kindNames.map((kind) => `a ${kind} call with an aborted signal does not begin`),
      reason: "the handler is called before the signal is looked at",
    },
    {
      tests: [
        ...kindNames.map(
          (kind) => `F17: abort ends a ${kind} call, and its handler learns that it was canceled`,
        ),
        "abort during upload ends the call on both sides",
        "messages that end on abort do not make the call look complete",
        "abort between the messages of a stream ends the call on both sides",
        "F16: the handler's signal fires at once, even while its generator waits for something else",
      ],
      reason: "the handler gets the reason of the client's signal as it is, no ConnectError",
    },
    {
      tests: [
        "a message that the client cannot read fails a stream, and the handler learns of it",
        "a handler that goes on yielding after cancel is ended and harms nobody",
        "F16: a handler that is held up is ended by abort",
      ],
      reason: "a generator that is not asked any more is never told to end",
      outcome: "hangs",
    },
  ],
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
