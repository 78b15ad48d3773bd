// What the runner and a peer's process say to each other: lines of JSON, commands on the peer's stdin, events on its
// stdout. All times are milliseconds of the kernel's monotonic clock, which is one for all processes.

import type { Directory } from "../lab/services.ts";

/** By which way a connection's packets go, as its end sees it. */
export type PathKind = "direct" | "relay";

export interface StartCommand {
  readonly type: "start";
  /** Where to listen, for each family that the host has. */
  readonly bind: readonly string[];
  readonly relay: string;
  /** Whom to ask for the own addresses: for peers that can. */
  readonly stun: readonly string[];
  /** What asking would tell: for peers that cannot. */
  readonly external: readonly string[];
  /** Where to publish addresses and look for those of others: for peers that can. */
  readonly directory?: Directory;
}

export type PeerCommand =
  | StartCommand
  /** Connect to a ticket or an id, and begin with calls. */
  | { readonly type: "dial"; readonly target: string }
  /** The own address has become another one: for peers that cannot find out. */
  | {
      readonly type: "external";
      readonly add: readonly string[];
      readonly remove: readonly string[];
    }
  /** No further calls: wait for those that are out. */
  | { readonly type: "finish" };

export type PeerEvent =
  /** On the way to reachable; the relay is connected, if there is one. */
  | { readonly type: "ready"; readonly id: string; readonly ticket: string }
  | { readonly type: "dialed"; readonly at: number }
  | { readonly type: "connected"; readonly at: number }
  | { readonly type: "path"; readonly at: number; readonly kind: PathKind; readonly to: string }
  /** The connection has ended, though nobody wanted it to. */
  | { readonly type: "lost"; readonly at: number; readonly reason: string }
  /** How the calls are going, several times a second, and after `finish` once more. */
  | {
      readonly type: "calls";
      readonly at: number;
      /** A stream for each. */
      readonly calls: CallsReport;
      /** Messages on one stream that lasts as long as the connection. */
      readonly messages: CallsReport;
    }
  | { readonly type: "finished" };

/** What became of the calls so far. */
export interface CallsReport {
  /** How many have begun. */
  readonly begun: number;
  readonly answered: number;
  /** Failed, or answered with something else. */
  readonly failed: number;
  /** Since when the oldest that is still out waits. */
  readonly waitingSince?: number;
  /** When the first answer came. */
  readonly firstAnswerAt?: number;
  /** Times without any answer that were longer than a tenth of a second, the present one too. */
  readonly stalls: readonly Stall[];
  /** What went wrong first. */
  readonly problem?: string;
}

export interface Stall {
  /** When the answer before it came. */
  readonly from: number;
  readonly ms: number;
}

/** The clock of all times in the protocol. */
export function monotonicNow(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
