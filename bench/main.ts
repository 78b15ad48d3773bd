// `npm run bench`: contestants in turn, each between two processes on loopback.

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { renderChart } from "./chart.ts";
import { compileWorker } from "./compile.ts";
import { canIsolate } from "./pair.ts";
import { type Entrant, makePlan } from "./plan.ts";
import { createProgress } from "./progress.ts";
import { baseline, contestants, loadContestant } from "./registry.ts";
import type { Report } from "./report.ts";
import { run } from "./runner.ts";
import { formatReport } from "./table.ts";
import { formatTargets } from "./targets.ts";
import { fullEffort, quickEffort } from "./workload.ts";
import { workloads } from "./workloads.ts";

const usage = `Usage: npm run bench -- [options]

Lets contestants do the same, each between two processes on loopback, by turns in rounds, and prints medians over the
rounds and how they compare with ${baseline}. Leave the machine alone meanwhile. It takes half an hour; what is chosen
by name takes less.

Options
  --quick               short rounds, one of each: shows that all run, not how fast; fails when one does not
  --contestant <name>   only these; may be given several times, and end with * for all that begin so
  --workload <text>     only workloads whose name contains the text; may be given several times
  --rounds <n>          rounds that count (default 5, quick 1)
  --warmups <n>         rounds before those (default 2, quick 0)
  --node-option <flag>  for the processes of the contestants, such as --cpu-prof; may be given several times
  --output <file>       where to write all values as JSON (default .cache/bench.json)
  --chart <file>        where to write a chart as SVG (default none)
  --from <file>         measure nothing, but show what is in such a JSON file
  --help

Contestants
${Object.keys(contestants)
  .map((name) => `  ${name}`)
  .join("\n")}

Workloads
${workloads.map(({ name, metrics }) => `  ${name}: ${metrics.map((metric) => `${metric.name} in ${metric.unit}`).join(", ")}`).join("\n")}
`;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    contestant: { type: "string", multiple: true, default: ["*"] },
    workload: { type: "string", multiple: true, default: [""] },
    rounds: { type: "string" },
    warmups: { type: "string" },
    "node-option": { type: "string", multiple: true, default: [] },
    output: { type: "string", default: ".cache/bench.json" },
    chart: { type: "string" },
    from: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
const root = fileURLToPath(new URL("..", import.meta.url));

if (options.help) {
  console.log(usage);
} else {
  await main();
}

async function main(): Promise<void> {
  process.chdir(root);
  const report: Report =
    options.from === undefined ? await measure() : JSON.parse(readFileSync(options.from, "utf8"));
  if (options.from === undefined) {
    save(options.output, `${JSON.stringify(report, null, 1)}\n`);
  }
  if (options.chart !== undefined) {
    save(options.chart, renderChart(report));
  }
  console.log(formatReport(report));
  if (!options.quick) {
    console.log(`\n${formatTargets(report)}`);
  }
  process.exitCode = report.gaps.some(({ failed }) => failed === true) ? 1 : 0;
}

async function measure(): Promise<Report> {
  // The processes of the contestants end with this one, however it ends.
  for (const [signal, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, () => process.exit(code));
  }
  const program = compileWorker(root);
  const entrants = await enter(chosenContestants());
  const chosen = workloads.filter(({ name }) =>
    options.workload.some((text) => name.includes(text)),
  );
  const plan = makePlan(entrants, chosen, await canIsolate());
  const effort = options.quick ? quickEffort : fullEffort;
  const rounds = Number(options.rounds ?? (options.quick ? 1 : 5));
  const warmups = Number(options.warmups ?? (options.quick ? 0 : 2));
  const { results, failures } = await run(plan, {
    program,
    effort,
    rounds,
    warmups,
    share: options.quick,
    nodeOptions: options["node-option"],
    progress: createProgress(process.stderr),
  });
  return {
    date: new Date().toISOString(),
    commit: commit(),
    node: process.version,
    machine: `${cpus().length} × ${cpus()[0]?.model.trim() ?? "unknown processor"}, ${process.platform}`,
    rounds,
    effort,
    baseline,
    contestants: entrants.flatMap(({ name, contestant }) =>
      contestant === undefined
        ? []
        : [{ name, title: contestant.title, carries: contestant.carries }],
    ),
    results,
    gaps: [...plan.gaps, ...failures],
  };
}

function chosenContestants(): string[] {
  return Object.keys(contestants).filter((name) =>
    options.contestant.some((wish) =>
      wish.endsWith("*") ? name.startsWith(wish.slice(0, -1)) : name === wish,
    ),
  );
}

async function enter(names: readonly string[]): Promise<Entrant[]> {
  const entrants: Entrant[] = [];
  for (const name of names) {
    const contestant = await loadContestant(name);
    const absent = await contestant.prepare?.();
    entrants.push(absent === undefined ? { name, contestant } : { name, absent });
  }
  return entrants;
}

function save(file: string, content: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
  console.error(`wrote ${file}`);
}

function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync("git", args, { encoding: "utf8" }).trim();
    const dirty = git("status", "--porcelain", "--untracked-files=no") === "" ? "" : ", changed";
    return `${git("rev-parse", "--short", "HEAD")}${dirty}`;
  } catch {
    return "unknown";
  }
}
