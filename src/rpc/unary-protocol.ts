// What the protocols of unary calls do differently where they are served the short way. The rules are connect-es's.

import type { ConnectError } from "@connectrpc/connect";
import { connectUnary } from "./connect-unary.ts";
import type { FieldSection } from "./fields.ts";
import { grpcUnary } from "./grpc-unary.ts";
import type { UnaryContext } from "./unary-context.ts";
import type { Format, UnaryRequestHead, UnaryRoute } from "./unary-route.ts";

/** Collects the content of a request. */
export interface UnaryContent {
  /** The content announces that it has this many bytes. Throws when that cannot be. */
  expect(contentLength: number): void;
  /** Throws when this cannot become the content of a call with one message. */
  push(bytes: Uint8Array): void;
  /** The message, once everything has arrived. Throws when there is none. */
  take(): Uint8Array;
  clear(): void;
}

/** All of an answer. */
export interface UnaryAnswer {
  readonly fields: FieldSection;
  readonly content?: Uint8Array;
  readonly trailers?: FieldSection;
}

/** A call that is answered. */
export interface AnsweredCall {
  readonly head: UnaryRequestHead;
  readonly route: UnaryRoute;
  readonly context: UnaryContext;
}

export interface UnaryProtocol {
  readonly name: "connect" | "grpc";
  /** Of an answer. */
  readonly contentTypes: Readonly<Record<Format, string>>;
  readonly timeoutHeader: string;
  readonly acceptHeader: string;
  /** Requests that have it go the general way. */
  readonly encodingHeader: string;
  parseTimeout(
    value: string | null,
    maxTimeoutMs: number,
  ): { readonly timeoutMs?: number; readonly error?: ConnectError | undefined };
  content(readMaxBytes: number): UnaryContent;
  /** What a handler finds in the headers of the answer. */
  responseHeader(head: UnaryRequestHead, route: UnaryRoute): Record<string, string>;
  /** The same of the trailers. */
  readonly responseTrailer: Readonly<Record<string, string>>;
  answer(message: Uint8Array, call: AnsweredCall): UnaryAnswer | Promise<UnaryAnswer>;
  failure(error: ConnectError, call: AnsweredCall): UnaryAnswer | Promise<UnaryAnswer>;
}

/** Content types of requests that have a short way. */
export const unaryFormats: ReadonlyMap<
  string,
  { readonly protocol: UnaryProtocol; readonly format: Format }
> = new Map([
  ...formatsOf(connectUnary),
  ...formatsOf(grpcUnary),
  ["application/grpc", { protocol: grpcUnary, format: "binary" }],
]);

function formatsOf(
  protocol: UnaryProtocol,
): [string, { readonly protocol: UnaryProtocol; readonly format: Format }][] {
  const { binary, json } = protocol.contentTypes;
  return [
    [binary, { protocol, format: "binary" }],
    [json, { protocol, format: "json" }],
  ];
}
