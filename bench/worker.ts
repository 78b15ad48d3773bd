// The two processes of a contestant. They talk to the runner over IPC, and end when it disconnects.
//
//   worker.ts server <contestant> <conditions>
//   worker.ts client <contestant> <conditions> <address>

import type { Conditions } from "./contestant.ts";
import { loadContestant } from "./registry.ts";
import { type Task, type TaskResult, TaskRunner } from "./tasks.ts";
import { readUsage, type Usage } from "./usage.ts";

export type Question = { readonly type: "usage" } | { readonly type: "task"; readonly task: Task };

export type Answer =
  /** The first message; a server says where it is, a client how long after its start it had made its first call. */
  | { readonly type: "ready"; readonly address: string; readonly milliseconds: number }
  | { readonly type: "usage"; readonly usage: Usage }
  | { readonly type: "result"; readonly result: TaskResult }
  | { readonly type: "failed"; readonly message: string };

const [role, name = "", conditionsJson = "", address = ""] = process.argv.slice(2);
const conditions: Conditions = JSON.parse(conditionsJson);
// Ctrl-C reaches all processes of a terminal; the runner sees to it that these end.
process.on("SIGINT", () => {});
try {
  const contestant = await loadContestant(name);
  if (role === "server") {
    const server = await contestant.serve(conditions);
    listen(() => server.close());
    say({ type: "ready", address: server.address, milliseconds: performance.now() });
  } else {
    const runner = await TaskRunner.connect(contestant, address, conditions);
    const milliseconds = performance.now();
    listen(() => runner.close(), runner);
    say({ type: "ready", address, milliseconds });
  }
} catch (error) {
  say({ type: "failed", message: messageOf(error) });
}

function listen(close: () => Promise<void>, runner?: TaskRunner): void {
  process.once("disconnect", () => {
    // Whatever happens meanwhile, nobody waits for this process any more.
    setTimeout(() => process.exit(), 2_000).unref();
    void close().finally(() => process.exit());
  });
  process.on("message", (question: Question) => {
    void answer(question, runner)
      .catch((error: unknown): Answer => ({ type: "failed", message: messageOf(error) }))
      .then(say);
  });
}

async function answer(question: Question, runner: TaskRunner | undefined): Promise<Answer> {
  if (question.type === "usage") {
    return { type: "usage", usage: await readUsage() };
  }
  if (runner === undefined) {
    throw new Error("a server has no tasks");
  }
  return { type: "result", result: await runner.run(question.task) };
}

function say(answer: Answer): void {
  if (process.connected) {
    process.send?.(answer);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
