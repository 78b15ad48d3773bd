import type { PathKind } from "../peer/peer-protocol.ts";

/** What both a cell and an event tell. Durations in milliseconds. */
export interface Measurement {
  /** From the dial to the established connection. */
  readonly connectMs?: number;
  /** From the dial to the first answer. */
  readonly firstAnswerMs?: number;
  /** From the dial until the dialer sent by a direct path. */
  readonly directMs?: number;
  /** Which way the packets went at the end. */
  readonly path: {
    /** As the dialer says. */
    readonly dialer?: PathKind;
    /** As the dialed one says. */
    readonly dialed?: PathKind;
    /** By the bytes that the kernel counted at the dialer. */
    readonly observed?: PathKind;
  };
  /** Calls and messages that began, and those of them that were never answered. */
  readonly begun: number;
  readonly lost: number;
  /** The longest time without an answer to a call, if over 100: after the first one, and in an event after that. */
  readonly longestStallMs: number;
  /** What is not as it should be; empty when all is well. */
  readonly problems: readonly string[];
}
