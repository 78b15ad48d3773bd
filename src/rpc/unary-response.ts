import type { DescMessage, DescMethod, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import type { UnaryResponse } from "@connectrpc/connect";
import type { CallPlan } from "./call-plan.ts";
import { type FieldSection, headersFromFields } from "./fields.ts";
import type { ProtocolTransportOptions } from "./protocol-transport.ts";

/** What the reader of a response needs. */
export interface UnaryResponseOptions {
  readonly plan: CallPlan;
  readonly options: ProtocolTransportOptions;
  resolve(response: UnaryResponse): void;
  reject(error: unknown): void;
}

/** Headers and trailers are made when someone asks for them, which nobody does for most calls. */
export function unaryResponse(
  method: DescMethod,
  message: MessageShape<DescMessage>,
  metadata: () => readonly [header: Headers, trailer: Headers],
): UnaryResponse {
  let parts: readonly [header: Headers, trailer: Headers] | undefined;
  const made = (): readonly [header: Headers, trailer: Headers] => {
    parts ??= metadata();
    return parts;
  };
  return {
    stream: false,
    service: method.parent,
    method: method as DescMethodUnary,
    message,
    get header() {
      return made()[0];
    },
    get trailer() {
      return made()[1];
    },
  };
}

/** HTTP/3 has let nothing through that `Headers` could refuse. */
export function headersOf(fields: FieldSection): Headers {
  return headersFromFields(fields) ?? new Headers();
}
