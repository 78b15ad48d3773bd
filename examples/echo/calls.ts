// Each way of calling, as a function that makes the calls and prints what came back and when.

import type { CallOptions } from "@connectrpc/connect";
import type { EchoClient } from "../../gen/echo/v1/echo_quic.ts";
import { formatMs, printRow } from "./terminal.ts";

export interface Calls {
  readonly client: EchoClient;
  readonly message: string;
  readonly count: number;
  readonly options: CallOptions;
}

/** One request, one answer. */
export async function unary({ client, message, count, options }: Calls): Promise<void> {
  for (let number = 1; number <= count; number++) {
    const start = performance.now();
    const answer = await client.echo({ message }, options);
    printRow("unary", JSON.stringify(answer.message), performance.now() - start);
  }
}

/** One request, many answers. */
export async function serverStream({ client, message, count, options }: Calls): Promise<void> {
  const start = performance.now();
  for await (const answer of client.repeat({ message, count }, options)) {
    printRow(
      "server stream",
      `${JSON.stringify(answer.message)} ${answer.number} of ${count}`,
      performance.now() - start,
    );
  }
}

/** Many requests, one answer. */
export async function clientStream({ client, message, count, options }: Calls): Promise<void> {
  async function* requests() {
    for (let number = 1; number <= count; number++) {
      yield { message: `${message} ${number}` };
    }
  }
  const start = performance.now();
  const answer = await client.collect(requests(), options);
  const messages = answer.messages.map((text) => JSON.stringify(text)).join(", ");
  printRow("client stream", messages, performance.now() - start);
}

/** Requests and answers in turn, all in one call: each request is sent when the answer to the one before is there. */
export async function conversation({ client, message, count, options }: Calls): Promise<void> {
  let sentAt = 0;
  let answered = (): void => {};
  async function* requests() {
    for (let number = 1; number <= count; number++) {
      const answer = new Promise<void>((resolve) => {
        answered = resolve;
      });
      sentAt = performance.now();
      yield { message: `${message} ${number}` };
      await answer;
    }
  }
  for await (const answer of client.converse(requests(), options)) {
    printRow("both ways", JSON.stringify(answer.message), performance.now() - sentAt);
    answered();
  }
}

/** Round trips of empty calls, and what came of them, also when Ctrl-C ends them early. */
export async function ping({ client, count, options }: Calls): Promise<void> {
  const times: number[] = [];
  // The first call dials.
  await client.echo({}, options);
  try {
    while (times.length < count) {
      const start = performance.now();
      await client.echo({}, options);
      times.push(performance.now() - start);
    }
  } finally {
    if (times.length > 0) {
      printStatistics(times);
    }
  }
}

function printStatistics(times: number[]): void {
  times.sort((a, b) => a - b);
  const at = (fraction: number): string =>
    formatMs(times[Math.min(times.length - 1, Math.floor(times.length * fraction))] ?? 0);
  console.log(
    `${times.length} calls: fastest ${at(0)}, median ${at(0.5)}, 95 % within ${at(0.95)}, slowest ${at(1)}`,
  );
}
