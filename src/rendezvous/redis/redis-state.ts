import { create } from "@bufbuild/protobuf";
import { deferred } from "../../base/deferred.ts";
import { pause } from "../../base/pause.ts";
import type { Platform } from "../../base/platform.ts";
import { SignedRegistrationSchema } from "../gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { sweepMs } from "../lease-clock.ts";
import { randomHex } from "../memory-state.ts";
import { type PeerEntry, PeerSet } from "../peer-set.ts";
import { type PeerRecord, readRegistration } from "../registration.ts";
import type {
  LeaseKey,
  PairEvents,
  PairSeat,
  RegisterOutcome,
  RendezvousState,
  RendezvousStateContext,
  RenewOutcome,
} from "../rendezvous-state.ts";
import { messageOf, RedisConnection } from "./redis-connection.ts";
import {
  joinScript,
  leaveScript,
  registerScript,
  releaseScript,
  renewScript,
  snapshotScript,
  sweepScript,
  unregisterScript,
} from "./redis-scripts.ts";

/** How long one question for news waits at Redis. Milliseconds. */
const blockMs = 1_000;
/** News that are taken at once. */
const newsAtOnce = 1_000;

export interface RedisStateOptions {
  /** `redis://[[user]:password@]host[:port][/database]`, or `rediss://` with TLS. */
  readonly url: string;
  /** What the names of all keys begin with. Default "{connect-quic}:", whose braces keep them together in a cluster. */
  readonly prefix?: string | undefined;
}

/**
 * Keeps what a rendezvous knows in Redis 6.2 or later, so that many instances serve one registry, and it outlives them all.
 * Needs the package `@redis/client`.
 *
 * ```ts
 * const rendezvous = createRendezvous({ state: redisState({ url: "redis://127.0.0.1:6379" }) });
 * ```
 *
 * While Redis cannot be reached, calls fail with Unavailable and nobody's lease runs out: that time does not count.
 */
export function redisState(
  options: RedisStateOptions,
): (context: RendezvousStateContext) => RendezvousState {
  return (context) => new RedisState(options, context);
}

/** An entry as Redis has it. */
interface StoredEntry {
  readonly registration: string;
  readonly signature: string;
  readonly lease: string;
  readonly registeredAtMs: number;
  readonly joined: number;
}

/** A namespace that is being read, or has been. News that come meanwhile wait. */
interface Mirror {
  readonly loaded: Promise<PeerSet | undefined>;
  set: PeerSet | undefined;
  readonly early: News[];
}

type News = ReadonlyMap<string, string>;

class RedisState implements RendezvousState {
  readonly name = "redis";
  readonly #context: RendezvousStateContext;
  readonly #platform: Platform;
  readonly #prefix: string;
  /** What every script is given first. */
  readonly #common: readonly string[];
  readonly #questions: RedisConnection;
  /** Waits for news, and so has no time for anything else. */
  readonly #listening: RedisConnection;
  readonly #instance: string;
  readonly #mirrors = new Map<string, Mirror>();
  readonly #seats = new Map<string, PairEvents>();
  /** Tickets that Redis is still to be told of. */
  readonly #left = new Set<string>();
  readonly #closed = new AbortController();
  readonly #running: Promise<unknown>;
  /** The first sweep is over: news are followed from then on, or it is known that Redis is not there. */
  readonly #started = deferred<void>();
  #trouble: string | undefined = "Redis has not answered yet";
  #position: string | undefined;

  constructor(
    { url, prefix = "{connect-quic}:" }: RedisStateOptions,
    context: RendezvousStateContext,
  ) {
    const { limits, platform } = context;
    this.#context = context;
    this.#platform = platform;
    this.#prefix = prefix;
    this.#common = [prefix, JSON.stringify(limits)];
    this.#questions = new RedisConnection(url, platform);
    this.#listening = new RedisConnection(url, platform);
    this.#instance = randomHex(platform);
    this.#running = Promise.all([this.#sweep(), this.#listen()]);
  }

  get trouble(): string | undefined {
    return this.#trouble;
  }

  async register(
    record: PeerRecord,
    { lease, leaseMs }: { readonly lease: string; readonly leaseMs: number },
  ): Promise<RegisterOutcome> {
    const dateMs = this.#context.dateMs();
    const { registration, signature } = record.signed;
    const entry: Omit<StoredEntry, "joined"> = {
      registration: encodeBase64(registration),
      signature: encodeBase64(signature),
      lease,
      registeredAtMs: dateMs,
    };
    const [type, detail] = await this.#script(registerScript, [
      record.namespace,
      record.id.toString(),
      lease,
      String(leaseMs),
      String(record.signedUs),
      JSON.stringify(entry),
      String(BigInt(dateMs) * 1_000n),
      randomHex(this.#platform),
    ]);
    switch (type) {
      case "registered":
        return { type, leaseMs };
      case "refused":
        return { type, notBeforeUs: BigInt(String(detail)) };
      default:
        return { type: "full", limit: String(detail) };
    }
  }

  renew(lease: LeaseKey): Promise<RenewOutcome> {
    return this.#ofLease(renewScript, lease);
  }

  async release({ namespace, id, lease }: LeaseKey, graceMs: number): Promise<void> {
    await this.#script(releaseScript, [namespace, id, lease, String(graceMs)]);
  }

  unregister(lease: LeaseKey): Promise<RenewOutcome> {
    return this.#ofLease(unregisterScript, lease);
  }

  set(namespace: string): Promise<PeerSet | undefined> {
    return this.#open(namespace, "");
  }

  openSet(namespace: string): Promise<PeerSet | undefined> {
    return this.#open(namespace, randomHex(this.#platform));
  }

  async namespaces(): Promise<readonly string[]> {
    const all = (await this.#questions.command(["HKEYS", `${this.#prefix}namespaces`])) as string[];
    const idle = (await this.#questions.command([
      "ZRANGE",
      `${this.#prefix}idle`,
      "0",
      "-1",
    ])) as string[];
    return all.filter((name) => !idle.includes(name));
  }

  async registrations(): Promise<number> {
    return Number(await this.#questions.command(["HLEN", `${this.#prefix}held`]));
  }

  async pair(seat: PairSeat, events: PairEvents): Promise<() => void> {
    const { ticket, id, namespace, pool } = seat;
    this.#seats.set(ticket, events);
    const leave = (): void => {
      this.#seats.delete(ticket);
      this.#left.add(ticket);
      void this.#tellLeft().catch(() => {});
    };
    try {
      const pairId = randomHex(this.#platform);
      await this.#script(joinScript, [ticket, id, namespace, pool, this.#instance, pairId]);
      return leave;
    } catch (error) {
      // Redis may have done it all the same.
      leave();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#tellLeft().catch(() => {});
    await Promise.all([this.#questions.close(), this.#listening.close()]);
    await this.#running;
  }

  async #ofLease(script: string, { namespace, id, lease }: LeaseKey): Promise<RenewOutcome> {
    const [type, leaseMs, version] = await this.#script(script, [namespace, id, lease]);
    switch (type) {
      case "renewed":
        return { type, leaseMs: Number(leaseMs), version: Number(version) };
      case "replaced":
        return { type };
      default:
        return { type: "unknown" };
    }
  }

  async #script(script: string, args: readonly string[]): Promise<readonly unknown[]> {
    await this.#started.promise;
    return await this.#ask(script, args);
  }

  #ask(script: string, args: readonly string[]): Promise<readonly unknown[]> {
    return this.#questions.script(script, [...this.#common, ...args]);
  }

  /** @param epoch for a namespace that there is not yet; "" where none is to be made */
  async #open(namespace: string, epoch: string): Promise<PeerSet | undefined> {
    const known = this.#mirrors.get(namespace);
    if (known !== undefined) {
      const set = await known.loaded;
      if (set !== undefined || epoch === "") {
        return set;
      }
    }
    const early: News[] = [];
    const mirror: Mirror = { loaded: this.#load(namespace, epoch, early), set: undefined, early };
    this.#mirrors.set(namespace, mirror);
    try {
      mirror.set = await mirror.loaded;
    } finally {
      if (mirror.set === undefined && this.#mirrors.get(namespace) === mirror) {
        this.#mirrors.delete(namespace);
      }
    }
    for (const news of early.splice(0)) {
      this.#change(namespace, mirror, news);
    }
    return mirror.set;
  }

  async #load(namespace: string, epoch: string, early: News[]): Promise<PeerSet | undefined> {
    const [type, known, version, stored] = await this.#script(snapshotScript, [namespace, epoch]);
    if (type !== "set") {
      return undefined;
    }
    const entries = (stored as string[]).map(readEntry).sort((a, b) => a.joined - b.joined);
    const set = new PeerSet({
      maxChanges: this.#context.limits.maxChanges,
      epoch: String(known),
      version: Number(version),
      entries,
    });
    // Whoever waits for the set sees it as it is by now.
    for (const news of early.splice(0)) {
      apply(set, news);
    }
    return set;
  }

  /** Looks after leases, says that this instance is alive, and finds out whether Redis is there. */
  async #sweep(): Promise<void> {
    const { signal } = this.#closed;
    const { limits, dateMs, report } = this.#context;
    while (!signal.aborted) {
      try {
        await this.#tellLeft();
        const watched = [...this.#mirrors].flatMap(([namespace, { set }]) =>
          set?.isRetained === true ? [namespace] : [],
        );
        const oldestUs = BigInt(dateMs() - limits.maxClockSkewMs) * 1_000n;
        const [position, namespaces] = await this.#ask(sweepScript, [
          this.#instance,
          String(oldestUs),
          // An empty list would be an object.
          JSON.stringify(watched.length === 0 ? [""] : watched),
        ]);
        this.#position ??= String(position);
        this.#compare(namespaces as string[]);
        this.#trouble = undefined;
        this.#dropIdle();
      } catch (error) {
        if (this.#trouble === undefined && !signal.aborted) {
          report(error);
        }
        this.#trouble = messageOf(error);
      }
      this.#started.resolve();
      await pause(this.#platform, sweepMs, signal).catch(() => {});
    }
  }

  /** What is no longer as it was is read anew: Redis has lost it, or news of it were missed while that was not there. */
  #compare(namespaces: readonly string[]): void {
    const versions = new Map<string, string>();
    for (let at = 0; at + 1 < namespaces.length; at += 2) {
      versions.set(namespaces[at] ?? "", namespaces[at + 1] ?? "");
    }
    for (const [namespace, { set }] of this.#mirrors) {
      const now = versions.get(namespace);
      const isSame =
        set === undefined ||
        (this.#trouble === undefined
          ? now?.startsWith(`${set.epoch} `)
          : now === `${set.epoch} ${set.version}`);
      if (!isSame) {
        this.#abandon(namespace);
      }
    }
  }

  #dropIdle(): void {
    for (const [namespace, { set }] of this.#mirrors) {
      if (set !== undefined && set.size === 0 && !set.isRetained) {
        this.#mirrors.delete(namespace);
      }
    }
  }

  async #tellLeft(): Promise<void> {
    const tickets = [...this.#left];
    if (tickets.length > 0) {
      await this.#ask(leaveScript, tickets);
      for (const ticket of tickets) {
        this.#left.delete(ticket);
      }
    }
  }

  /** Takes what has happened at all instances, in its order. */
  async #listen(): Promise<void> {
    const { signal } = this.#closed;
    const log = `${this.#prefix}log`;
    while (!signal.aborted) {
      if (this.#position === undefined) {
        await pause(this.#platform, 10, signal).catch(() => {});
        continue;
      }
      const wanted = ["COUNT", String(newsAtOnce), "BLOCK", String(blockMs)];
      try {
        const answer = (await this.#listening.command(
          ["XREAD", ...wanted, "STREAMS", log, this.#position],
          4 * blockMs,
        )) as [string, [string, string[]][]][] | null;
        for (const [position, fields] of answer?.[0]?.[1] ?? []) {
          this.#position = position;
          this.#take(newsOf(fields));
        }
      } catch {
        // The sweep finds out as well, and says so.
        await pause(this.#platform, 100, signal).catch(() => {});
      }
    }
  }

  #take(news: News): void {
    const ticket = news.get("ticket") ?? "";
    const events = this.#seats.get(ticket);
    switch (news.get("type")) {
      case "change": {
        const namespace = news.get("ns") ?? "";
        const mirror = this.#mirrors.get(namespace);
        if (mirror !== undefined) {
          this.#change(namespace, mirror, news);
        }
        break;
      }
      case "paired":
        events?.paired({
          pairId: news.get("pair") ?? "",
          partner: news.get("partner") ?? "",
          first: news.get("first") === "1",
        });
        break;
      case "left":
        this.#seats.delete(ticket);
        events?.left();
        break;
      case "replaced":
        this.#seats.delete(ticket);
        events?.replaced();
        break;
      default:
      // Of a later release.
    }
  }

  #change(namespace: string, mirror: Mirror, news: News): void {
    if (mirror.set === undefined) {
      mirror.early.push(news);
    } else if (!apply(mirror.set, news)) {
      this.#abandon(namespace);
    }
  }

  #abandon(namespace: string): void {
    const set = this.#mirrors.get(namespace)?.set;
    this.#mirrors.delete(namespace);
    set?.abandon();
  }
}

/** False where the set is not the one that the news are of, or news between were missed. */
function apply(set: PeerSet, news: News): boolean {
  const version = Number(news.get("version"));
  if (news.get("epoch") === set.epoch && version <= set.version) {
    return true;
  }
  if (news.get("epoch") !== set.epoch || version !== set.version + 1) {
    return false;
  }
  const entry = news.get("entry") ?? "";
  set.apply(news.get("id") ?? "", entry === "" ? undefined : readEntry(entry));
  return true;
}

function newsOf(fields: readonly string[]): News {
  const news = new Map<string, string>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    news.set(fields[at] ?? "", fields[at + 1] ?? "");
  }
  return news;
}

function readEntry(text: string): PeerEntry {
  const { registration, signature, lease, registeredAtMs, joined } = JSON.parse(
    text,
  ) as StoredEntry;
  const signed = create(SignedRegistrationSchema, {
    registration: decodeBase64(registration),
    signature: decodeBase64(signature),
  });
  return { record: readRegistration(signed), lease, registeredAtMs, joined };
}

function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function decodeBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "base64"));
}
