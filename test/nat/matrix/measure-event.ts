import { setTimeout as sleep } from "node:timers/promises";
import { type HostName, hostNames } from "../lab/topology.ts";
import { monotonicNow, type PathKind } from "../peer/peer-protocol.ts";
import type { LabEvent } from "./events.ts";
import { LabSession } from "./lab-session.ts";
import { concludeSession, firstAnswer, pathBecomes } from "./measure-session.ts";
import type { Measurement } from "./measurement.ts";
import type { Pairing } from "./pairs.ts";

export interface EventMeasurement extends Measurement {
  /** From the event until calls were answered again and took the path that they should. Undefined when that never came. */
  readonly recoveredMs?: number;
}

/** Lets two peers meet, then lets something happen to them, and sees how long that hurts. */
export async function measureEvent(event: LabEvent, pairing: Pairing): Promise<EventMeasurement> {
  const { topology, before, after, afterByOursAlone = false, patienceMs = 40_000 } = event;
  const cell = { name: event.name, about: event.about, topology, expected: before };
  await using session = await LabSession.open(cell, pairing);
  const settled =
    (await firstAnswer(session)) && (await pathBecomes(session, before, settleTimeoutMs));
  if (!settled) {
    return await concludeSession(session, { expected: before });
  }
  await sleep(settleMs);
  const ours = hostNames.filter((host) => pairing[host] === "ours");
  const ends = afterByOursAlone && ours.length > 0 ? ours : hostNames;
  const struckAt = monotonicNow();
  let over = false;
  const strike = event.strike(session).then(() => {
    over = true;
  });
  const [recoveredAt] = await Promise.all([
    recovery(session, { until: struckAt + patienceMs, path: after, ends, isOver: () => over }),
    strike,
  ]);
  const measurement = await concludeSession(session, { expected: after, ends, since: struckAt });
  return recoveredAt === undefined
    ? measurement
    : { ...measurement, recoveredMs: recoveredAt - struckAt };
}

interface RecoveryOptions {
  readonly path: PathKind;
  /** Who is to send by it. */
  readonly ends: readonly HostName[];
  readonly until: number;
  /** Whether what happens has happened. */
  readonly isOver: () => boolean;
}

/** Since when all has been well, once it has been for long enough; undefined when that does not come in time. */
async function recovery(
  session: LabSession,
  { path, ends, until, isOver }: RecoveryOptions,
): Promise<number | undefined> {
  const { peers } = session;
  const { a } = peers;
  let wellSince: number | undefined;
  let overSince: number | undefined;
  for (;;) {
    const now = monotonicNow();
    const calls = a.last("calls");
    const waitingSince = Math.min(
      calls?.calls.waitingSince ?? now,
      calls?.messages.waitingSince ?? now,
    );
    const takePath = ends.every((host) => peers[host].last("path")?.kind === path);
    const isWell = now - waitingSince < callPatienceMs && takePath;
    wellSince = isWell ? (wellSince ?? now) : undefined;
    overSince ??= isOver() ? now : undefined;
    if (now - Math.max(wellSince ?? now, overSince ?? now) > calmMs) {
      return wellSince;
    }
    if (now > until || a.last("lost") !== undefined) {
      return undefined;
    }
    await sleep(lookIntervalMs);
  }
}

const settleTimeoutMs = 10_000;
const settleMs = 1_500;
const callPatienceMs = 800;
/** Longer than what a dead path can hide behind calls that are young yet. */
const calmMs = 4_000;
const lookIntervalMs = 50;
