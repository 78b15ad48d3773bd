// Starts the two processes of a contestant and puts questions to its client.

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Outcome } from "./cases.ts";
import type { Ready, RoundRequest, RoundResponse } from "./worker.ts";

/** A server process and a client process that is connected to it. */
export interface Pair {
  readonly name: string;
  /** Plays one round; rejects when a call fails or a process ends. */
  play(request: RoundRequest): Promise<Outcome>;
  close(): void;
}

export async function startPair(name: string): Promise<Pair> {
  const server = start(["server", name]);
  const { address } = await nextMessage<Ready>(server, name);
  const client = start(["client", name, address]);
  await nextMessage<Ready>(client, name);
  return {
    name,
    async play(request) {
      client.send(request);
      const response = await nextMessage<RoundResponse>(client, name);
      if (response.type === "failed") {
        throw new Error(`${name}, ${request.caseName}: ${response.message}`);
      }
      return response.outcome;
    },
    close() {
      client.disconnect();
      server.disconnect();
    },
  };
}

function start(args: string[]): ChildProcess {
  return fork(fileURLToPath(new URL("worker.ts", import.meta.url)), args, {
    execArgv: ["--import=tsx"],
  });
}

function nextMessage<T>(child: ChildProcess, name: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null): void =>
      reject(new Error(`a process of ${name} ended with exit code ${code}`));
    child.once("exit", ended);
    child.once("message", (message) => {
      child.off("exit", ended);
      resolve(message as T);
    });
  });
}
