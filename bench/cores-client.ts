// A client of bench/cores.ts: calls as many at a time as it is told, over a connection for each server.

import { once } from "node:events";
import { createInterface } from "node:readline";
import { createClient } from "@connectrpc/connect";
import { EchoService } from "../gen/echo/v1/echo_pb.ts";
import { createQuicTransport, Endpoint } from "../src/index.ts";

/** A line of stdin. */
export interface CoresCommand {
  readonly ticket: string;
  readonly message: string;
  readonly callers: number;
  readonly durationMs: number;
}

export interface CoresAnswer {
  readonly calls: number;
  readonly ms: number;
}

const clients = new Map<string, ReturnType<typeof connect>>();
function connect(ticket: string) {
  const endpoint = Endpoint.bind({ bind: "127.0.0.1:0" });
  return endpoint.then((endpoint) =>
    createClient(EchoService, createQuicTransport({ endpoint, to: ticket })),
  );
}

console.log("{}");
const lines = createInterface(process.stdin);
lines.on("line", async (line) => {
  const { ticket, message, callers, durationMs }: CoresCommand = JSON.parse(line);
  const client = await (clients.get(ticket) ?? connect(ticket));
  clients.set(ticket, Promise.resolve(client));
  let calls = 0;
  const start = performance.now();
  const caller = async (): Promise<void> => {
    while (performance.now() - start < durationMs) {
      await client.echo({ message });
      calls += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  console.log(JSON.stringify({ calls, ms: performance.now() - start }));
});
await once(lines, "close");
process.exit();
