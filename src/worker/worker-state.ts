import { create } from "@bufbuild/protobuf";
import {
  type Benchmark,
  BenchmarkSchema,
  BenchmarkState,
  type ChatMessage,
  ChatMessageSchema,
  Direction,
  type Event,
  EventSchema,
  type FoundWorker,
  FoundWorkerSchema,
  type Network,
  NetworkSchema,
  type Pairing,
  PairingSchema,
  Path,
  type Peer,
  PeerSchema,
  PeerState,
  type Place,
  PlaceSchema,
  type Self,
  SelfSchema,
  type WatchResponse,
  WatchResponseSchema,
} from "./gen/connectquic/worker/v1/console_pb.js";
import { plainLine, plainText } from "./plain-text.ts";
import { RateSamples } from "./rate-samples.ts";
import {
  maxBenchmarks,
  maxEventLength,
  maxEvents,
  maxFound,
  maxFoundLabels,
  maxLabelLength,
  maxLatencies,
  maxMessages,
  maxNameLength,
  maxPeers,
  maxRates,
  maxUntold,
} from "./worker-limits.ts";

/** How data goes to a peer, now. */
export interface PathSample {
  readonly path: Path;
  readonly remote: string;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** How a benchmark has ended. */
export type BenchmarkEnd =
  /** With SHA-256 of a file. */
  | { readonly type: "done"; readonly sha256?: Uint8Array<ArrayBuffer> | undefined }
  | { readonly type: "cancelled" | "failed"; readonly problem: string };

/** A part of the state, and in which version of the whole it was new. */
interface Part<T> {
  readonly value: T;
  version: number;
}

interface BenchmarkPart extends Part<Benchmark> {
  readonly startedAt: number;
  readonly samples: RateSamples;
}

/** Since when, on both clocks. Milliseconds. */
export interface Moment {
  /** Since 1970. */
  readonly unixMs: number;
  /** On a clock that never goes back. */
  readonly now: number;
}

const firstSpanMs = 250;

/**
 * All that a worker's page shows. Who shows it asks for what has changed since the version that it has seen, so a reader
 * that is late costs nothing and gets the newest.
 */
export class WorkerState {
  readonly #changed: () => void;
  readonly #self: Part<Self> = { value: create(SelfSchema), version: 0 };
  readonly #network: Part<Network> = { value: create(NetworkSchema), version: 0 };
  /** None until it is named. */
  readonly #place: Part<Place> = {
    value: create(PlaceSchema, { pairing: create(PairingSchema) }),
    version: -1,
  };
  readonly #found = new Map<string, Part<FoundWorker>>();
  readonly #gone: Part<string>[] = [];
  /** Ids of workers at the place for which there was no room. */
  readonly #untold = new Set<string>();
  readonly #peers = new Map<string, Part<Peer>>();
  readonly #benchmarks = new Map<number, BenchmarkPart>();
  readonly #messages: Part<ChatMessage>[] = [];
  readonly #events: Part<Event>[] = [];
  #version = 0;
  /** When something was last forgotten that a reader may know. */
  #forgottenAt = 0;
  #lastMessage = 0;
  #lastEvent = 0;
  #lastBenchmark = 0;

  /** @param changed is called when there is something new, often several times in a row */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get self(): Readonly<Self> {
    return this.#self.value;
  }

  get place(): Readonly<Place> {
    return this.#place.value;
  }

  peer(id: string): Readonly<Peer> | undefined {
    return this.#peers.get(id)?.value;
  }

  benchmark(number: number): Readonly<Benchmark> | undefined {
    return this.#benchmarks.get(number)?.value;
  }

  get peers(): readonly Readonly<Peer>[] {
    return [...this.#peers.values()].map(({ value }) => value);
  }

  /** What is new since `version`, or without one all there is, and the version then. */
  changesSince(version?: number): { readonly changes: WatchResponse; readonly version: number } {
    const reset = version === undefined || version < this.#forgottenAt;
    const seen = reset ? -1 : version;
    const fresh = <T>(parts: Iterable<Part<T>>): T[] =>
      [...parts].filter((part) => part.version > seen).map(({ value }) => value);
    const changes = create(WatchResponseSchema, {
      reset,
      peers: fresh(this.#peers.values()),
      messages: fresh(this.#messages),
      benchmarks: fresh(this.#benchmarks.values()),
      events: fresh(this.#events),
      gone: reset ? [] : fresh(this.#gone),
      found: fresh(this.#found.values()),
    });
    if (this.#self.version > seen) {
      changes.self = this.#self.value;
    }
    if (this.#network.version > seen) {
      changes.network = this.#network.value;
    }
    if (this.#place.version > seen) {
      changes.place = this.#place.value;
    }
    return { changes, version: this.#version };
  }

  setSelf(self: Partial<Pick<Self, "id" | "name" | "ticket" | "version">>): void {
    this.#change(this.#self, self);
  }

  setNetwork(network: Partial<Omit<Network, `$${string}`>>): void {
    this.#change(this.#network, network);
  }

  /** `at` when it may have come into another state. */
  setPlace(place: Partial<Omit<Place, `$${string}` | "pairing" | "sinceMs">>, at?: Moment): void {
    const isNews = at !== undefined && place.state !== this.#place.value.state;
    this.#change(this.#place, {
      ...place,
      ...(place.problem === undefined ? {} : { problem: plainLine(place.problem, maxEventLength) }),
      ...(isNews ? { sinceMs: BigInt(at.unixMs) } : {}),
    });
  }

  /** All of it: what is not given is empty. */
  setPairing(
    pairing: Pick<Pairing, "state"> & Partial<Pick<Pairing, "partnerId" | "pool" | "problem">>,
    { unixMs }: Moment,
  ): void {
    const before = this.#place.value.pairing;
    const sinceMs = pairing.state === before?.state ? before.sinceMs : BigInt(unixMs);
    const problem = plainLine(pairing.problem ?? "", maxEventLength);
    this.#change(this.#place, {
      pairing: create(PairingSchema, { ...pairing, problem, sinceMs }),
    });
  }

  /** A worker is at the place, or says something else of itself. */
  found(worker: Pick<FoundWorker, "id" | "labels" | "name" | "registeredAtMs">): void {
    const { id } = worker;
    if (!this.#found.has(id) && this.#found.size >= maxFound) {
      if (this.#untold.size < maxUntold) {
        this.#untold.add(id);
        this.setPlace({ untold: this.#untold.size });
      }
      return;
    }
    const labels = Object.entries(worker.labels)
      .slice(0, maxFoundLabels)
      .map((label) => label.map((text) => plainLine(text, maxLabelLength)));
    const value = create(FoundWorkerSchema, {
      ...worker,
      name: plainLine(worker.name, maxNameLength),
      labels: Object.fromEntries(labels),
    });
    this.#found.set(id, { value, version: this.#nextVersion() });
    if (this.#untold.delete(id)) {
      this.setPlace({ untold: this.#untold.size });
    }
  }

  /** A worker is no longer at the place. */
  gone(id: string): void {
    if (this.#untold.delete(id)) {
      this.setPlace({ untold: this.#untold.size });
    } else if (this.#found.delete(id)) {
      const forgotten = this.#append(this.#gone, id, maxFound);
      this.#forgottenAt = Math.max(this.#forgottenAt, forgotten?.version ?? 0);
    }
  }

  /** A dial of the peer begins. False: there are too many peers. */
  dialing(id: string, at: Moment): boolean {
    const part = this.#peerPart(id, at);
    if (part === undefined) {
      return false;
    }
    const { state } = part.value;
    const first = state === PeerState.UNSPECIFIED || !part.value.dialed;
    this.#change(part, {
      dialed: true,
      ...(first && state !== PeerState.CONNECTED
        ? { state: PeerState.CONNECTING, problem: "", sinceMs: BigInt(at.unixMs) }
        : {}),
    });
    if (first && state !== PeerState.CONNECTED) {
      this.event(at, `dialing ${this.#nameOf(id)}`);
    }
    return true;
  }

  /** The peer is dialed no more. */
  notDialed(id: string): void {
    const part = this.#peers.get(id);
    if (part !== undefined) {
      const gaveUp = part.value.state === PeerState.CONNECTING;
      this.#change(part, {
        dialed: false,
        ...(gaveUp ? { state: PeerState.UNREACHABLE, problem: "not dialed any more" } : {}),
      });
    }
  }

  /** There is a conversation with the peer. False: there are too many peers. */
  connected(id: string, name: string, at: Moment): boolean {
    const part = this.#peerPart(id, at);
    if (part === undefined) {
      return false;
    }
    const wasConnected = part.value.state === PeerState.CONNECTED;
    this.#change(part, {
      name: plainLine(name, maxNameLength),
      state: PeerState.CONNECTED,
      problem: "",
      ...(wasConnected ? {} : { sinceMs: BigInt(at.unixMs) }),
    });
    if (!wasConnected) {
      this.event(at, `connected to ${this.#nameOf(id)}`);
    }
    return true;
  }

  /** The last conversation with the peer has ended, or a dial has failed. */
  disconnected(id: string, problem: string, at: Moment): void {
    const part = this.#peers.get(id);
    if (part === undefined) {
      return;
    }
    const { state } = part.value;
    const wasConnected = state === PeerState.CONNECTED;
    const isNews = wasConnected || state === PeerState.CONNECTING;
    this.#change(part, {
      problem: plainLine(problem, maxEventLength),
      path: Path.UNSPECIFIED,
      remote: "",
      ...(isNews
        ? {
            state: wasConnected ? PeerState.LOST : PeerState.UNREACHABLE,
            sinceMs: BigInt(at.unixMs),
          }
        : {}),
    });
    if (isNews) {
      const what = wasConnected ? "lost" : "cannot reach";
      this.event(at, `${what} ${this.#nameOf(id)}: ${problem}`, { warning: true });
    }
  }

  /** How data goes to a connected peer, once a second. */
  sample(id: string, sample: PathSample, at: Moment): void {
    const part = this.#peers.get(id);
    if (part?.value.state !== PeerState.CONNECTED) {
      return;
    }
    const { path: before } = part.value;
    this.#change(part, {
      path: sample.path,
      remote: sample.remote,
      bytesSent: BigInt(sample.bytesSent),
      bytesReceived: BigInt(sample.bytesReceived),
    });
    if (sample.path !== before && sample.path !== Path.UNSPECIFIED) {
      const way = sample.path === Path.DIRECT ? "direct" : "through a relay";
      this.event(at, `the path to ${this.#nameOf(id)} is ${way}: ${sample.remote}`);
    }
  }

  /** How long a call to a connected peer has taken. Milliseconds. */
  latency(id: string, latencyMs: number): void {
    const part = this.#peers.get(id);
    if (part?.value.state === PeerState.CONNECTED) {
      const latenciesMs = [...part.value.latenciesMs, latencyMs].slice(-maxLatencies);
      this.#change(part, { latenciesMs });
    }
  }

  /** A message was sent, or has come. */
  message(
    message: Pick<ChatMessage, "outgoing" | "peerId" | "text" | "way">,
    { unixMs }: Moment,
  ): void {
    this.#lastMessage += 1;
    const value = create(ChatMessageSchema, {
      ...message,
      text: plainText(message.text),
      number: BigInt(this.#lastMessage),
      atMs: BigInt(unixMs),
    });
    this.#append(this.#messages, value, maxMessages);
  }

  /** Something for the log. */
  event({ unixMs }: Moment, text: string, options: { readonly warning?: boolean } = {}): void {
    this.#lastEvent += 1;
    const value = create(EventSchema, {
      number: BigInt(this.#lastEvent),
      atMs: BigInt(unixMs),
      warning: options.warning ?? false,
      text: plainLine(text, maxEventLength),
    });
    this.#append(this.#events, value, maxEvents);
  }

  /** A benchmark begins. Returns its number; undefined when too many run. */
  benchmarkBegins(
    benchmark: {
      readonly peerId: string;
      readonly direction: Direction;
      readonly begunHere: boolean;
      readonly totalBytes: number;
      /** Of a file. Default: data that is made up. */
      readonly fileName?: string | undefined;
    },
    at: Moment,
  ): number | undefined {
    if (this.#benchmarks.size >= maxBenchmarks) {
      const over = [...this.#benchmarks].find(([, part]) => !isRunning(part.value));
      if (over === undefined) {
        return undefined;
      }
      this.#benchmarks.delete(over[0]);
    }
    this.#lastBenchmark += 1;
    const value = create(BenchmarkSchema, {
      ...benchmark,
      fileName: benchmark.fileName ?? "",
      number: BigInt(this.#lastBenchmark),
      totalBytes: BigInt(benchmark.totalBytes),
      state: BenchmarkState.RUNNING,
    });
    this.#benchmarks.set(this.#lastBenchmark, {
      value,
      version: this.#nextVersion(),
      startedAt: at.now,
      samples: new RateSamples({ spanMs: firstSpanMs, max: maxRates }),
    });
    return this.#lastBenchmark;
  }

  /** So many bytes have arrived, of a benchmark that runs. */
  benchmarkProgress(number: number, doneBytes: number, at: Moment): void {
    const part = this.#benchmarks.get(number);
    if (part === undefined || !isRunning(part.value)) {
      return;
    }
    const elapsedMs = at.now - part.startedAt;
    part.samples.add(doneBytes, elapsedMs);
    this.#change(part, {
      doneBytes: BigInt(doneBytes),
      elapsedMs,
      rates: part.samples.rates(),
    });
  }

  benchmarkEnds(number: number, end: BenchmarkEnd, at: Moment): void {
    const part = this.#benchmarks.get(number);
    if (part === undefined || !isRunning(part.value)) {
      return;
    }
    this.benchmarkProgress(number, Number(part.value.doneBytes), at);
    const problem = end.type === "done" ? "" : plainLine(end.problem, maxEventLength);
    const sha256 = end.type === "done" ? end.sha256 : undefined;
    this.#change(part, {
      state: endStates[end.type],
      problem,
      ...(sha256 === undefined ? {} : { sha256 }),
    });
    const { direction, fileName, peerId } = part.value;
    const what = fileName === "" ? "benchmark" : `file ${fileName}`;
    const who = this.#nameOf(peerId);
    const way = direction === Direction.UPLOAD ? `to ${who}` : `from ${who}`;
    const outcome = end.type === "done" ? "is done" : `${end.type}: ${problem}`;
    this.event(at, `${what} ${way} ${outcome}`, { warning: end.type === "failed" });
  }

  /** The file of a benchmark can be had here, or no more. */
  fileKept(number: number, kept: boolean): void {
    const part = this.#benchmarks.get(number);
    if (part !== undefined) {
      this.#change(part, { kept });
    }
  }

  #peerPart(id: string, at: Moment): Part<Peer> | undefined {
    const known = this.#peers.get(id);
    if (known !== undefined) {
      return known;
    }
    if (this.#peers.size >= maxPeers) {
      const idle = [...this.#peers.values()].find(
        ({ value }) => value.state !== PeerState.CONNECTED && !value.dialed,
      );
      if (idle === undefined) {
        return undefined;
      }
      this.#peers.delete(idle.value.id);
      this.#forgottenAt = this.#nextVersion();
    }
    const value = create(PeerSchema, { id, sinceMs: BigInt(at.unixMs) });
    const part = { value, version: this.#nextVersion() };
    this.#peers.set(id, part);
    return part;
  }

  /** For the log. */
  #nameOf(id: string): string {
    const name = this.#peers.get(id)?.value.name ?? "";
    const short = id.slice(0, 10);
    return name === "" ? short : `${name} (${short})`;
  }

  #change<T extends object>(part: Part<T>, fields: Partial<T>): void {
    Object.assign(part.value, fields);
    part.version = this.#nextVersion();
  }

  /** Returns what was dropped for it. */
  #append<T>(log: Part<T>[], value: T, max: number): Part<T> | undefined {
    log.push({ value, version: this.#nextVersion() });
    return log.length > max ? log.shift() : undefined;
  }

  #nextVersion(): number {
    this.#version += 1;
    this.#changed();
    return this.#version;
  }
}

function isRunning({ state }: Benchmark): boolean {
  return state === BenchmarkState.RUNNING;
}

const endStates = {
  done: BenchmarkState.DONE,
  cancelled: BenchmarkState.CANCELLED,
  failed: BenchmarkState.FAILED,
} as const;
