import { setTimeout as sleep } from "node:timers/promises";
import type { Cell } from "./cells.ts";
import { LabSession } from "./lab-session.ts";
import { concludeSession, firstAnswer, pathBecomes } from "./measure-session.ts";
import type { Measurement } from "./measurement.ts";
import type { Pairing } from "./pairs.ts";

/** Lets two peers meet in a cell and stay until it is clear which way their packets go. */
export async function measureCell(cell: Cell, pairing: Pairing): Promise<Measurement> {
  await using session = await LabSession.open(cell, pairing);
  if (await firstAnswer(session)) {
    if (cell.expected === "direct") {
      await pathBecomes(session, "direct", directTimeoutMs);
      await sleep(settleMs);
    } else {
      // That no direct path comes is only to be seen by waiting for it.
      await sleep(relayOnlyMs);
    }
  }
  return await concludeSession(session, { expected: cell.expected });
}

const directTimeoutMs = 10_000;
const settleMs = 1_000;
const relayOnlyMs = 5_000;
