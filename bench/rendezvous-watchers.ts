// Watchers of bench/rendezvous.ts, all in this process: each knows all peers, and when it has learned what.

import { setTimeout as sleep } from "node:timers/promises";
import { fromBinary } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { Endpoint } from "../src/index.ts";
import {
  type RegisteredPeer,
  RegistrationSchema,
  RendezvousService,
  type WatchResponse,
} from "../src/rendezvous/gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { answerLines } from "./line-process.ts";
import type { PlaceAddress } from "./rendezvous-place.ts";
import { addSum, entrySum, subtractSum } from "./rendezvous-sum.ts";
import { overHttp, overQuic } from "./rendezvous-ways.ts";

/** A line of stdin. */
export type WatchersCommand =
  /** Resolves when all have the whole set. */
  | {
      readonly type: "watch";
      readonly places: readonly PlaceAddress[];
      /** Over connections that many of them share. */
      readonly http: number;
      readonly connections: number;
      /** Each by an endpoint of its own. */
      readonly quic: number;
    }
  /** Resolves when all know this set, or after the time. */
  | {
      readonly type: "await";
      readonly peers: number;
      readonly sum: number;
      readonly timeoutMs: number;
    }
  /** Which changes have been seen, from `first` on. */
  | { readonly type: "changes"; readonly first: number; readonly count: number };

export interface WatchersAnswer {
  readonly ms: number;
  readonly watchers: number;
  /** Watchers that know another set than was awaited. */
  readonly wrong: number;
  /** Peers that went, as each of the watchers has seen it. */
  readonly gone: number;
  /** Sets that began anew, but for the first one of each watcher. */
  readonly resets: number;
  readonly messages: number;
  /** For each change, how long it took to each watcher from when it was signed. Milliseconds. */
  readonly delaysMs: readonly (readonly number[])[];
}

/** What a peer has said. */
interface Said {
  readonly peer: number;
  readonly change: number;
  readonly signedMs: number;
  readonly sum: number;
}

/** By signature: all watchers are told the same. */
const said = new Map<string, Said>();
const numbers = new Map<string, number>();
const delays = new Map<number, number[]>();

function saidBy({ registration }: RegisteredPeer): Said {
  const { registration: bytes = new Uint8Array(), signature = bytes } = registration ?? {};
  const key = Buffer.from(signature.buffer, signature.byteOffset, signature.length).toString(
    "latin1",
  );
  let known = said.get(key);
  if (known === undefined) {
    const { endpointId, labels, signedAtUs } = fromBinary(RegistrationSchema, bytes);
    const id = Buffer.from(endpointId).toString("hex");
    const change = Number(labels.change);
    const signedMs = Number(signedAtUs) / 1_000;
    known = { peer: numberOf(id), change, signedMs, sum: entrySum(id, change) };
    said.set(key, known);
  }
  return known;
}

function numberOf(id: string): number {
  const known = numbers.get(id) ?? numbers.size;
  numbers.set(id, known);
  return known;
}

class Watcher {
  readonly #transport: Transport;
  #known: (Said | undefined)[] = [];
  /** That was known before the set began anew. */
  #before: (Said | undefined)[] | undefined;
  /** Whether what comes is news. */
  #isNews = false;
  isComplete = false;
  size = 0;
  sum = 0;
  gone = 0;
  resets = 0;
  messages = 0;

  constructor(transport: Transport) {
    this.#transport = transport;
    void this.#run();
  }

  async #run(): Promise<void> {
    const client = createClient(RendezvousService, this.#transport);
    let resume = new Uint8Array();
    for (;;) {
      try {
        for await (const response of client.watch({ resume })) {
          this.#take(response);
          if (response.resume.length > 0) {
            resume = new Uint8Array(response.resume);
          }
        }
      } catch {
        // The next place may know more.
      }
      await sleep(100 + 200 * Math.random());
    }
  }

  #take({ reset, changes, complete }: WatchResponse): void {
    this.messages += 1;
    if (reset) {
      this.resets += this.#isNews ? 1 : 0;
      this.#before = this.#known.slice();
    }
    for (const { change } of changes) {
      if (change.case === "put") {
        this.#put(saidBy(change.value));
      } else if (change.case === "gone") {
        this.#drop(numberOf(Buffer.from(change.value).toString("hex")));
      }
    }
    this.isComplete = complete;
    if (complete) {
      const before = this.#before;
      this.#before = undefined;
      for (const entry of before ?? []) {
        if (entry !== undefined) {
          this.#drop(entry.peer);
        }
      }
      this.#isNews = true;
    }
  }

  #put(entry: Said): void {
    const known = this.#known[entry.peer];
    if (this.#before !== undefined) {
      this.#before[entry.peer] = undefined;
    }
    if (known === undefined) {
      this.size += 1;
    } else {
      this.sum = subtractSum(this.sum, known.sum);
    }
    this.#known[entry.peer] = entry;
    this.sum = addSum(this.sum, entry.sum);
    if (this.#isNews && known?.change !== entry.change) {
      const list = delays.get(entry.change) ?? [];
      list.push(Math.round(Date.now() - entry.signedMs));
      delays.set(entry.change, list);
    }
  }

  #drop(peer: number): void {
    const known = this.#known[peer];
    if (known !== undefined) {
      this.#known[peer] = undefined;
      this.size -= 1;
      this.sum = subtractSum(this.sum, known.sum);
      this.gone += 1;
    }
  }
}

const watchers: Watcher[] = [];
let wrong = 0;

async function obey(command: WatchersCommand): Promise<void> {
  switch (command.type) {
    case "watch": {
      const { places, http, connections, quic } = command;
      const shared = Array.from({ length: Math.min(connections, http) }, (_, index) =>
        overHttp(places, index),
      );
      for (let index = 0; index < http; index += 1) {
        const transport = shared[index % shared.length];
        if (transport !== undefined) {
          watchers.push(new Watcher(transport));
        }
      }
      for (let index = 0; index < quic; index += 1) {
        const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
        watchers.push(new Watcher(overQuic(endpoint, places, index)));
      }
      while (!watchers.every(({ isComplete }) => isComplete)) {
        await sleep(10);
      }
      break;
    }
    case "await": {
      const { peers, sum, timeoutMs } = command;
      const endMs = performance.now() + timeoutMs;
      do {
        await sleep(5);
        wrong = watchers.filter((each) => each.size !== peers || each.sum !== sum).length;
      } while (wrong > 0 && performance.now() < endMs);
      break;
    }
    case "changes":
      break;
  }
}

await answerLines(async (command: WatchersCommand): Promise<WatchersAnswer> => {
  const startMs = performance.now();
  await obey(command);
  const total = (of: (watcher: Watcher) => number): number =>
    watchers.reduce((sum, watcher) => sum + of(watcher), 0);
  return {
    ms: performance.now() - startMs,
    watchers: watchers.length,
    wrong,
    gone: total(({ gone }) => gone),
    resets: total(({ resets }) => resets),
    messages: total(({ messages }) => messages),
    delaysMs:
      command.type === "changes"
        ? Array.from({ length: command.count }, (_, at) => delays.get(command.first + at) ?? [])
        : [],
  };
});
