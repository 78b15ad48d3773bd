// The NAT laboratory: lets peers meet in networks of all kinds, ours and real iroh's, and prints how they fared.

import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import type { LabStep } from "./lab/lab-steps.ts";
import { missingRequirement } from "./lab/requirements.ts";
import { prepareDirectory, prepareRelay, prepareStun } from "./lab/services.ts";
import { startWatchdog } from "./lab/start-watchdog.ts";
import { sweepLeftovers, sweepRun } from "./lab/sweep.ts";
import { cells } from "./matrix/cells.ts";
import { labEvents } from "./matrix/events.ts";
import { cellTable, eventTable, type MatrixResult, problemLines } from "./matrix/matrix-table.ts";
import { measureCell } from "./matrix/measure-cell.ts";
import { type EventMeasurement, measureEvent } from "./matrix/measure-event.ts";
import type { Measurement } from "./matrix/measurement.ts";
import { type PairName, pairNames, pairs } from "./matrix/pairs.ts";
import { measureReverse } from "./reverse/measure-reverse.ts";
import { measureWorkers } from "./workers/measure-workers.ts";

/** An exit code of its own, the one that test harnesses take for "skipped". */
const cannotRun = 77;

const usage = `Usage: npm run test:nat -- [options]

Builds networks out of Linux network namespaces, with NAT, a relay and a STUN server, lets two peers call each other in
them, and prints a table: time to the first answer and to a direct path, how long nothing was answered when something
happened, calls lost. Beside our peers stand those of real iroh. Needs root.

Options, each may be given several times; without --cell, --event, --workers and --reverse: all of it
  --cell <name>      a network
  --event <name>     something that happens to a connection in use
  --workers          two of connect-quic worker behind NATs: paired at a place of rendezvous, over a relay and then
                     directly, with chat and a benchmark, until one is killed; goes with --pair ours-ours
  --reverse          examples/reverse: a device behind a NAT that a hub calls, and another hub with its key; goes with
                     --pair ours-ours
  --pair <a-b>       who dials whom: ${pairNames.join(", ")}
  --repeat <n>       measure so often, print medians (default 1)
  --jobs <n>         networks at a time (default: one per core, at most 2)
  --no-skips         where it cannot run, that is a failure
  --list             print the names and stop
  --help

The exit code is 1 when a pair with one of ours lost a call or did not take the path that it should have, or when two of
ours had no answer for 10 s, and ${cannotRun} where the laboratory cannot run. How long anything else took is only printed.
What was measured goes to .cache/nat.json as well.
`;

const { values: options } = parseArgs({
  options: {
    cell: { type: "string", multiple: true },
    event: { type: "string", multiple: true },
    workers: { type: "boolean", default: false },
    reverse: { type: "boolean", default: false },
    pair: { type: "string", multiple: true },
    repeat: { type: "string", default: "1" },
    jobs: { type: "string" },
    "no-skips": { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (options.help) {
  console.log(usage);
} else if (options.list) {
  list();
} else {
  process.exitCode = await main();
}

function list(): void {
  for (const { name, about } of cells) {
    console.log(`cell   ${name.padEnd(24)}${about}`);
  }
  for (const { name, about } of labEvents) {
    console.log(`event  ${name.padEnd(24)}${about}`);
  }
}

/** Resolves with the exit code. */
async function main(): Promise<number> {
  const programsAlone = options.workers || options.reverse;
  const all = options.cell === undefined && options.event === undefined && !programsAlone;
  const chosenCells = choose("cell", cells, options.cell ?? (all ? undefined : []));
  const chosenEvents = choose("event", labEvents, options.event ?? (all ? undefined : []));
  const chosenPairs = choose(
    "pair",
    pairNames.map((name) => ({ name })),
    options.pair,
  ).map(({ name }) => name);
  const missing =
    (await missingRequirement()) ?? prepareRelay() ?? prepareDirectory() ?? (await prepareStun());
  if (missing !== undefined) {
    console.log(`skipped, the NAT laboratory cannot run here: ${missing}`);
    return options["no-skips"] ? 1 : cannotRun;
  }
  const swept = await sweepLeftovers();
  if (swept > 0) {
    console.log(`removed ${swept} namespaces that killed runs had left`);
  }
  startWatchdog();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      void sweepRun(process.pid).finally(() => process.exit(1));
    });
  }

  const cellResults: MatrixResult[] = [];
  const eventResults: MatrixResult<EventMeasurement>[] = [];
  const programErrors: string[] = [];
  const withPrograms = all && chosenPairs.includes("ours-ours");
  const tasks = [
    ...(options.workers || withPrograms
      ? [() => runPrograms("workers", measureWorkers, programErrors)]
      : []),
    ...(options.reverse || withPrograms
      ? [() => runPrograms("reverse", measureReverse, programErrors)]
      : []),
    ...chosenCells.flatMap((cell) =>
      intersect(chosenPairs, cell.pairs).map((pair) => async () => {
        const result = await repeat(cell.name, pair, cell.expected, () =>
          measureCell(cell, pairs[pair]),
        );
        cellResults.push(result);
      }),
    ),
    ...chosenEvents.flatMap((event) =>
      chosenPairs.map((pair) => async () => {
        const after = event.afterByOursAlone ? `${event.after} (ours)` : event.after;
        const result = await repeat(event.name, pair, after, () =>
          measureEvent(event, pairs[pair]),
        );
        eventResults.push(result);
      }),
    ),
  ];
  const jobs = Number(options.jobs ?? Math.min(2, availableParallelism()));
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) {
        await task();
      }
    }),
  );

  if (cellResults.length > 0) {
    console.log(`\n${cellTable(inOrder(cellResults, chosenCells), chosenPairs)}`);
  }
  if (eventResults.length > 0) {
    console.log(`\n${eventTable(inOrder(eventResults, chosenEvents), chosenPairs)}`);
  }
  const results = [...cellResults, ...eventResults];
  console.log(["", ...problemLines(results), ...programErrors].join("\n"));
  await save({
    date: new Date().toISOString(),
    node: process.version,
    cells: cellResults,
    events: eventResults,
  });
  // How real iroh alone fares is for comparison.
  const ours = results.filter(({ pair, errors }) => pair !== "iroh-iroh" || errors.length > 0);
  return problemLines(ours).length + programErrors.length === 0 ? 0 : 1;
}

/** Prints how programs fared, as often as is wanted. What went wrong comes to `errors` as well. */
async function runPrograms(
  name: string,
  measure: () => Promise<readonly LabStep[]>,
  errors: string[],
): Promise<void> {
  for (let round = 0; round < Number(options.repeat); round++) {
    try {
      const steps = await measure();
      const lines = steps.map(({ what, ms }) => `  ${ms.toFixed(0).padStart(6)} ms  ${what}`);
      console.log([`${name}: ok`, ...lines].join("\n"));
    } catch (error) {
      errors.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
      console.log(errors.at(-1));
    }
  }
}

/** Those with the names; all where no name is given. Ends the process for a name that there is not. */
function choose<T extends { readonly name: string }>(
  what: string,
  things: readonly T[],
  names: readonly string[] | undefined,
): readonly T[] {
  const wrong = names?.find((name) => !things.some((thing) => thing.name === name));
  if (wrong !== undefined) {
    console.error(`no ${what} ${wrong}: there are ${things.map(({ name }) => name).join(", ")}`);
    process.exit(2);
  }
  return things.filter(({ name }) => names?.includes(name) ?? true);
}

function intersect(chosen: readonly PairName[], possible = pairNames): readonly PairName[] {
  return chosen.filter((pair) => possible.includes(pair));
}

async function repeat<M extends Measurement>(
  name: string,
  pair: PairName,
  expected: string,
  measure: () => Promise<M>,
): Promise<MatrixResult<M>> {
  const measurements: M[] = [];
  const errors: string[] = [];
  for (let round = 0; round < Number(options.repeat); round++) {
    const startedAt = performance.now();
    let outcome = "ok";
    try {
      const measurement = await measure();
      measurements.push(measurement);
      outcome = measurement.problems.join("; ") || outcome;
    } catch (error) {
      errors.push(error instanceof Error ? error.message : String(error));
      outcome = errors.at(-1) ?? outcome;
    }
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    console.log(`${name}, ${pair}: ${outcome} (${seconds} s)`);
  }
  return { name, pair, expected, measurements, errors };
}

/** As they are listed, not as they ended. */
function inOrder<R extends MatrixResult>(
  results: readonly R[],
  things: readonly { readonly name: string }[],
): R[] {
  return things.flatMap(({ name }) => results.filter((result) => result.name === name));
}

async function save(results: object): Promise<void> {
  const folder = fileURLToPath(new URL("../../.cache/", import.meta.url));
  await mkdir(folder, { recursive: true });
  await writeFile(`${folder}nat.json`, `${JSON.stringify(results, null, 2)}\n`);
}
