import type {
  Benchmark,
  ChatMessage,
  Event,
  FoundWorker,
  Network,
  Peer,
  Place,
  Self,
  WatchResponse,
} from "../gen/connectquic/worker/v1/console_pb.js";

/** As the worker keeps: what is older is forgotten here, too. */
const maxEntries = 500;
const maxBenchmarks = 50;

/** What the page knows of its worker. */
export class PageModel {
  self: Self | undefined;
  network: Network | undefined;
  place: Place | undefined;
  /** Workers at the place. */
  readonly found: Map<string, FoundWorker> = new Map();
  readonly peers: Map<string, Peer> = new Map();
  readonly benchmarks: Map<string, Benchmark> = new Map();
  messages: ChatMessage[] = [];
  events: Event[] = [];

  apply(changes: WatchResponse): void {
    if (changes.reset) {
      this.found.clear();
      this.peers.clear();
      this.benchmarks.clear();
      this.messages = [];
      this.events = [];
    }
    this.self = changes.self ?? this.self;
    this.network = changes.network ?? this.network;
    this.place = changes.place ?? this.place;
    for (const id of changes.gone) {
      this.found.delete(id);
    }
    for (const worker of changes.found) {
      this.found.set(worker.id, worker);
    }
    for (const peer of changes.peers) {
      this.peers.set(peer.id, peer);
    }
    for (const benchmark of changes.benchmarks) {
      this.benchmarks.set(String(benchmark.number), benchmark);
    }
    for (const number of [...this.benchmarks.keys()].slice(0, -maxBenchmarks)) {
      this.benchmarks.delete(number);
    }
    this.messages = [...this.messages, ...changes.messages].slice(-maxEntries);
    this.events = [...this.events, ...changes.events].slice(-maxEntries);
  }
}
