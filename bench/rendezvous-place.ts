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

/** What a place has used and holds. */
export interface PlaceUsage {
  /** Processor time of all its threads. */
  readonly cpuMs: number;
  /** Of JavaScript and WebAssembly, after a garbage collection. */
  readonly heldBytes: number;
  readonly residentBytes: number;
  /** What `/metrics` says. */
  readonly metrics: Readonly<Record<string, number>>;
}

const [redis = ""] = process.argv.slice(2);
const { cert, key } = createSelfSignedCertificate();
const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
const server = await RendezvousServer.start({
  endpoint,
  listen: { host: "127.0.0.1", port: 0 },
  tls: { cert, key },
  ...(redis === "" ? {} : { state: redisState({ url: redis }) }),
  // All who are simulated are one caller to it: they have one address.
  limits: { registrationsPerSecond: 1_000_000, maxWatchesPerCaller: 10_000 },
});
const address: PlaceAddress = { url: server.url, cert, ticket: endpoint.ticket().toString() };
console.log(JSON.stringify(address));

await answerLines(async (): Promise<PlaceUsage> => {
  const { user, system } = process.cpuUsage();
  const { heap, external, engine } = holdings(endpoint);
  const page = await server.host.page("/metrics");
  const metrics = [...(page?.body ?? "").matchAll(/^rendezvous_(\w+) (\d+)$/gm)];
  return {
    cpuMs: (user + system) / 1_000,
    heldBytes: heap + external + engine,
    residentBytes: process.memoryUsage.rss(),
    metrics: Object.fromEntries(metrics.map(([, name, value]) => [name, Number(value)])),
  };
});
