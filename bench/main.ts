// `npm run bench`: the same calls by several contestants in turn, each between two processes on loopback.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { dirname, resolve } from "node:path";
import { parseArgs } from "node:util";
import { cases, type Effort } from "./cases.ts";
import { contestantNames, loadContestant } from "./contestant.ts";
import { type Pair, startPair } from "./processes.ts";
import {
  type CaseResult,
  formatTable,
  median,
  parseRequirement,
  type Report,
  unmet,
} from "./report.ts";

const usage = `Usage: npm run bench -- [options]

Lets several contestants make the same calls, each between two processes on loopback, in rounds by turns, and prints
medians over the rounds with the least and the greatest. Leave the machine alone meanwhile.

Options
  --quick                short rounds and few of them: shows that it works, not how fast it is
  --case <text>          only cases whose name contains the text; may be given several times
  --contestant <name>    only these; may be given several times (${contestantNames.join(", ")})
  --rounds <n>           rounds that count (default 7, quick 3), after those that warm up
  --require <case>:<ratio>
                         exit code 1 unless the first contestant needs at most so many times what the second one needs,
                         or of a rate has at least so many times the other's; may be given several times, like
                         --require "echo of 100 B, one at a time:0.5"
  --output <file>        where to write all values as JSON (default .cache/bench.json)
  --help

Cases
${cases.map(({ name, unit }) => `  ${name}, in ${unit}`).join("\n")}
`;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    case: { type: "string", multiple: true },
    contestant: { type: "string", multiple: true, default: [...contestantNames] },
    rounds: { type: "string" },
    require: { type: "string", multiple: true, default: [] },
    output: { type: "string", default: ".cache/bench.json" },
    help: { type: "boolean", default: false },
  },
});
const requirements = options.require.flatMap((text) => {
  const found = parseRequirement(
    text,
    cases.map(({ name }) => name),
  );
  return found === undefined ? [] : [found];
});
if (options.help) {
  console.log(usage);
} else if (requirements.length < options.require.length) {
  console.error(`--require: expected <case>:<ratio> with the name of a case\n\n${usage}`);
  process.exitCode = 2;
} else {
  await main();
}

async function main(): Promise<void> {
  const rounds = Number(options.rounds ?? (options.quick ? 3 : 7));
  // It takes seconds until Node.js has compiled what is called often, of either contestant.
  const warmups = options.quick ? 1 : 4;
  const effort: Effort = options.quick
    ? { milliseconds: 300, bytes: 8 * 1_048_576 }
    : { milliseconds: 1_000, bytes: 64 * 1_048_576 };
  const chosen = cases.filter(
    ({ name }) =>
      requirements.some(({ caseName }) => caseName === name) ||
      (options.case?.some((text) => name.includes(text)) ?? true),
  );
  const report = { date: new Date().toISOString(), commit: commit(), node: process.version };
  const machine = `${cpus().length} × ${cpus()[0]?.model ?? "unknown processor"}, ${process.platform}`;

  console.log(`Node ${process.version}, ${machine}, commit ${report.commit}`);
  const pairs: Pair[] = [];
  try {
    for (const name of options.contestant) {
      console.log(`${name}: ${(await loadContestant(name)).title}`);
      pairs.push(await startPair(name));
    }
    const results: CaseResult[] = [];
    for (const { name, unit } of chosen) {
      process.stdout.write(`\n${name} `);
      results.push({
        name,
        unit,
        series: await playCase(pairs, name, effort, { warmups, rounds }),
      });
    }
    const note = "of times (us) less is better, of rates more";
    console.log(`\n\nmedian of ${rounds} rounds (least–greatest); ${note}\n`);
    console.log(`${formatTable(results)}\n`);
    save({
      ...report,
      machine,
      effort: { ...effort, rounds },
      cases: results.map((result) => ({ ...result, medians: mediansOf(result) })),
    });
    for (const line of unmet(requirements, results)) {
      console.error(line);
      process.exitCode = 1;
    }
  } finally {
    for (const pair of pairs) {
      pair.close();
    }
  }
}

/** Rounds of each contestant to warm up, then the rounds that count. */
async function playCase(
  pairs: readonly Pair[],
  caseName: string,
  effort: Effort,
  { warmups, rounds }: { readonly warmups: number; readonly rounds: number },
): Promise<CaseResult["series"]> {
  const series = pairs.map(({ name }) => ({
    contestant: name,
    values: [] as number[],
    p99s: [] as number[],
  }));
  for (let round = -warmups; round < rounds; round++) {
    for (const [index, pair] of pairs.entries()) {
      const { value, p99 } = await pair.play({ caseName, effort });
      if (round >= 0) {
        series[index]?.values.push(value);
        if (p99 !== undefined) {
          series[index]?.p99s.push(p99);
        }
      }
    }
    process.stdout.write(".");
  }
  return series;
}

function mediansOf({ series }: CaseResult): Record<string, number> {
  return Object.fromEntries(series.map(({ contestant, values }) => [contestant, median(values)]));
}

function save(report: Report): void {
  const file = resolve(options.output);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  console.log(`all values: ${options.output}`);
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}
