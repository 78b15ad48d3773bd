// A place of rendezvous with many peers and watchers, and two of them that share a Redis, of which one is killed. Linux
// alone, for /proc.

import { writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { noRedis, RedisProcess } from "../test/support/redis-server.ts";
import { LineProcess } from "./line-process.ts";
import { processorSeconds } from "./processor-time.ts";
import type { PeersAnswer, PeersCommand } from "./rendezvous-peers.ts";
import type { PlaceAddress, PlaceCommand, PlaceUsage } from "./rendezvous-place.ts";
import type { WatchersAnswer, WatchersCommand } from "./rendezvous-watchers.ts";
import { median, quantile } from "./statistics.ts";
import { alignColumns } from "./table.ts";

const usage = `Usage: node --import tsx bench/rendezvous.ts [options]

Registers peers at a place of rendezvous, each with a key of its own, over HTTP/2 with TLS and over QUIC; has others watch
them all; changes some, and prints how long it takes until all watchers have seen that, and what the place uses. Then the
same at two places that share a Redis, of which one is killed while peers change: its clients go on at the other. Exit code
1 when a registration or a change was lost, or a watcher ends with another set than there is.

Options
  --peers <n>        (default 10000)
  --quic <n>         of these, over QUIC, each by an endpoint of its own (default a twentieth)
  --watchers <n>     (default 1000, a twentieth of them over QUIC)
  --connections <n>  that peers, and watchers, share over HTTP (default 100)
  --at-once <n>      registrations that are under way at a time (default 64)
  --rounds <n>       changes one by one (default 20)
  --changes <n>      changes at a rate (default 400)
  --rate <n>         so many in a second (default 40)
  --lease <s>        that peers ask for (default: what the place gives)
  --places <list>    "1", "2" or "1,2": one place in memory, two with Redis (default 1,2)
  --idle <s>         how long nothing happens but renewals (default 20)
  --node-option <o>  for the places, such as --cpu-prof and --cpu-prof-dir=.cache/profiles
  --json <file>      writes what was measured there
  --quick            120 peers and 20 watchers, with long leases: shows that nothing is lost
  --help
`;

const { values } = parseArgs({
  options: {
    peers: { type: "string" },
    quic: { type: "string" },
    watchers: { type: "string" },
    connections: { type: "string" },
    "at-once": { type: "string" },
    rounds: { type: "string" },
    changes: { type: "string" },
    rate: { type: "string", default: "40" },
    lease: { type: "string" },
    places: { type: "string", default: "1,2" },
    idle: { type: "string" },
    "node-option": { type: "string", multiple: true, default: [] },
    json: { type: "string" },
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const { quick } = values;
const peerCount = Number(values.peers ?? (quick ? 120 : 10_000));
const quicPeers = Number(values.quic ?? Math.ceil(peerCount / 20));
const watcherCount = Number(values.watchers ?? (quick ? 20 : 1_000));
const connections = Number(values.connections ?? (quick ? 4 : 100));
const atOnce = Number(values["at-once"] ?? (quick ? 8 : 64));
const rounds = Number(values.rounds ?? (quick ? 3 : 20));
const changeCount = Number(values.changes ?? (quick ? 24 : 400));
const rate = Number(values.rate);
const idleSeconds = Number(values.idle ?? (quick ? 0 : 20));

/** Processes with watchers. */
const watching = quick ? 1 : 2;
/** Leases, and times of grace, of those who look for losses and not for times: no pause of the machine ends one. Milliseconds. */
const patientMs = 300_000;
/** How long watchers may take to know what is right. Milliseconds. */
const settleMs = 600_000;

/** What must not be: all zero where nothing was lost. */
interface Losses {
  /** Leases that a place did not know any more. */
  leases: number;
  /** Peers that some place does not have, or has too many. */
  registrations: number;
  /** Watchers that ended with another set than there is. */
  watchers: number;
  /** Peers that watchers saw go who did not. */
  gone: number;
  /** Changes that some watcher has not seen. */
  changes: number;
}

interface Outcome {
  readonly places: number;
  /** At the end: as many have come as have gone. */
  readonly peers: number;
  readonly watchers: number;
  /** Registrations and watches of the place that was killed. */
  readonly moved: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly losses: Losses;
  readonly errors: Readonly<Record<string, number>>;
}

class Fleet {
  readonly #places: LineProcess<PlaceCommand>[] = [];
  readonly #addresses: PlaceAddress[] = [];
  readonly #peers = new LineProcess<PeersCommand>("./rendezvous-peers.ts");
  readonly #watchers = Array.from(
    { length: watching },
    () => new LineProcess<WatchersCommand>("./rendezvous-watchers.ts"),
  );
  readonly #figures: Record<string, number> = {};
  readonly #losses: Losses = { leases: 0, registrations: 0, watchers: 0, gone: 0, changes: 0 };
  readonly #errors: Record<string, number> = {};
  /** The number of the next change. */
  #next = 1;
  /** Peers that have gone by themselves. */
  #left = 0;
  #moved = 0;

  async start(count: number, redis: RedisProcess | undefined): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      const args = [redis?.url ?? "", quick ? String(patientMs) : ""];
      const place = new LineProcess<PlaceCommand>(
        "./rendezvous-place.ts",
        args,
        values["node-option"],
      );
      this.#places.push(place);
      this.#addresses.push(await place.read());
    }
  }

  async play(redis: RedisProcess | undefined): Promise<Outcome> {
    const figures = this.#figures;
    const empty = await this.#usage(true);
    const redisBefore = redisSeconds(redis);
    const { ms } = await this.#ask({
      type: "register",
      places: this.#addresses,
      http: peerCount - quicPeers,
      connections,
      quic: quicPeers,
      atOnce,
      leaseMs: quick ? patientMs : Number(values.lease ?? 0) * 1_000,
    });
    const registered = await this.#usage(true);
    figures["registrations/s"] = peerCount / (ms / 1_000);
    figures["places, ms of a processor for each registration"] =
      (registered.cpuMs - empty.cpuMs) / peerCount;
    if (redis !== undefined) {
      figures["Redis, ms for each registration"] =
        ((redisSeconds(redis) - redisBefore) * 1_000) / peerCount;
    }
    figures["places, KiB held for each peer"] =
      (registered.heldBytes - empty.heldBytes) / peerCount / 1_024;

    const joined = await this.#eachWatching((_, index) => ({
      type: "watch",
      places: this.#addresses,
      http: shareOf(watcherCount - quicWatchers, index),
      connections: Math.ceil(connections / watching),
      quic: shareOf(quicWatchers, index),
    }));
    const watched = await this.#usage(true);
    figures["s until all watchers have the whole set"] =
      Math.max(...joined.map(({ ms }) => ms)) / 1_000;
    figures["places, ms for each watcher that comes"] =
      (watched.cpuMs - registered.cpuMs) / watcherCount;
    figures["places, KiB held for each watcher"] =
      (watched.heldBytes - registered.heldBytes) / watcherCount / 1_024;
    await this.#settle();

    if (idleSeconds > 0) {
      const before = await this.#usage();
      await sleep(idleSeconds * 1_000);
      const after = await this.#usage();
      const renewals = after.renewals - before.renewals;
      figures["renewals/s"] = renewals / idleSeconds;
      figures["places, us for each renewal"] = ((after.cpuMs - before.cpuMs) * 1_000) / renewals;
    }

    const oneByOne: number[][] = [];
    const beforeRounds = await this.#usage();
    for (let round = 0; round < rounds; round += 1) {
      oneByOne.push(...(await this.#changes({ count: 1, perSecond: rate, comeAndGo: false })));
    }
    const afterRounds = await this.#usage();
    this.#tell("one change", oneByOne);
    figures["places, us for each change and watcher, one by one"] =
      ((afterRounds.cpuMs - beforeRounds.cpuMs) * 1_000) / rounds / watcherCount;

    const beforeChurn = await this.#usage();
    const churn = await this.#changes({ count: changeCount, perSecond: rate, comeAndGo: true });
    const afterChurn = await this.#usage(true);
    this.#tell("many changes", churn);
    figures["places, us for each change and watcher, many"] =
      ((afterChurn.cpuMs - beforeChurn.cpuMs) * 1_000) / changeCount / watcherCount;
    figures["places, MiB held"] = afterChurn.heldBytes / 2 ** 20;
    figures["places, MiB resident"] = afterChurn.residentBytes / 2 ** 20;

    if (this.#places.length > 1) {
      await this.#killOne();
    }
    const { metrics } = await this.#usage();
    const { peers, lost } = await this.#ask({ type: "expected" });
    for (const { registered_peers = 0 } of metrics) {
      this.#losses.registrations += Math.abs(peers - registered_peers);
    }
    this.#losses.leases += lost;
    const end = await this.#eachWatching(() => ({ type: "changes", first: 0, count: 0 }));
    this.#losses.gone += Math.abs(total(end, ({ gone }) => gone) - this.#left * watcherCount);
    figures["sets told anew to watchers"] = total(end, ({ resets }) => resets);
    return {
      places: this.#addresses.length,
      peers,
      watchers: total(end, ({ watchers }) => watchers),
      moved: this.#moved,
      figures,
      losses: this.#losses,
      errors: this.#errors,
    };
  }

  /** The first place ends without a word, half-way through the changes. */
  async #killOne(): Promise<void> {
    const [victim, ...others] = this.#places;
    const killed = (async () => {
      await sleep((changeCount / rate / 2) * 1_000);
      const { holds = 0, watches = 0 } =
        (await victim?.ask<PlaceUsage>({ collect: false }))?.metrics ?? {};
      this.#moved = holds + watches;
      await victim?.kill();
      this.#places.splice(0, 1);
      return performance.now();
    })();
    const churn = this.#changes({ count: changeCount, perSecond: rate, comeAndGo: true });
    const killedMs = await killed;
    for (;;) {
      const [place] = others;
      const usage = await place?.ask<PlaceUsage>({ collect: false });
      const { holds = 0, watches = 0 } = usage?.metrics ?? {};
      if (holds >= peerCount - 2 && watches >= watcherCount) {
        break;
      }
      await sleep(100);
    }
    this.#figures["s until all are at the other place"] = (performance.now() - killedMs) / 1_000;
    this.#tell("a place killed", await churn);
  }

  async end(): Promise<void> {
    await Promise.all([this.#peers, ...this.#watchers].map((each) => each.kill()));
    await Promise.all(this.#places.map((each) => each.end()));
  }

  /** Makes changes, waits until all watchers know what is right, and resolves with how long each took to each watcher. */
  async #changes(how: {
    readonly count: number;
    readonly perSecond: number;
    readonly comeAndGo: boolean;
  }): Promise<number[][]> {
    const first = this.#next;
    this.#next += how.count;
    await this.#ask({ type: "change", first, ...how });
    await this.#settle();
    const answers = await this.#eachWatching(() => ({ type: "changes", first, count: how.count }));
    const goes = (at: number): boolean => how.comeAndGo && at % 4 === 1;
    const all = Array.from({ length: how.count }, (_, at) =>
      answers.flatMap(({ delaysMs }) => delaysMs[at] ?? []),
    );
    this.#left += all.filter((_, at) => goes(at)).length;
    const seen = all.filter((_, at) => !goes(at));
    this.#losses.changes += seen.filter((each) => each.length !== watcherCount).length;
    return seen;
  }

  /** Waits until all watchers know the set that there is. */
  async #settle(): Promise<void> {
    const { peers, sum } = await this.#ask({ type: "expected" });
    const answers = await this.#eachWatching(() => ({
      type: "await",
      peers,
      sum,
      timeoutMs: settleMs,
    }));
    this.#losses.watchers += total(answers, ({ wrong }) => wrong);
  }

  #tell(what: string, changes: readonly (readonly number[])[]): void {
    const all = changes.flat();
    this.#figures[`${what}: ms to a watcher, median`] = median(all);
    this.#figures[`${what}: ms to a watcher, 99 of 100`] = quantile(all, 0.99);
    this.#figures[`${what}: ms to all watchers, median`] = median(
      changes.map((each) => Math.max(...each)),
    );
    this.#figures[`${what}: ms to all watchers, most`] = all.reduce((a, b) => Math.max(a, b), 0);
  }

  async #ask(command: PeersCommand): Promise<PeersAnswer> {
    const answer = await this.#peers.ask<PeersAnswer>(command);
    for (const [error, times] of Object.entries(answer.errors)) {
      this.#errors[error] = (this.#errors[error] ?? 0) + times;
    }
    return answer;
  }

  #eachWatching(
    command: (process: LineProcess<WatchersCommand>, index: number) => WatchersCommand,
  ): Promise<WatchersAnswer[]> {
    return Promise.all(
      this.#watchers.map((each, index) => each.ask<WatchersAnswer>(command(each, index))),
    );
  }

  /** Of all places that there are. */
  async #usage(collect = false): Promise<{
    readonly cpuMs: number;
    readonly heldBytes: number;
    readonly residentBytes: number;
    readonly renewals: number;
    readonly metrics: readonly Readonly<Record<string, number>>[];
  }> {
    const all = await Promise.all(this.#places.map((place) => place.ask<PlaceUsage>({ collect })));
    return {
      cpuMs: total(all, ({ cpuMs }) => cpuMs),
      heldBytes: total(all, ({ heldBytes }) => heldBytes),
      residentBytes: total(all, ({ residentBytes }) => residentBytes),
      renewals: total(all, ({ metrics }) => metrics.renewals_total ?? 0),
      metrics: all.map(({ metrics }) => metrics),
    };
  }
}

const quicWatchers = Math.ceil(watcherCount / 20);

function shareOf(count: number, index: number): number {
  return Math.floor((count * (index + 1)) / watching) - Math.floor((count * index) / watching);
}

function total<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}

function redisSeconds(redis: RedisProcess | undefined): number {
  return redis?.pid === undefined ? 0 : processorSeconds(redis.pid);
}

async function measure(places: number): Promise<Outcome> {
  const redis = places > 1 ? await RedisProcess.start() : undefined;
  const fleet = new Fleet();
  try {
    await fleet.start(places, redis);
    return await fleet.play(redis);
  } finally {
    await fleet.end();
    await redis?.[Symbol.asyncDispose]();
  }
}

function print(outcomes: readonly Outcome[]): void {
  const names = [...new Set(outcomes.flatMap(({ figures }) => Object.keys(figures)))];
  const shown = (value: number | undefined): string =>
    value === undefined ? "" : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
  const rows = [
    ["", ...outcomes.map(({ places }) => (places === 1 ? "1 place, memory" : "2 places, Redis"))],
    ...names.map((name) => [name, ...outcomes.map(({ figures }) => shown(figures[name]))]),
  ];
  console.log(alignColumns(rows, "left").join("\n"));
  for (const { places, losses, errors } of outcomes) {
    console.log(`\n${places === 1 ? "1 place" : "2 places"}, lost: ${JSON.stringify(losses)}`);
    for (const [error, times] of Object.entries(errors)) {
      console.log(`  ${times} times tried again: ${error}`);
    }
  }
}

async function main(): Promise<boolean> {
  console.log(
    `Node.js ${process.versions.node}, ${availableParallelism()} cores for all, load ${loadavg()[0]?.toFixed(1)}; ` +
      `${peerCount} peers, ${quicPeers} of them over QUIC, ${watcherCount} watchers of all of them\n`,
  );
  const outcomes: Outcome[] = [];
  for (const places of values.places.split(",").map(Number)) {
    if (places > 1 && noRedis !== undefined) {
      console.log(`2 places: ${noRedis}`);
    } else {
      outcomes.push(await measure(places));
    }
  }
  print(outcomes);
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify(outcomes, undefined, 2)}\n`);
  }
  return outcomes.every(({ losses }) => total(Object.values(losses), (count) => count) === 0);
}

if (values.help) {
  console.log(usage);
} else {
  // All processes end with this one.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => process.exit(1));
  }
  process.exit((await main()) ? 0 : 1);
}
