// The two processes of a contestant: `worker.ts server <contestant>` and `worker.ts client <contestant> <address>`.
// They talk to main.ts over IPC, and end when it disconnects.

import { type Case, cases, type Effort, type Outcome } from "./cases.ts";
import { type Caller, loadContestant } from "./contestant.ts";

/** What main.ts asks of a client. */
export interface RoundRequest {
  readonly caseName: string;
  readonly effort: Effort;
}

/** The first message of a worker; a server says where it is. */
export interface Ready {
  readonly type: "ready";
  readonly address: string;
}

/** What a client answers to a {@link RoundRequest}. */
export type RoundResponse =
  | { readonly type: "outcome"; readonly outcome: Outcome }
  | { readonly type: "failed"; readonly message: string };

const [role, name = "", address = ""] = process.argv.slice(2);
const contestant = await loadContestant(name);
if (role === "server") {
  const served = await contestant.serve();
  process.once("disconnect", () => void served.close().finally(() => process.exit()));
  send({ type: "ready", address: served.address });
} else {
  const caller = await contestant.dial(address);
  process.once("disconnect", () => void caller.close().finally(() => process.exit()));
  process.on("message", (request: RoundRequest) => void playRound(caller, request).then(send));
  send({ type: "ready", address });
}

async function playRound(caller: Caller, request: RoundRequest): Promise<RoundResponse> {
  try {
    const found = cases.find((entry: Case) => entry.name === request.caseName);
    if (found === undefined) {
      throw new Error(`no case ${request.caseName}`);
    }
    return { type: "outcome", outcome: await found.run(caller, request.effort) };
  } catch (error) {
    return { type: "failed", message: error instanceof Error ? error.message : String(error) };
  }
}

function send(message: Ready | RoundResponse): void {
  process.send?.(message);
}
