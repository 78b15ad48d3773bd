import type { Platform } from "../base/platform.ts";
import type { SocketAddress } from "../base/socket-address.ts";
import type { Shard } from "../engine/engine.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { OwnAddress } from "../net/candidate-addresses.ts";
import type { BindSocket, DatagramSocket, DatagramSocketHandler } from "../net/datagram-socket.ts";
import type { InterfaceChange } from "../net/interface-watch.ts";
import type { OwnAddresses } from "../net/own-addresses.ts";
import type { RelayConnectionsHandler, Relays } from "../net/relay-connections.ts";
import type { RelayClientState } from "../relay/relay-client.ts";
import {
  type HubMessage,
  ShardLink,
  type ShardPlace,
  type ShardPort,
  type ShardWelcome,
} from "./shard-link.ts";

/** What an endpoint needs to know of where it is. */
export type OwnPlace = Pick<
  OwnAddresses,
  "current" | "networkChanged" | "observed" | "setMapped" | "start" | "stop"
>;

export interface ShardNetworkOptions {
  readonly welcome: ShardWelcome;
  readonly port: ShardPort;
  readonly platform: Platform;
}

export interface ShardNetworkHandler {
  /** Where the hub can be reached has changed. */
  placeChanged(): void;
  networkChanged(change: InterfaceChange): void;
  /** The hub wants to close, and waits so long for what is under way. */
  close(graceMs: number): void;
}

/**
 * The network of an endpoint on another thread than that of its hub, which has the sockets, the connections to relays, and
 * all that finds out where the endpoint is. Every message of the hub goes to {@link ShardNetwork.receive}.
 */
export class ShardNetwork {
  readonly shard: Shard;
  readonly secretKey: Uint8Array;
  readonly own: OwnPlace;
  /** Set by the endpoint before anything arrives. */
  handler: ShardNetworkHandler | undefined;
  readonly #options: ShardNetworkOptions;
  readonly #link: ShardLink;
  readonly #relayHeardAt = new Map<RelayUrl, number>();
  #place: ShardPlace;
  #datagrams: DatagramSocketHandler | undefined;
  #relayed: RelayConnectionsHandler | undefined;
  #serving: boolean | undefined;

  constructor(options: ShardNetworkOptions) {
    const { welcome, platform, port } = options;
    const { number, secret, secretKey, place } = welcome;
    this.#options = options;
    this.shard = { number, secret };
    this.secretKey = secretKey;
    this.#place = place;
    this.#link = new ShardLink({
      port,
      outgoing: welcome.toHub,
      incoming: welcome.toShard,
      // All that a turn sends.
      atEnd: (flush) => platform.settled(flush),
      datagrams: (remote, bytes, segmentSize) => {
        if (remote.type === "ip") {
          this.#datagrams?.datagram(remote.address, bytes);
        } else {
          this.#relayHeardAt.set(remote.url, platform.now());
          this.#relayed?.datagrams(remote.url, remote.peer, bytes, segmentSize);
        }
      },
    });
    const addresses = (): readonly OwnAddress[] => this.#place.addresses;
    this.own = {
      get current() {
        return addresses();
      },
      networkChanged: () => this.#link.post({ type: "stalled" }),
      observed: nothing,
      setMapped: nothing,
      start: nothing,
      stop: nothing,
    };
  }

  /** What the hub has posted. */
  receive(message: HubMessage | undefined): void {
    if (message === undefined) {
      this.#link.receive();
      return;
    }
    switch (message.type) {
      case "place":
        this.#place = message.place;
        this.handler?.placeChanged();
        break;
      case "network-changed":
        this.handler?.networkChanged(message.change);
        break;
      case "relay-heard":
        this.#relayHeardAt.set(message.url, this.#options.platform.now() - message.agoMs);
        break;
      case "close":
        this.handler?.close(message.graceMs);
        break;
      default:
        message satisfies never;
    }
  }

  /** Tells the hub whether connections may come here. */
  serve(serving: boolean): void {
    if (serving !== this.#serving) {
      this.#serving = serving;
      this.#link.post({ type: "serving", serving });
    }
  }

  /** The hub's sockets. */
  readonly bindSocket: BindSocket = async (_addresses, handler): Promise<DatagramSocket> => {
    this.#datagrams = handler;
    const link = this.#link;
    const { localAddresses } = this.#options.welcome;
    return {
      localAddresses,
      send: (to: SocketAddress, bytes: Uint8Array, segmentSize: number) =>
        link.sendDirect(to, bytes, segmentSize),
      setRef: (ref: boolean) => link.setRef(ref),
      close: async () => {
        link.post({ type: "closed" });
        link.close();
        link.setRef(false);
      },
    };
  };

  /** The hub's relays. */
  readonly openRelays = (handler: RelayConnectionsHandler): Relays => {
    this.#relayed = handler;
    const link = this.#link;
    const home = (): RelayUrl | undefined => this.#place.homeRelay;
    return {
      get home() {
        return home();
      },
      setHome: nothing,
      state: (): RelayClientState | undefined => undefined,
      heardAt: (url: RelayUrl) => this.#relayHeardAt.get(url),
      probe: (url: RelayUrl) => link.post({ type: "probe-relay", url }),
      latencyMs: () => undefined,
      connect: nothing,
      send: (url: RelayUrl, to: EndpointId, bytes: Uint8Array, segmentSize: number) =>
        link.sendRelayed(url, to, bytes, segmentSize),
      networkChanged: nothing,
      close: nothing,
    };
  };
}

function nothing(): void {}
