// The services that the behaviour suite calls, for any router.

import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import {
  ControlService,
  InterceptedTestService,
  LimitedTestService,
  type Script,
  type TestRequest,
  TestService,
} from "../../gen/connectquic/test/v1/test_pb.ts";
import { Journal } from "./journal.ts";
import { echo, receive, script, summarize } from "./script.ts";
import { play, type Response } from "./script-player.ts";
import { serverInterceptors } from "./server-interceptors.ts";

/** Limits of the LimitedTestService. */
export const limits = {
  readMaxBytes: 1_024,
  writeMaxBytes: 1_024,
  maxTimeoutMs: 3_600_000,
} as const;

export interface TestServiceOptions {
  /** Where calls and gates are noted. Default: a new one. */
  readonly journal?: Journal;
  /** The id of the caller. Default: nobody knows. */
  readonly peerId?: (context: HandlerContext) => string;
}

/** Gives the router all services of the suite; they share one journal. */
export function registerTestServices(
  router: Pick<ConnectRouter, "service">,
  options: TestServiceOptions = {},
): void {
  const journal = options.journal ?? new Journal();
  const peerId = options.peerId ?? (() => "");

  const call = (
    requests: AsyncIterable<TestRequest>,
    context: HandlerContext,
    fallback: Script,
  ): AsyncGenerator<Response, void> =>
    play({ requests, context, journal, fallback, peerId: peerId(context) });

  const methods = {
    unary: (request: TestRequest, context: HandlerContext) =>
      last(call(only(request), context, echoAll)),
    clientStream: (requests: AsyncIterable<TestRequest>, context: HandlerContext) =>
      last(call(requests, context, summarizeAll)),
    serverStream: (request: TestRequest, context: HandlerContext) =>
      call(only(request), context, echoAll),
    bidiStream: (requests: AsyncIterable<TestRequest>, context: HandlerContext) =>
      call(requests, context, echoAll),
  };
  router.service(TestService, { ...methods, lookup: methods.unary }, { readMaxBytes: 0xffff_ffff });
  router.service(LimitedTestService, methods, limits);
  router.service(InterceptedTestService, methods, { interceptors: serverInterceptors(journal) });
  router.service(ControlService, {
    openGate: ({ gate }) => {
      journal.openGate(gate);
      return {};
    },
    awaitEvent: async ({ callName, event }) => ({
      event: await journal.awaitEvent(callName, event),
    }),
    getProgress: ({ callName }) => {
      const { events, received, sent } = journal.call(callName);
      return { events: [...events], received: received(), sent };
    },
  });
}

const echoAll = script(echo());
const summarizeAll = script(receive(), summarize);

async function* only(request: TestRequest): AsyncGenerator<TestRequest, void> {
  yield request;
}

/** The last response that the script makes; an empty one when it makes none. */
async function last(responses: AsyncIterable<Response>): Promise<Response> {
  let response: Response = {};
  for await (response of responses) {
    // Only the last counts.
  }
  return response;
}
