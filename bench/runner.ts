import type { Conditions } from "./contestant.ts";
import { Pair, type PairOptions } from "./pair.ts";
import type { Gap, Plan } from "./plan.ts";
import type { Result } from "./report.ts";
import type { Effort, Workload } from "./workload.ts";

export interface RunOptions extends Pick<PairOptions, "program" | "nodeOptions"> {
  readonly effort: Effort;
  /** That count. */
  readonly rounds: number;
  /** Before those, on processes that several workloads share. */
  readonly warmups: number;
  /** Saves time where values do not matter: even those workloads share processes that want fresh ones. */
  readonly share: boolean;
  /** Told of each round before it is played. */
  readonly progress: (workload: string, now: string) => void;
}

/**
 * Plays all workloads, the contestants in turn in each round. A contestant that fails is out of the workload, which is
 * among the gaps then.
 */
export async function run(
  plan: Plan,
  options: RunOptions,
): Promise<{ readonly results: readonly Result[]; readonly failures: readonly Gap[] }> {
  const stage = new Stage(options);
  const results: Result[] = [];
  const failures: Gap[] = [];
  try {
    for (const [index, { workload, players }] of plan.steps.entries()) {
      const title = `${index + 1}/${plan.steps.length} ${workload.name}`;
      const played = await playWorkload(stage, workload, players, options, title);
      results.push(...played.results);
      failures.push(...played.failures);
    }
  } finally {
    stage.close();
  }
  return { results, failures };
}

async function playWorkload(
  stage: Stage,
  workload: Workload,
  players: readonly string[],
  { effort, rounds, warmups, progress }: RunOptions,
  title: string,
): Promise<{ readonly results: readonly Result[]; readonly failures: readonly Gap[] }> {
  const results = workload.metrics.map((metric) => ({
    workload: workload.name,
    metric,
    series: players.map((contestant) => ({ contestant, values: [] as number[] })),
  }));
  const failures: Gap[] = [];
  for (let round = workload.processes === "fresh" ? 0 : -warmups; round < rounds; round++) {
    for (const [index, contestant] of players.entries()) {
      if (failures.some((gap) => gap.contestant === contestant)) {
        continue;
      }
      progress(title, `${round < 0 ? "warm-up" : `round ${round + 1}`}, ${contestant}`);
      try {
        const values = await stage.play(workload, contestant, effort);
        if (round >= 0) {
          results.forEach(({ series }, metric) => {
            series[index]?.values.push(values[metric] ?? Number.NaN);
          });
        }
      } catch (error) {
        const reason = `failed: ${error instanceof Error ? error.message : error}`;
        failures.push({ contestant, workload: workload.name, reason, failed: true });
      }
    }
  }
  return { results, failures };
}

/** The processes that are there. */
class Stage {
  readonly #options: RunOptions;
  readonly #pairs = new Map<string, Pair>();

  constructor(options: RunOptions) {
    this.#options = options;
  }

  async play(workload: Workload, contestant: string, effort: Effort): Promise<readonly number[]> {
    const { conditions, processes } = workload;
    if (processes === "fresh" && !this.#options.share) {
      const pair = await this.#start(contestant, conditions, {
        isolated: false,
        nodeOptions: ["--expose-gc"],
      });
      try {
        return await workload.measure(pair, effort);
      } finally {
        pair.close();
      }
    }
    const isolated = processes === "isolated";
    const key = JSON.stringify([contestant, conditions, isolated]);
    let pair = this.#pairs.get(key);
    if (pair === undefined) {
      pair = await this.#start(contestant, conditions, { isolated, nodeOptions: [] });
      this.#pairs.set(key, pair);
      await this.#warmUp(pair);
    }
    try {
      return await workload.measure(pair, effort);
    } catch (error) {
      // Whatever state it is in, others begin anew.
      this.#pairs.delete(key);
      pair.close();
      throw error;
    }
  }

  close(): void {
    for (const pair of this.#pairs.values()) {
      pair.close();
    }
    this.#pairs.clear();
  }

  /** Else whoever has most code is the slowest for seconds, and the first workload shows only that. */
  async #warmUp(pair: Pair): Promise<void> {
    const { warmupMilliseconds: milliseconds } = this.#options.effort;
    if (milliseconds > 0) {
      for (const callers of [32, 1]) {
        await pair.play({ type: "call", bytes: 100, callers, milliseconds: milliseconds / 2 });
      }
    }
  }

  #start(
    contestant: string,
    conditions: Conditions,
    { isolated, nodeOptions }: Pick<PairOptions, "isolated" | "nodeOptions">,
  ): Promise<Pair> {
    const { program } = this.#options;
    const options = [...this.#options.nodeOptions, ...nodeOptions];
    return Pair.start({ contestant, conditions, program, isolated, nodeOptions: options });
  }
}
