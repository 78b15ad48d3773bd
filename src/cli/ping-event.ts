import { formatMs } from "./format-ms.ts";
import { describePlace, type PathPlace } from "./path-place.ts";
import type { PingSummary } from "./ping-statistics.ts";

/** What `ping` tells: a line of text or of JSON each. */
export type PingEvent =
  /** There is a connection, after so many milliseconds. `peer` is the whole id. */
  | {
      readonly type: "connected";
      readonly peer: string;
      readonly ms: number;
      readonly path: PathPlace;
    }
  /** A call went there and its answer came back. */
  | { readonly type: "pong"; readonly seq: number; readonly ms: number; readonly path: PathPlace }
  /** The round trip that QUIC expects of the path in use. */
  | {
      readonly type: "estimate";
      readonly seq: number;
      readonly ms: number;
      readonly path: PathPlace;
    }
  /** Data goes another way now. */
  | { readonly type: "path"; readonly from: PathPlace; readonly to: PathPlace }
  | { readonly type: "lost"; readonly seq: number; readonly error: string }
  /** There is no connection. */
  | { readonly type: "failed"; readonly error: string }
  | ({ readonly type: "statistics" } & PingSummary);

/** The lines for people; `peer` is the short id. */
export function describePingEvent(event: PingEvent, peer: string): string[] {
  switch (event.type) {
    case "connected":
      return [`connected to ${peer} ${describePlace(event.path)} in ${formatMs(event.ms)}`];
    case "pong":
      return [`pong from ${peer} ${describePlace(event.path)} in ${formatMs(event.ms)}`];
    case "estimate":
      return [`round trip to ${peer} ${describePlace(event.path)}: ${formatMs(event.ms)}`];
    case "path":
      return [`path changed to ${describePlace(event.to)}, was ${describePlace(event.from)}`];
    case "lost":
      return [`no pong from ${peer}: ${event.error}`];
    case "failed":
      return [];
    case "statistics":
      return [
        "",
        `${event.sent} sent, ${event.answered} answered`,
        ...event.ways.map(
          ({ way, answered, fastestMs, meanMs, slowestMs }) =>
            `${way === "relay" ? "via relay" : "direct"}: ${answered} answered, fastest ${formatMs(fastestMs)}, mean ${formatMs(meanMs)}, slowest ${formatMs(slowestMs)}`,
        ),
      ];
  }
}
