// Plays the script of a call: the one handler behind all methods of the test services.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { ConnectError, type HandlerContext } from "@connectrpc/connect";
import type {
  Failure,
  Fields,
  Script,
  Step,
  TestRequest,
  TestResponseSchema,
} from "../../gen/connectquic/test/v1/test_pb.ts";
import { contextNote } from "./context-note.ts";
import type { CallRecord, Journal } from "./journal.ts";
import { pattern } from "./pattern.ts";
import { RequestInbox } from "./request-inbox.ts";

export type Response = MessageInitShape<typeof TestResponseSchema>;

/** One call, and what its handler needs. */
export interface Call {
  readonly requests: AsyncIterable<TestRequest>;
  readonly context: HandlerContext;
  readonly journal: Journal;
  /** Played when the first message brings no script, or one without steps. */
  readonly fallback: Script;
  /** The id of the caller; "" when it is not known. */
  readonly peerId: string;
}

/** Yields the responses of the call, in the order of its script. */
export async function* play(call: Call): AsyncGenerator<Response, void> {
  const inbox = new RequestInbox(call.requests);
  const script = (await inbox.peek())?.script;
  const record = call.journal.call(script?.callName ?? "");
  record.received = () => inbox.messages;
  noteSignal(call.context.signal, record);
  record.note("started");
  let failure: unknown;
  let index = 0;
  try {
    for (const { action } of script?.steps.length ? script.steps : call.fallback.steps) {
      for await (const response of act(action, call, inbox, record)) {
        record.sent++;
        yield { ...response, index: index++ };
      }
    }
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    record.note("finished", failure);
  }
}

async function* act(
  action: Step["action"],
  { context, journal, peerId }: Call,
  inbox: RequestInbox,
  record: CallRecord,
): AsyncGenerator<Response, void> {
  switch (action.case) {
    case "setHeaders":
      appendFields(action.value, context.responseHeader);
      return;
    case "setTrailers":
      appendFields(action.value, context.responseTrailer);
      return;
    case "describe":
      yield { call: describeCall(context, peerId) };
      return;
    case "produce":
      for (let i = 0; i < action.value.count; i++) {
        yield { data: pattern(i, action.value.size) };
      }
      return;
    case "echo":
      for await (const { data, text } of inbox.takeMany(action.value.count)) {
        yield { data, text };
      }
      return;
    case "receive":
      for await (const _ of inbox.takeMany(action.value.count)) {
        // The inbox keeps count.
      }
      return;
    case "stopReceiving":
      await inbox.leave();
      return;
    case "summarize":
      yield { received: inbox.received };
      return;
    case "mark":
      record.note(action.value);
      return;
    case "passGate":
      await journal.passGate(action.value);
      return;
    case "awaitAbort":
      await aborted(context.signal);
      return;
    case "throwReason":
      throw context.signal.reason;
    case "fail":
      throw connectError(action.value);
    case "crash":
      throw new Error(action.value);
    case undefined:
      return;
    default:
      action satisfies never;
  }
}

function noteSignal(signal: AbortSignal, record: CallRecord): void {
  void aborted(signal).then(() => record.note("signal", signal.reason));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    } else {
      signal.addEventListener("abort", () => resolve(), { once: true });
    }
  });
}

function describeCall(context: HandlerContext, peerId: string): NonNullable<Response["call"]> {
  const timeoutMs = context.timeoutMs();
  return {
    requestHeaders: [...context.requestHeader].map(([name, value]) => ({ name, value })),
    ...(timeoutMs === undefined ? {} : { timeoutMs: BigInt(Math.ceil(timeoutMs)) }),
    httpMethod: context.requestMethod,
    protocol: context.protocolName,
    contextNote: context.values.get(contextNote),
    peerId,
  };
}

function connectError({ message, code, metadata, details }: Failure): ConnectError {
  const error = new ConnectError(message, code);
  appendFields(metadata, error.metadata);
  error.details = details.map(({ typeName, value }) => ({ type: typeName, value }));
  return error;
}

function appendFields(fields: Fields | undefined, headers: Headers): void {
  for (const { name, value } of fields?.fields ?? []) {
    headers.append(name, value);
  }
}
