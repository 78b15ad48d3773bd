// One server process with the router on its main thread, and on one and more workers: calls per second, and what each of its
// threads spends on a call. Linux alone, for /proc.

import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { CoresAnswer, CoresCommand } from "./cores-client.ts";
import { LineProcess } from "./line-process.ts";
import { median } from "./statistics.ts";

const usage = `Usage: node --import tsx bench/cores.ts [options]

Calls a server by turns that serves on its main thread (0 workers), and on workers. Prints calls per second, processor time
of the server's threads for each call, and how many calls that leaves room for where every thread has a core of its own.

Options
  --workers <n,n>  (default 0,1,2)
  --rounds <n>     (default 7)
  --clients <n>    processes that call at the same time, each over a connection of its own (default 2)
  --callers <n>    calls at a time of each client (default 32)
  --ms <n>         length of a turn (default 1000)
  --help
`;

const { values } = parseArgs({
  options: {
    workers: { type: "string", default: "0,1,2" },
    rounds: { type: "string", default: "7" },
    clients: { type: "string", default: "2" },
    callers: { type: "string", default: "32" },
    ms: { type: "string", default: "1000" },
    help: { type: "boolean", default: false },
  },
});

const workloads = [
  { name: "echo of 100 B", message: "x".repeat(100) },
  { name: "echo of 100 B whose handler hashes 64 KiB", message: "work".padEnd(100) },
];

interface Server {
  readonly count: number;
  readonly process: LineProcess<CoresCommand>;
  readonly ticket: string;
  readonly main: number;
  readonly workers: readonly number[];
}

/** Of one turn; processor time in us for each call. */
interface Turn {
  readonly rate: number;
  readonly main: number;
  readonly workers: number;
  /** Of Node.js itself: collecting garbage, compiling. */
  readonly others: number;
}

async function main(): Promise<void> {
  if (values.help) {
    console.log(usage);
    return;
  }
  const servers = await Promise.all(values.workers.split(",").map(Number).map(startServer));
  const clients = Array.from(
    { length: Number(values.clients) },
    () => new LineProcess<CoresCommand>("./cores-client.ts"),
  );
  await Promise.all(clients.map((client) => client.read()));
  console.log(
    `Node.js ${process.versions.node}, ${availableParallelism()} cores for the server and ${values.clients} clients ` +
      `with ${values.callers} calls at a time each; medians of ${values.rounds} rounds by turns`,
  );
  for (const { name, message } of workloads) {
    const turns = new Map<Server, Turn[]>(servers.map((server) => [server, []]));
    for (let round = -1; round < Number(values.rounds); round += 1) {
      for (const [server, list] of turns) {
        const turn = await takeTurn(server, clients, message);
        // The first one warms up.
        if (round >= 0) {
          list.push(turn);
        }
      }
    }
    console.log(`\n${name}`);
    console.table([...turns].map(([{ count }, list]) => rowOf(count, list)));
  }
  await Promise.all(
    [...clients, ...servers.map((server) => server.process)].map((each) => each.end()),
  );
}

async function startServer(count: number): Promise<Server> {
  const process = new LineProcess<CoresCommand>("./cores-server.ts", [String(count)]);
  const greeting: Omit<Server, "count" | "process"> = await process.read();
  return { count, process, ...greeting };
}

async function takeTurn(
  server: Server,
  clients: readonly LineProcess<CoresCommand>[],
  message: string,
): Promise<Turn> {
  const { ticket } = server;
  const callers = Number(values.callers);
  const before = spentBy(server);
  const answers = await Promise.all(
    clients.map((client) =>
      client.ask<CoresAnswer>({ ticket, message, callers, durationMs: Number(values.ms) }),
    ),
  );
  const after = spentBy(server);
  const calls = answers.reduce((sum, answer) => sum + answer.calls, 0);
  const each = (thread: number): number =>
    ((after.get(thread) ?? 0) - (before.get(thread) ?? 0)) / 1_000 / calls;
  const workers = server.workers.map(each);
  const all = [...after.keys()].reduce((sum, thread) => sum + each(thread), 0);
  const inWorkers = workers.reduce((sum, us) => sum + us, 0);
  return {
    rate: answers.reduce((sum, { calls, ms }) => sum + calls / (ms / 1_000), 0),
    main: each(server.main),
    workers: inWorkers,
    others: all - inWorkers - each(server.main),
  };
}

/** Nanoseconds on a processor, by thread. */
function spentBy({ main }: Server): Map<number, number> {
  const folder = `/proc/${main}/task`;
  return new Map(
    readdirSync(folder).map((thread) => {
      const [spent] = readFileSync(`${folder}/${thread}/schedstat`, "utf8").split(" ");
      return [Number(thread), Number(spent)];
    }),
  );
}

function rowOf(workers: number, turns: readonly Turn[]): Record<string, number> {
  const of = (pick: (turn: Turn) => number): number => median(turns.map(pick));
  const main = of((turn) => turn.main);
  const perWorker = workers === 0 ? 0 : of((turn) => turn.workers) / workers;
  return {
    workers,
    "calls/s": Math.round(of((turn) => turn.rate)),
    "main us/call": round(main),
    "all workers us/call": round(of((turn) => turn.workers)),
    "rest us/call": round(of((turn) => turn.others)),
    // The thread that is busy first is the limit.
    "calls/s that the threads have time for": Math.round(1e6 / Math.max(main, perWorker)),
  };
}

function round(us: number): number {
  return Math.round(us * 10) / 10;
}

await main();
