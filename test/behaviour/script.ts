// The steps of a script, as tests write them.

import {
  create,
  type DescMessage,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Code } from "@connectrpc/connect";
import {
  type Field,
  type Script,
  ScriptSchema,
  type StepSchema,
} from "../../gen/connectquic/test/v1/test_pb.ts";

export type StepInit = MessageInitShape<typeof StepSchema>;

/** Names and values; a name may come several times. */
export type FieldList = readonly (readonly [name: string, value: string])[];

export interface FailureInit {
  readonly code: Code;
  readonly message?: string;
  readonly details?: readonly Detail[];
  readonly metadata?: FieldList;
}

export interface Detail {
  readonly desc: DescMessage;
  readonly value: Message;
}

/** A script without a name: nobody looks at the call. */
export function script(...steps: StepInit[]): Script {
  return create(ScriptSchema, { steps });
}

/** Sets fields of the response header. */
export function setHeaders(fields: FieldList): StepInit {
  return { action: { case: "setHeaders", value: { fields: fieldInits(fields) } } };
}

/** Sets fields of the response trailer. */
export function setTrailers(fields: FieldList): StepInit {
  return { action: { case: "setTrailers", value: { fields: fieldInits(fields) } } };
}

/** Responds with what the handler sees of the call. */
export const describeCall: StepInit = { action: { case: "describe", value: {} } };

/** Responds `count` times with `size` bytes of the pattern of the response's place in this step. */
export function produce(count: number, size = 0): StepInit {
  return { action: { case: "produce", value: { count, size } } };
}

/** Answers request messages as they come; 0: to the end. */
export function echo(count = 0): StepInit {
  return { action: { case: "echo", value: { count } } };
}

/** Reads request messages; 0: to the end. */
export function receive(count = 0): StepInit {
  return { action: { case: "receive", value: { count } } };
}

/** Leaves the rest of the request messages unread. */
export const stopReceiving: StepInit = { action: { case: "stopReceiving", value: {} } };

/** Responds with what was received so far. */
export const summarize: StepInit = { action: { case: "summarize", value: {} } };

/** Notes an event of this name. */
export function mark(name: string): StepInit {
  return { action: { case: "mark", value: name } };
}

/** Waits for a gate, whatever happens to the call meanwhile. */
export function passGate(name: string): StepInit {
  return { action: { case: "passGate", value: name } };
}

/** Waits for the signal of the call. */
export const awaitAbort: StepInit = { action: { case: "awaitAbort", value: {} } };

/** Throws the reason of the signal of the call. */
export const throwReason: StepInit = { action: { case: "throwReason", value: {} } };

/** Throws a ConnectError. */
export function fail({ code, message = "", details = [], metadata = [] }: FailureInit): StepInit {
  return {
    action: {
      case: "fail",
      value: {
        code,
        message,
        details: details.map(({ desc, value }) => ({
          typeName: desc.typeName,
          value: toBinary(desc, value),
        })),
        metadata: { fields: fieldInits(metadata) },
      },
    },
  };
}

/** Throws an Error that is no ConnectError. */
export function crash(message: string): StepInit {
  return { action: { case: "crash", value: message } };
}

function fieldInits(fields: FieldList): Pick<Field, "name" | "value">[] {
  return fields.map(([name, value]) => ({ name, value }));
}
