import type { Client, Transport } from "@connectrpc/connect";
import { nodePlatform } from "../base/node-platform.ts";
import type { Platform } from "../base/platform.ts";
import type { DiscoverySource } from "../discovery/discovery.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { createPeerClient } from "../rpc/peer-client.ts";
import { type FoundPeer, foundPeer } from "./found-peer.ts";
import { RendezvousService } from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import {
  KeptRegistration,
  type RegisteringPeer,
  type RegisterOptions,
} from "./kept-registration.ts";
import { findPartner, type Pair, type PairOptions } from "./pair.ts";
import { type PeerQuery, selectorOf } from "./peer-query.ts";
import { type PeerChange, type WatchOptions, watchPeers } from "./peer-watch.ts";
import {
  createRendezvousDiscovery,
  type RendezvousDiscoveryOptions,
} from "./rendezvous-discovery.ts";

export interface RendezvousOptions {
  /** How the place is called: `createQuicTransport({ endpoint, to })` by its key, or a transport of connect-node or connect-web. */
  readonly transport: Transport;
  /** A registry of its own among those of the place. Default "". */
  readonly namespace?: string;
  /**
   * The name of the place, which it is called by: its id, or the origin of its URL. Registrations are then of no use to any
   * other place that knows its names. Default: they are for any place.
   */
  readonly audience?: string;
  /** Shown with each call, as `Authorization: Bearer`, to a place that lets in nobody without. Default none. */
  readonly token?: string;
  readonly platform?: Platform;
}

/**
 * A place where peers register and find each other, as its users see it. Has nothing to be closed but what is made of it.
 *
 * ```ts
 * const rendezvous = new Rendezvous({ transport: createQuicTransport({ endpoint, to: ticket }) });
 * await using registration = rendezvous.register(endpoint, { services: [EchoService] });
 * for await (const peer of rendezvous.lookUp({ service: EchoService })) console.log(peer.id, peer.labels);
 * ```
 */
export class Rendezvous {
  readonly namespace: string;
  /** What messages call it: the place by its key, where it is called by that, and the namespace. */
  readonly name: string;
  readonly #client: Client<typeof RendezvousService>;
  readonly #audience: string;
  readonly #platform: Platform;

  constructor({ transport, namespace = "", audience = "", token, platform }: RendezvousOptions) {
    this.namespace = namespace;
    this.name = nameOf(transport, namespace);
    this.#client = createPeerClient(
      RendezvousService,
      token === undefined ? transport : withToken(transport, token),
    );
    this.#audience = audience;
    this.#platform = platform ?? nodePlatform;
  }

  /**
   * Registers a peer, and keeps it registered until that is closed: with its present address, through losses of the
   * connection and of the place. Throws {@link RendezvousError} `malformed` or `too-large`.
   */
  register(peer: RegisteringPeer, options: RegisterOptions = {}): KeptRegistration {
    const context = { ...this.#context, audience: this.#audience };
    return new KeptRegistration(context, peer, options);
  }

  /** The peers that fit, as they are now. Throws ConnectError, and IdentityError for what is no id. */
  async *lookUp(
    query: PeerQuery = {},
    options: { readonly signal?: AbortSignal; readonly pageSize?: number } = {},
  ): AsyncGenerator<FoundPeer, void, undefined> {
    const { signal, pageSize = 0 } = options;
    const selector = selectorOf(this.namespace, query);
    let pageToken = new Uint8Array();
    do {
      const page = await this.#client.lookUp(
        { selector, pageSize, pageToken },
        signal === undefined ? {} : { signal },
      );
      for (const peer of page.peers) {
        const found = foundPeer(peer, this.namespace);
        if (found !== undefined) {
          yield found;
        }
      }
      pageToken = new Uint8Array(page.nextPageToken);
    } while (pageToken.length > 0);
  }

  /**
   * The peers that fit, and from then on what changes, until it is left or the signal fires; also while the place cannot be
   * reached for a time. Throws ConnectError where no further try helps, such as PermissionDenied.
   */
  watch(
    query: PeerQuery = {},
    options: WatchOptions = {},
  ): AsyncGenerator<PeerChange, void, undefined> {
    return watchPeers(this.#context, query, options);
  }

  /**
   * Waits for a partner out of a pool. Two that are registered get each other, once, those first who have waited longest;
   * whose process or registration ends is no partner any more. Rejects with the signal's reason, with ConnectError where no
   * further try helps, and with RendezvousError once the registration is over.
   */
  pair(registration: KeptRegistration, options: PairOptions = {}): Promise<Pair> {
    return findPartner(this.#context, registration, options);
  }

  /**
   * A source of addresses for `Endpoint.bind({ discovery: [rendezvous.discovery()] })`: those that a peer has registered with.
   * Believes what the peer has signed alone. With `register`, the endpoint registers as well.
   */
  discovery(options: RendezvousDiscoveryOptions = {}): DiscoverySource {
    return createRendezvousDiscovery(this, options);
  }

  get #context(): {
    readonly client: Client<typeof RendezvousService>;
    readonly namespace: string;
    readonly platform: Platform;
  } {
    return { client: this.#client, namespace: this.namespace, platform: this.#platform };
  }
}

function nameOf(transport: Transport, namespace: string): string {
  const place = "peer" in transport ? transport.peer : undefined;
  const which = place instanceof EndpointId ? ` ${place.short}` : "";
  return `rendezvous${which}${namespace === "" ? "" : `, namespace ${JSON.stringify(namespace)}`}`;
}

function withToken(transport: Transport, token: string): Transport {
  const shown = (header: ConstructorParameters<typeof Headers>[0]): Headers => {
    const headers = new Headers(header);
    headers.set("authorization", `Bearer ${token}`);
    return headers;
  };
  return {
    unary: (method, signal, timeoutMs, header, ...rest) =>
      transport.unary(method, signal, timeoutMs, shown(header), ...rest),
    stream: (method, signal, timeoutMs, header, ...rest) =>
      transport.stream(method, signal, timeoutMs, shown(header), ...rest),
  };
}
