import { pause } from "../base/pause.ts";
import type { Platform } from "../base/platform.ts";
import { exitCode } from "./exit-code.ts";
import { explain } from "./explain.ts";
import type { PingEvent } from "./ping-event.ts";
import { PingStatistics } from "./ping-statistics.ts";
import { PlaceWatch } from "./place-watch.ts";
import type { RoundTrips } from "./round-trips.ts";

export interface PingPlan {
  readonly count: number;
  readonly intervalMs: number;
  /** Ends with the first answer that came without a relay. */
  readonly untilDirect: boolean;
}

export interface PingContext {
  readonly platform: Platform;
  readonly signal: AbortSignal;
  readonly tell: (event: PingEvent) => void;
}

/**
 * Connects, measures round trips and tells what happens. Resolves with the exit code; rejects with what the dial failed
 * with, and when `signal` fires before there was an answer.
 */
export async function ping(
  trips: RoundTrips,
  plan: PingPlan,
  { platform, signal, tell }: PingContext,
): Promise<number> {
  const statistics = new PingStatistics();
  const watch = new PlaceWatch((from, to) => tell({ type: "path", from, to }));
  let isDirect = false;

  const connect = async (): Promise<void> => {
    const start = platform.now();
    try {
      const connection = await trips.connect();
      const peer = connection.remoteId.toString();
      const path = watch.follow(connection);
      tell({ type: "connected", peer, ms: platform.now() - start, path });
    } catch (error) {
      signal.throwIfAborted();
      tell({ type: "failed", error: explain(error) });
      throw error;
    }
  };

  /** False: it makes no sense to go on. */
  const measure = async (seq: number): Promise<boolean> => {
    statistics.handleSent();
    try {
      // Dials again where the connection was lost.
      const connection = await trips.connect();
      watch.follow(connection);
      const ms = await trips.measure();
      const path = watch.follow(connection);
      statistics.handleAnswer(path.type, ms);
      isDirect = path.type === "direct";
      tell({ type: trips.type, seq, ms, path });
      return !(plan.untilDirect && isDirect);
    } catch (error) {
      signal.throwIfAborted();
      tell({ type: "lost", seq, error: explain(error) });
      return trips.type === "pong";
    }
  };

  try {
    await connect();
    for (let seq = 1; (await measure(seq)) && seq < plan.count; seq += 1) {
      await pause(platform, plan.intervalMs, signal);
    }
  } catch (error) {
    if (!signal.aborted || statistics.answered === 0) {
      throw error;
    }
  } finally {
    watch.stop();
  }
  tell({ type: "statistics", ...statistics.summary() });
  const isGood = plan.untilDirect ? isDirect : statistics.answered > 0;
  return isGood ? exitCode.done : exitCode.failed;
}
