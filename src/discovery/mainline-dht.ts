import { AsyncQueue } from "../base/async-queue.ts";
import { onAbort } from "../base/on-abort.ts";
import { pause } from "../base/pause.ts";
import type { SocketAddress } from "../base/socket-address.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { DhtNode } from "./dht-node.ts";
import type {
  DiscoveredAddr,
  Discovery,
  DiscoveryContext,
  DiscoverySource,
  OwnAddr,
} from "./discovery.ts";
import { asDiscoveryError, DiscoveryError } from "./discovery-error.ts";
import type { EndpointInfo } from "./endpoint-info.ts";
import { discoveredAddrOf, signEndpointRecord } from "./endpoint-record.ts";
import { PkarrClock, type PkarrPacket } from "./pkarr-packet.ts";
import { type PublisherOptions, publishedInfo } from "./pkarr-publisher.ts";
import { Republisher } from "./republisher.ts";

/** Where the way into the DHT begins. */
const defaultBootstrap = [
  "router.bittorrent.com:6881",
  "dht.transmissionbt.com:6881",
  "relay.pkarr.org:6881",
];
/** For one time of looking up the nodes and storing there. Milliseconds. */
const putTimeoutMs = 60_000;
/** The package behind it stores less than 1000 bytes. */
const maxMessageBytes = 999;

export interface MainlineDhtOptions extends PublisherOptions {
  /** First nodes, as `host:port`. Default: the public ones of BitTorrent's DHT. */
  readonly bootstrap?: readonly string[] | undefined;
  /** Whether the own address is published. Default true. */
  readonly publish?: boolean | undefined;
  /** Time until the same is published again: nodes forget after two hours. Milliseconds. Default 3_600_000. */
  readonly republishMs?: number | undefined;
}

/**
 * Publishes and finds signed records in BitTorrent's DHT (BEP 44, as pkarr uses it), for which nobody has to run a server.
 * Slower than the others: some seconds. Needs the package `bittorrent-dht`, version 11, to be installed; without it
 * resolving and publishing fail with `missing-package`.
 *
 * @throws TypeError for a first node that is no `host:port`
 */
export function mainlineDht(options: MainlineDhtOptions = {}): DiscoverySource {
  const bootstrap = (options.bootstrap ?? defaultBootstrap).map(parseHostPort);
  return (context) => {
    const nodes = new SharedNode(bootstrap, context);
    const publishing = new DhtPublishing(nodes, context, options);
    const republisher = new Republisher({
      platform: context.platform,
      intervalMs: options.republishMs ?? 3_600_000,
      put: (info, { signal }) => publishing.put(info, signal),
      report: context.report,
    });
    const name = "mainline DHT";
    const discovery: Discovery = {
      name,
      resolve: (id, { signal }) => resolve(nodes, id, { signal, name, context }),
      publish: (own: OwnAddr) => republisher.publish(publishedInfo(own, options)),
      close: async () => {
        await republisher.close();
        await nodes.close();
      },
    };
    if (options.publish === false) {
      const { publish: _, ...resolver } = discovery;
      return resolver;
    }
    return discovery;
  };
}

interface ResolveTools {
  readonly signal: AbortSignal;
  readonly name: string;
  readonly context: DiscoveryContext;
}

/** Packets as nodes give them, each newer than the one before. */
async function* resolve(
  nodes: SharedNode,
  id: EndpointId,
  { signal, name, context }: ResolveTools,
): AsyncGenerator<DiscoveredAddr, void, undefined> {
  const found = new AsyncQueue<PkarrPacket>();
  let error: DiscoveryError | undefined;
  const asking = nodes.use(signal, async (node) => {
    let newestUs = -1n;
    await node.get(id, (packet) => {
      if (packet.timestampUs > newestUs) {
        newestUs = packet.timestampUs;
        found.push(packet);
      }
    });
  });
  // Whoever leaves before the end has aborted the signal, or will not hear of an error.
  void asking
    .catch((problem: unknown) => {
      error = asDiscoveryError(problem);
    })
    .finally(() => found.end());
  for (;;) {
    const packet = await found.next({ signal });
    if (packet === undefined) {
      break;
    }
    yield discoveredAddrOf(packet, name, context.platform.unixMs());
  }
  if (error !== undefined) {
    throw error;
  }
}

class DhtPublishing {
  readonly #nodes: SharedNode;
  readonly #context: DiscoveryContext;
  readonly #options: PublisherOptions;
  readonly #clock = new PkarrClock();

  constructor(nodes: SharedNode, context: DiscoveryContext, options: PublisherOptions) {
    this.#nodes = nodes;
    this.#context = context;
    this.#options = options;
  }

  /** Nodes refuse what is older than what they have: that is looked up first, with the nodes nearest to the key. */
  async put(info: EndpointInfo, signal: AbortSignal): Promise<void> {
    const { secretKey, platform } = this.#context;
    const done = new AbortController();
    const stop = onAbort(signal, () => done.abort(signal.reason));
    const late = pause(platform, putTimeoutMs, done.signal).then(
      () =>
        done.abort(
          new DiscoveryError(
            "timeout",
            `the DHT did not take the record within ${putTimeoutMs} ms`,
          ),
        ),
      () => {},
    );
    try {
      await this.#nodes.use(done.signal, async (node) => {
        await node.get(secretKey.publicKey, ({ timestampUs }) => this.#clock.observe(timestampUs));
        const timestampUs = this.#clock.next(platform.unixMs());
        const ttl = this.#options.ttl ?? 300;
        await node.put(signEndpointRecord(secretKey, info, { timestampUs, ttl, maxMessageBytes }));
      });
    } finally {
      stop();
      done.abort();
      await late;
    }
  }
}

/** One node for all that goes on at the same time, and none while nothing does. */
class SharedNode {
  readonly #bootstrap: readonly HostPort[];
  readonly #context: DiscoveryContext;
  readonly #closed = new AbortController();
  /** Of the last time. */
  #known: readonly SocketAddress[] = [];
  #node: Promise<DhtNode> | undefined;
  #releasing: Promise<void> | undefined;
  #users = 0;

  constructor(bootstrap: readonly HostPort[], context: DiscoveryContext) {
    this.#bootstrap = bootstrap;
    this.#context = context;
  }

  /** Runs `work` with the node. Rejects with the signal's reason as soon as it fires, whatever `work` does then. */
  async use(signal: AbortSignal, work: (node: DhtNode) => Promise<void>): Promise<void> {
    signal.throwIfAborted();
    this.#closed.signal.throwIfAborted();
    this.#users += 1;
    const stops: (() => void)[] = [];
    try {
      await new Promise<void>((done, reject) => {
        for (const each of [signal, this.#closed.signal]) {
          stops.push(onAbort(each, () => reject(each.reason)));
        }
        this.#node ??= this.#open();
        this.#node.then(work).then(done, reject);
      });
    } finally {
      for (const stop of stops) {
        stop();
      }
      this.#users -= 1;
      if (this.#users === 0) {
        // Not waited for: it may be opening still, for long.
        this.#releasing = this.#release();
      }
    }
  }

  async close(): Promise<void> {
    this.#closed.abort(new DiscoveryError("unavailable", "the endpoint is closed"));
    await this.#releasing;
    await this.#release();
  }

  async #open(): Promise<DhtNode> {
    const { network } = this.#context;
    const looked = await Promise.allSettled(
      this.#bootstrap.map(({ host, port }) => network.resolveHost(host, port)),
    );
    const first = looked.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    const addresses = [...this.#known, ...first].filter(({ family }) => family === 4);
    if (addresses.length === 0) {
      throw new DiscoveryError("unavailable", "no first node of the DHT has an IPv4 address");
    }
    return await DhtNode.open(addresses, network);
  }

  /** Never rejects. */
  async #release(): Promise<void> {
    const opening = this.#node;
    this.#node = undefined;
    const node = await opening?.catch(() => undefined);
    if (node !== undefined) {
      this.#known = node.nodes();
      await node.close();
    }
  }
}

interface HostPort {
  readonly host: string;
  readonly port: number;
}

function parseHostPort(text: string): HostPort {
  const [, host, port] = /^([^:]+):([0-9]{1,5})$/.exec(text) ?? [];
  if (host === undefined || Number(port) > 0xffff) {
    throw new TypeError(`invalid DHT node ${JSON.stringify(text)}: expected host:port`);
  }
  return { host, port: Number(port) };
}
