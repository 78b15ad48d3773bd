// The hub of bench/reverse.ts: calls the peers that have dialed it, as lines of its stdin tell it. Says on its first line that
// it listens.

import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { EchoService } from "../gen/echo/v1/echo_pb.ts";
import { createPeerRouter, Endpoint, SecretKey } from "../src/index.ts";
import { holdings } from "../test/support/holdings.ts";
import { answerLines } from "./line-process.ts";
import {
  type Arrivals,
  type CallsOutcome,
  callInTurns,
  echoCall,
  type HubCommand,
  type HubUsage,
  processorMs,
} from "./reverse-calls.ts";

const [key = "", bind = ""] = process.argv.slice(2);
const endpoint = await Endpoint.bind({ secretKey: SecretKey.parse(key), bind });
const listeningMs = performance.now();
const arrivedMs: number[] = [];
const router = createPeerRouter(endpoint);
router.peers.onOpened(() => arrivedMs.push(performance.now() - listeningMs));
router.service(EchoService, { echo: ({ message }) => ({ message }) });
console.log("{}");
await answerLines(obey);

async function obey(command: HubCommand): Promise<unknown> {
  switch (command.type) {
    case "call":
      return await call(command);
    case "await":
      return await arrivals(command);
    case "usage":
      return usage(command);
    case "stop":
      await router.close({ graceMs: 1_000 });
      return await endpoint.close();
    default:
      return command satisfies never;
  }
}

/** One call of each peer after the other, so that calls that are under way at a time are spread over many. */
async function call({
  each,
  atOnce,
  of,
}: HubCommand & { readonly type: "call" }): Promise<CallsOutcome> {
  const clients = [...router.peers]
    .filter(({ id }) => of === undefined || id.toString() === of)
    .map((peer) => createClient(EchoService, peer.transport()));
  const calls = Array.from({ length: each }, (_, number) =>
    clients.map((client) => echoCall(client, number)),
  );
  return await callInTurns(calls.flat(), atOnce);
}

async function arrivals({
  peers,
  timeoutMs,
}: HubCommand & { readonly type: "await" }): Promise<Arrivals> {
  const untilMs = performance.now() + timeoutMs;
  while (router.peers.size < peers && performance.now() < untilMs) {
    await sleep(10);
  }
  return { peers: router.peers.size, arrivedMs };
}

function usage({ collectGarbage }: HubCommand & { readonly type: "usage" }): HubUsage {
  const processor = processorMs();
  const { heap, external, engine } = collectGarbage
    ? holdings(endpoint)
    : { heap: 0, external: 0, engine: 0 };
  return {
    processorMs: processor,
    heldBytes: heap + external + engine,
    residentBytes: process.memoryUsage.rss(),
  };
}
