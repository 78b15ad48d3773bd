// Peers that serve the echo service in a network in virtual time, and a caller that knows them by a source.

import type { TestContext } from "node:test";
import {
  type Client,
  ConnectError,
  createClient,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { AsyncQueue } from "../../src/base/async-queue.ts";
import {
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  EndpointAddr,
  type EndpointId,
  type PeerRouter,
  type PeerRouterOptions,
  type PeerSource,
  type PeerSourceChange,
  SecretKey,
  type ServiceTransport,
  type ServiceTransportOptions,
} from "../../src/index.ts";
import { createTestNetwork, type TestHost, type TestNetwork } from "../../src/testing.ts";
import { EchoService, echoImplementation } from "../support/echo-service.ts";

/** A peer that serves, and what came to it. */
export interface Server {
  readonly name: string;
  readonly host: TestHost;
  readonly endpoint: Endpoint;
  readonly router: PeerRouter;
  /** The messages of its unary calls, one for each time that the handler ran. */
  readonly ran: string[];
}

export interface ServeOptions {
  /** The way to it. Milliseconds, default 5. */
  readonly delayMs?: number;
  readonly router?: PeerRouterOptions;
  readonly implementation?: Partial<ServiceImpl<typeof EchoService>>;
}

/** Who is at an address. */
export interface Placed {
  readonly endpoint: Pick<Endpoint, "addr" | "id">;
}

/** A peer with this address alone, by default somebody who is not there. */
export function placedAt(
  address: string,
  id: EndpointId = SecretKey.fromBytes(new TextEncoder().encode(address.padEnd(32))).publicKey,
): Placed {
  const addr = EndpointAddr.from({ id, addrs: [address] });
  return { endpoint: { id, addr: () => addr } };
}

/** A source that a test plays. */
export class PlayedSource implements PeerSource {
  readonly name = "the play";
  /** The watches there have been. */
  readonly watched: string[] = [];
  /** Those that run. */
  open = 0;
  #known = new Map<string, PeerSourceChange>();
  readonly #queues = new Set<AsyncQueue<PeerSourceChange | Error>>();
  isComplete = true;

  async *watch(
    { service }: { readonly service: string },
    { signal }: { readonly signal: AbortSignal },
  ): AsyncGenerator<PeerSourceChange> {
    this.watched.push(service);
    this.open += 1;
    const queue = new AsyncQueue<PeerSourceChange | Error>();
    this.#queues.add(queue);
    try {
      yield* this.#known.values();
      if (this.isComplete) {
        yield { type: "complete" };
      }
      for (;;) {
        const change = await queue.next({ signal });
        if (change === undefined) {
          return;
        }
        if (change instanceof Error) {
          throw change;
        }
        yield change;
      }
    } finally {
      this.open -= 1;
      this.#queues.delete(queue);
    }
  }

  put(...peers: readonly Placed[]): void {
    for (const { endpoint } of peers) {
      const change = { type: "put", peer: { id: endpoint.id, addr: endpoint.addr() } } as const;
      this.#known.set(endpoint.id.toString(), change);
      this.#tell(change);
    }
  }

  /** Known to the next watch no more, and said of this one unless it is `silent`. */
  remove({ endpoint: { id } }: Placed, options = { silent: false }): void {
    this.#known.delete(id.toString());
    if (!options.silent) {
      this.#tell({ type: "gone", id });
    }
  }

  fail(error: Error): void {
    this.#tell(error);
  }

  #tell(change: PeerSourceChange | Error): void {
    for (const queue of this.#queues) {
      queue.push(change);
    }
  }
}

export class Fleet {
  readonly network: TestNetwork;
  readonly caller: TestHost;
  readonly endpoint: Endpoint;
  readonly source: PlayedSource = new PlayedSource();
  readonly reports: unknown[] = [];
  readonly #servers: Server[] = [];
  readonly #transports: ServiceTransport[] = [];

  private constructor(network: TestNetwork, caller: TestHost, endpoint: Endpoint) {
    this.network = network;
    this.caller = caller;
    this.endpoint = endpoint;
  }

  /** Plays `story` in a network with a caller, and closes all of it. */
  static async play(t: TestContext, story: (fleet: Fleet) => Promise<void>): Promise<void> {
    const network = createTestNetwork({ seed: 7 });
    const caller = network.host({ name: "caller", link: { delayMs: 0 } });
    await network.run(async () => {
      const endpoint = await Endpoint.bind({ ...caller.options, secretKey: keyOf("caller") });
      const fleet = new Fleet(network, caller, endpoint);
      t.diagnostic(`seed ${network.seed}`);
      try {
        await story(fleet);
      } finally {
        await fleet.#close();
      }
    });
  }

  async serve(name: string, options: ServeOptions = {}): Promise<Server> {
    const { delayMs = 5, implementation, router: routerOptions = {} } = options;
    const host = this.network.host({ name, link: { delayMs } });
    const endpoint = await Endpoint.bind({ ...host.options, secretKey: keyOf(name) });
    const router = createPeerRouter(endpoint, routerOptions);
    const ran: string[] = [];
    router.service(EchoService, {
      ...echoImplementation,
      echo: ({ message }: { message: string }, _context: HandlerContext) => {
        ran.push(message);
        return { message: name };
      },
      ...implementation,
    });
    const server: Server = { name, host, endpoint, router, ran };
    this.#servers.push(server);
    return server;
  }

  /** Servers `a`, `b`, … that the source knows. */
  async serveAll(names: string, options?: ServeOptions): Promise<Server[]> {
    const servers = await Promise.all([...names].map((name) => this.serve(name, options)));
    this.source.put(...servers);
    return servers;
  }

  transport(options: Partial<ServiceTransportOptions> = {}): ServiceTransport {
    const transport = createQuicTransport({
      endpoint: this.endpoint,
      service: EchoService,
      via: this.source,
      ...options,
    });
    this.#transports.push(transport);
    return transport;
  }

  client(transport: ServiceTransport): Client<typeof EchoService> {
    return createClient(EchoService, transport);
  }

  /** Lets time pass until `done`. Milliseconds. */
  async until(done: () => boolean, limitMs = 120_000): Promise<void> {
    const end = this.network.now + limitMs;
    while (!done()) {
      if (this.network.now >= end) {
        throw new Error(`not within ${limitMs} ms: ${done}`);
      }
      await this.pass(10);
    }
  }

  async pass(durationMs: number): Promise<void> {
    const { platform } = this.caller.options;
    await new Promise<void>((resolve) => {
      platform.setTimer(durationMs, resolve);
    });
  }

  async #close(): Promise<void> {
    await Promise.all(this.#transports.map((transport) => transport.close({ timeoutMs: 0 })));
    const endpoints = [this.endpoint, ...this.#servers.map(({ endpoint }) => endpoint)];
    await Promise.all(endpoints.map((endpoint) => endpoint.close({ timeoutMs: 0 })));
  }
}

/** The same in each run, so that keys of calls go to the same peers. */
function keyOf(name: string): SecretKey {
  return SecretKey.fromBytes(new TextEncoder().encode(name.padEnd(32, ".")));
}

/** The states of the peers of a transport, by the names of the servers. */
export function statesOf(
  transport: ServiceTransport,
  servers: readonly Server[],
): Record<string, string> {
  return Object.fromEntries(
    servers.map(({ endpoint, name }) => {
      const peer = transport.peers.find(({ id }) => id.equals(endpoint.id));
      return [name, peer?.state ?? "unknown"];
    }),
  );
}

export function readyCount(transport: ServiceTransport): number {
  return transport.peers.filter(({ state }) => state === "ready").length;
}

/** Who answers that many calls, one after the other, in this order. */
export async function whoAnswers(
  client: Client<typeof EchoService>,
  count: number,
): Promise<string[]> {
  const names: string[] = [];
  for (let index = 0; index < count; index++) {
    names.push((await client.echo({ message: `${index}` })).message);
  }
  return names;
}

export async function errorOf(work: Promise<unknown>): Promise<ConnectError> {
  return await work.then(
    () => {
      throw new Error("it has not failed");
    },
    (error: unknown) => ConnectError.from(error),
  );
}
