import type {
  Benchmark,
  ChatMessage,
  Event,
  Network,
  Peer,
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
  readonly peers: Map<string, Peer> = new Map();
  readonly benchmarks: Map<string, Benchmark> = new Map();
  messages: ChatMessage[] = [];
  events: Event[] = [];

  apply(changes: WatchResponse): void {
    if (changes.reset) {
      this.peers.clear();
      this.benchmarks.clear();
      this.messages = [];
      this.events = [];
    }
    this.self = changes.self ?? this.self;
    this.network = changes.network ?? this.network;
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
