import type { Contestant } from "./contestant.ts";
import type { Workload } from "./workload.ts";

/** A contestant that has been made ready, or the reason why it cannot take part. */
export interface Entrant {
  readonly name: string;
  readonly contestant?: Contestant;
  readonly absent?: string;
}

/** Who does not do what, and why. */
export interface Gap {
  readonly contestant: string;
  /** Undefined: it does nothing at all. */
  readonly workload?: string;
  readonly reason: string;
  /** It should have. */
  readonly failed?: boolean;
}

export interface Plan {
  readonly steps: readonly { readonly workload: Workload; readonly players: readonly string[] }[];
  readonly gaps: readonly Gap[];
}

/** Who plays what. `cannotIsolate`: why there are no networks for single contestants on this machine. */
export function makePlan(
  entrants: readonly Entrant[],
  workloads: readonly Workload[],
  cannotIsolate: string | undefined,
): Plan {
  const gaps: Gap[] = entrants.flatMap(({ name, absent }) =>
    absent === undefined ? [] : [{ contestant: name, reason: absent }],
  );
  const steps = workloads.map((workload) => {
    const players: string[] = [];
    for (const { name, contestant } of entrants) {
      if (contestant === undefined) {
        continue;
      }
      const reason = whyNot(contestant, workload, cannotIsolate);
      if (reason === undefined) {
        players.push(name);
      } else {
        gaps.push({ contestant: name, workload: workload.name, reason });
      }
    }
    return { workload, players };
  });
  return { steps: steps.filter(({ players }) => players.length > 0), gaps };
}

function whyNot(
  { lacks = {} }: Contestant,
  { needs, processes }: Workload,
  cannotIsolate: string | undefined,
): string | undefined {
  const lacking = needs.find((ability) => lacks[ability] !== undefined);
  if (lacking !== undefined) {
    return lacks[lacking];
  }
  return processes === "isolated" ? cannotIsolate : undefined;
}
