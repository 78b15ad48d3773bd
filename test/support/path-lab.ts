// Two peers somewhere in a test network, with calls going on all the time: what becomes of them.

import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import {
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  type EndpointOptions,
  type QuicTransport,
} from "../../src/index.ts";
import {
  createTestNetwork,
  type HostOptions,
  type TestHost,
  type TestNat,
  type TestNetwork,
  type TestRelay,
} from "../../src/testing.ts";
import { EchoService, echoImplementation, Outbox } from "./echo-service.ts";

export interface PathLabOptions {
  readonly seed?: number;
  /** Relays. Default 1. */
  readonly relays?: number;
  /** Where the two are. */
  readonly places?: (network: TestNetwork) => {
    readonly client?: HostOptions;
    readonly server?: HostOptions;
  };
  /** For both. */
  readonly endpoint?: EndpointOptions;
}

/** What the calls of a time have shown. */
export interface Journal {
  /** Until the first call had its answer, from before the dial. */
  readonly firstResponseMs: number;
  /** From the first answer until data went directly, both ways; undefined: it never did. */
  readonly directMs: number | undefined;
  readonly finalPath: "direct" | "relay" | "none";
  readonly calls: number;
  readonly failures: readonly unknown[];
  /** The longest time without any answer, of calls and of the stream. */
  readonly longestStallMs: number;
}

/** Between calls. Milliseconds. */
const callIntervalMs = 20;

export class PathLab {
  readonly network: TestNetwork;
  readonly relays: readonly TestRelay[];
  readonly clientHost: TestHost;
  readonly serverHost: TestHost;
  /** Those that the two are behind: the client's, the server's. */
  readonly nats: readonly (TestNat | undefined)[];
  readonly #options: PathLabOptions;
  #client: Endpoint | undefined;
  #server: Endpoint | undefined;
  #transport: QuicTransport | undefined;
  #relayRoundTripMs = Number.NaN;

  /** Runs `work` with a laboratory in which both peers are online. */
  static async run(options: PathLabOptions, work: (lab: PathLab) => Promise<void>): Promise<void> {
    const lab = new PathLab(options);
    await lab.network.run(
      async () => {
        try {
          await lab.#start();
          await work(lab);
        } finally {
          await lab.#close();
        }
      },
      { limitMs: 14_400_000 },
    );
  }

  private constructor(options: PathLabOptions) {
    this.#options = options;
    const { seed = 1, relays = 1, places } = options;
    this.network = createTestNetwork({ seed });
    this.relays = Array.from({ length: relays }, () => this.network.relay());
    const { client, server } = places?.(this.network) ?? {};
    this.nats = [client, server].map((place) => place?.behind as TestNat | undefined);
    this.clientHost = this.network.host({ name: "client", ...client });
    this.serverHost = this.network.host({ name: "server", ...server });
  }

  get client(): Endpoint {
    assert.ok(this.#client);
    return this.#client;
  }

  get server(): Endpoint {
    assert.ok(this.#server);
    return this.#server;
  }

  get relay(): TestRelay {
    const [relay] = this.relays;
    assert.ok(relay);
    return relay;
  }

  get transport(): QuicTransport {
    this.#transport ??= createQuicTransport({
      endpoint: this.client,
      to: this.server.addr(),
      // It takes real time, for which virtual time does not wait.
      acceptCompression: [],
    });
    return this.#transport;
  }

  /** How data goes: "direct" where both say so. */
  get path(): "direct" | "relay" | "none" {
    const ways = [
      this.client.remoteInfo(this.server.id)?.reachedBy ?? "none",
      this.server.remoteInfo(this.client.id)?.reachedBy ?? "none",
    ];
    return ways.includes("none") ? "none" : ways.includes("relay") ? "relay" : "direct";
  }

  /** A round trip from the client over the relay to the server, as their lines are at the start. */
  get relayRoundTripMs(): number {
    return this.#relayRoundTripMs;
  }

  /** One call. */
  async call(message: string): Promise<void> {
    const { echo } = createClient(EchoService, this.transport);
    assert.equal((await echo({ message })).message, message);
  }

  /** Calls, again when a call has failed, as a program with retries does. */
  async callUntilAnswered(message: string): Promise<void> {
    for (;;) {
      try {
        await this.call(message);
        return;
      } catch {
        await this.network.advance(callIntervalMs);
      }
    }
  }

  /** Calls that begin every 20 ms, answered or not, and a stream that goes on all the time; until `stop`. */
  startTraffic(): Traffic {
    return new Traffic(this);
  }

  async #start(): Promise<void> {
    const { endpoint } = this.#options;
    this.#server = await Endpoint.bind({ ...this.serverHost.options, ...endpoint });
    createPeerRouter(this.#server).service(EchoService, echoImplementation);
    this.#client = await Endpoint.bind({ ...this.clientHost.options, ...endpoint });
    await Promise.all([this.#server.online(), this.#client.online()]);
    // Until both know how they are seen.
    await this.network.advance(1_000);
    const trips = await Promise.all([this.#ping(this.clientHost), this.#ping(this.serverHost)]);
    this.#relayRoundTripMs = trips[0] + trips[1];
  }

  /** How long the relay takes to answer. */
  async #ping(host: TestHost): Promise<number> {
    const { request } = host.options.network;
    const signal = new AbortController().signal;
    const ask = () =>
      request(new URL("/ping", this.relay.url), { method: "GET", signal, maxBytes: 1_000 });
    await ask();
    const startedAt = this.network.now;
    await ask();
    return this.network.now - startedAt;
  }

  async #close(): Promise<void> {
    await this.#transport?.close();
    await Promise.all([
      this.#client?.close({ timeoutMs: 0 }),
      this.#server?.close({ timeoutMs: 0 }),
    ]);
  }
}

export class Traffic {
  readonly #lab: PathLab;
  readonly #startedAt: number;
  readonly #failures: unknown[] = [];
  readonly #running = new Set<Promise<void>>();
  readonly #outbox = new Outbox();
  readonly #stream: Promise<void>;
  #calls = 0;
  #isOver = false;
  #firstAt: number | undefined;
  #directAt: number | undefined;
  #lastAnswerAt: number;
  #lastEchoAt: number;
  #longestStallMs = 0;

  constructor(lab: PathLab) {
    this.#lab = lab;
    this.#startedAt = lab.network.now;
    this.#lastAnswerAt = this.#startedAt;
    this.#lastEchoAt = this.#startedAt;
    const client = createClient(EchoService, lab.transport);
    this.#stream = this.#converse(client.converse.bind(client));
    this.#tick(client.echo.bind(client));
  }

  /** Forgets how long anything took until now, to measure what comes. */
  mark(): void {
    this.#longestStallMs = 0;
    this.#lastAnswerAt = this.#lab.network.now;
    this.#lastEchoAt = this.#lab.network.now;
  }

  /** Lets time pass until data goes so, both ways. */
  async until(path: "direct" | "relay", limitMs = 10_000): Promise<void> {
    const deadline = this.#lab.network.now + limitMs;
    while (this.#lab.path !== path) {
      assert.ok(this.#lab.network.now < deadline, `still ${this.#lab.path} after ${limitMs} ms`);
      await this.#lab.network.advance(callIntervalMs);
    }
  }

  /** Ends the calls, waits for their answers, and tells. */
  async stop(): Promise<Journal> {
    this.#isOver = true;
    this.#outbox.finish();
    await Promise.all([...this.#running, this.#stream]);
    assert.ok(this.#firstAt !== undefined, `no call was answered: ${this.#failures[0]}`);
    return {
      firstResponseMs: this.#firstAt - this.#startedAt,
      directMs: this.#directAt === undefined ? undefined : this.#directAt - this.#firstAt,
      finalPath: this.#lab.path,
      calls: this.#calls,
      failures: this.#failures,
      longestStallMs: this.#longestStallMs,
    };
  }

  #tick(echo: (request: { message: string }) => Promise<{ message: string }>): void {
    if (this.#isOver) {
      return;
    }
    if (
      this.#directAt === undefined &&
      this.#firstAt !== undefined &&
      this.#lab.path === "direct"
    ) {
      this.#directAt = this.#lab.network.now;
    }
    const call = this.#call(echo, `call ${this.#calls}`);
    this.#calls += 1;
    this.#running.add(call);
    void call.finally(() => this.#running.delete(call));
    this.#outbox.send(`message ${this.#calls}`);
    void this.#lab.network.advance(callIntervalMs).then(() => this.#tick(echo));
  }

  async #call(
    echo: (request: { message: string }) => Promise<{ message: string }>,
    message: string,
  ): Promise<void> {
    try {
      assert.equal((await echo({ message })).message, message);
      const { now } = this.#lab.network;
      this.#firstAt ??= now;
      this.#longestStallMs = Math.max(this.#longestStallMs, now - this.#lastAnswerAt);
      this.#lastAnswerAt = now;
    } catch (error) {
      this.#failures.push(error);
    }
  }

  async #converse(
    converse: (requests: AsyncIterable<{ message: string }>) => AsyncIterable<{ message: string }>,
  ): Promise<void> {
    let number = 0;
    try {
      for await (const { message } of converse(this.#outbox)) {
        number += 1;
        assert.equal(message, `message ${number}`);
        const { now } = this.#lab.network;
        this.#longestStallMs = Math.max(this.#longestStallMs, now - this.#lastEchoAt);
        this.#lastEchoAt = now;
      }
      assert.equal(number, this.#calls, "messages of the stream");
    } catch (error) {
      this.#failures.push(error);
    }
  }
}
