import { H3 } from "../../src/http3/h3-error.ts";
import { concat } from "../support/http3-peer.ts";
import type { Arrival } from "../support/joined-cores.ts";
import type { Step } from "./conversation.ts";

type Bytes = Extract<Arrival, { readonly type: "bytes" }>;

/** A change of a conversation at one byte; undefined when it would change nothing. */
interface Mutation {
  readonly name: string;
  apply(step: Bytes, at: number): readonly Step[] | undefined;
  /** Nothing of the stream comes after the changed piece. */
  readonly last?: true;
}

function replace(name: string, to: (byte: number) => number): Mutation {
  return {
    name,
    apply(step, at) {
      const was = step.bytes[at] ?? 0;
      const byte = to(was) & 0xff;
      if (byte === was) {
        return undefined;
      }
      const bytes = step.bytes.slice();
      bytes[at] = byte;
      return [{ ...step, bytes }];
    },
  };
}

/** Puts the outcome of `between` in the place of the byte. */
function splice(name: string, between: (step: Bytes, at: number) => Uint8Array): Mutation {
  return {
    name,
    apply(step, at) {
      const before = step.bytes.subarray(0, at);
      const after = step.bytes.subarray(at + 1);
      return [{ ...step, bytes: concat([before, between(step, at), after]) }];
    },
  };
}

function insert(byte: number): Mutation {
  return splice(`0x${byte.toString(16)} before it`, ({ bytes }, at) =>
    Uint8Array.of(byte, bytes[at] ?? 0),
  );
}

function truncate(name: string, end: (step: Bytes) => readonly Step[], fin = false): Mutation {
  return {
    name,
    last: true,
    apply: (step, at) => [{ ...step, bytes: step.bytes.slice(0, at), fin }, ...end(step)],
  };
}

/**
 * Every byte is given other values, among them those that make a varint longer or shorter (RFC 9000 §16) and a prefixed
 * integer go on (RFC 7541 §5.1); others come in, go or come twice; the stream breaks off there in every way.
 */
export const mutations: readonly Mutation[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((bit) => replace(`bit ${bit}`, (byte) => byte ^ (1 << bit))),
  replace("0", () => 0),
  replace("0x3f", () => 0x3f),
  replace("0xff", () => 0xff),
  replace("1 more", (byte) => byte + 1),
  replace("1 less", (byte) => byte - 1),
  replace("varint of 8 bytes", (byte) => byte | 0xc0),
  insert(0x00),
  insert(0x40),
  insert(0x80),
  insert(0xff),
  splice("removed", () => new Uint8Array(0)),
  splice("twice", ({ bytes }, at) => Uint8Array.of(bytes[at] ?? 0, bytes[at] ?? 0)),
  splice("all before it twice", ({ bytes }, at) =>
    concat([bytes.subarray(0, at), bytes.subarray(at, at + 1)]),
  ),
  truncate("nothing from here", () => []),
  truncate("the end", () => [], true),
  truncate("a reset", ({ streamId }) => [{ type: "reset", streamId, code: H3.REQUEST_CANCELLED }]),
];

/** A byte of a conversation: that of a step, as an index. */
export interface Place {
  readonly step: number;
  readonly at: number;
}

/** All bytes of a conversation, in their order. */
export function placesOf(steps: readonly Step[]): Place[] {
  return steps.flatMap((step, index) =>
    step.type === "bytes" ? Array.from(step.bytes, (_, at) => ({ step: index, at })) : [],
  );
}

/** The changed conversation; undefined when there is no change. */
export function mutate(
  steps: readonly Step[],
  { step: index, at }: Place,
  mutation: Mutation,
): Step[] | undefined {
  const step = steps[index];
  const changed = step?.type === "bytes" ? mutation.apply(step, at) : undefined;
  if (step?.type !== "bytes" || changed === undefined) {
    return undefined;
  }
  const rest = steps.slice(index + 1);
  const isLater = (later: Step) =>
    (later.type === "bytes" || later.type === "reset") && later.streamId === step.streamId;
  return [
    ...steps.slice(0, index),
    ...changed,
    ...(mutation.last === true ? rest.filter((later) => !isLater(later)) : rest),
  ];
}
