// A place of bench/rendezvous.ts: tells on its first line where it is, and what it uses when it is asked.

import { Endpoint } from "../src/index.ts";
import { redisState } from "../src/rendezvous/redis/redis-state.ts";
import { RendezvousServer } from "../src/rendezvous/server/rendezvous-server.ts";
import { holdings } from "../test/support/holdings.ts";
import { createSelfSignedCertificate } from "../test/support/self-signed-certificate.ts";
import { answerLines } from "./line-process.ts";

/** Where a place is. */
export interface PlaceAddress {
  readonly url: string;
  /** PEM. */
  readonly cert: string;
  readonly ticket: string;
}

/** A line of stdin. */
export interface PlaceCommand {
  /** Whether memory is to be told, which takes a garbage collection. */
  readonly collect: boolean;
}

/** What a place has used and holds. */
export interface PlaceUsage {
  /** Processor time of all its threads, without what it has taken to tell. */
  readonly cpuMs: number;
  /** Of JavaScript and WebAssembly, after a garbage collection; 0 where it was not asked for. */
  readonly heldBytes: number;
  readonly residentBytes: number;
  /** What `/metrics` says. */
  readonly metrics: Readonly<Record<string, number>>;
}

const [redis = "", graceMs = ""] = process.argv.slice(2);
const { cert, key } = createSelfSignedCertificate();
const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
const server = await RendezvousServer.start({
  endpoint,
  listen: { host: "127.0.0.1", port: 0 },
  tls: { cert, key },
  ...(redis === "" ? {} : { state: redisState({ url: redis }) }),
  // All who are simulated are one caller to it: they have one address.
  limits: {
    registrationsPerSecond: 1_000_000,
    maxWatchesPerCaller: 10_000,
    ...(graceMs === "" ? {} : { graceMs: Number(graceMs) }),
  },
});
const address: PlaceAddress = { url: server.url, cert, ticket: endpoint.ticket().toString() };
console.log(JSON.stringify(address));

/** Of processor time: what it has taken to be asked. Milliseconds. */
let collectingMs = 0;

await answerLines(async ({ collect }: PlaceCommand): Promise<PlaceUsage> => {
  const cpuMs = processorMs() - collectingMs;
  const { heap = 0, external = 0, engine = 0 } = collect ? holdings(endpoint) : {};
  const page = await server.host.page("/metrics");
  const metrics = [...(page?.body ?? "").matchAll(/^rendezvous_(\w+) (\d+)$/gm)];
  collectingMs += collect ? processorMs() - collectingMs - cpuMs : 0;
  return {
    cpuMs,
    heldBytes: heap + external + engine,
    residentBytes: process.memoryUsage.rss(),
    metrics: Object.fromEntries(metrics.map(([, name, value]) => [name, Number(value)])),
  };
});

function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
