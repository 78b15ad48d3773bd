import type { Platform } from "../base/platform.ts";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import type { TransportAddr } from "../identity/transport-addr.ts";
import type { RelayClientState } from "../relay/relay-client.ts";
import type { DatagramSocket, DatagramSocketHandler } from "./datagram-socket.ts";
import { dialableAddresses } from "./dialable-addresses.ts";
import { FirstFlight } from "./first-flight.ts";
import type { InterfaceChange } from "./interface-watch.ts";
import { isMapped, MappedAddresses } from "./mapped-addresses.ts";
import type { Network } from "./network.ts";
import {
  type RelayAccess,
  RelayConnections,
  type RelayConnectionsHandler,
  type Relays,
} from "./relay-connections.ts";
import { type PathEvent, RemotePaths } from "./remote-paths.ts";

export interface PeerSocketOptions {
  readonly secretKey: SecretKey;
  readonly platform: Platform;
  readonly network: Network;
  /** Addresses of ours that peers may try now. */
  candidates(): readonly SocketAddress[];
  readonly relayAccess: ReadonlyMap<RelayUrl, RelayAccess>;
  /** In place of connections of our own. */
  readonly openRelays?: ((handler: RelayConnectionsHandler) => Relays) | undefined;
  readonly handler: PeerSocketHandler;
}

export interface PeerSocketHandler {
  pathEvent(peer: EndpointId, event: PathEvent): void;
  relayChanged(url: RelayUrl, state: RelayClientState): void;
  /** Looks at what comes over UDP before QUIC does; true: it was for somebody else. `bytes` belongs to it then. */
  intercept(from: SocketAddress, bytes: Uint8Array): boolean;
}

/** Peers without a connection whose addresses are remembered; those used longest ago go first. */
const maxIdlePeers = 1_000;

interface Peer {
  readonly id: EndpointId;
  readonly paths: RemotePaths;
  readonly flight: FirstFlight;
  /** Dials under way. */
  dials: number;
  /** Where somebody else has answered a dial, or the peer did not want to; as long as it is dialed. */
  readonly leftOut: Set<string>;
}

/**
 * All ways to peers as one socket: UDP, relays, and for a peer that is dialed everything that is known of it at once. What
 * is no UDP address has a stand-in, see {@link MappedAddresses}, which QUIC uses like any other.
 */
export class PeerSocket implements DatagramSocket {
  readonly relays: Relays;
  readonly #options: PeerSocketOptions;
  readonly #socket: DatagramSocket;
  readonly #mapped: MappedAddresses;
  readonly #peers = new Map<string, Peer>();
  /** By the address of a path. */
  readonly #atAddress = new Map<string, Peer>();
  /** The same by address object, which is the same one from packet to packet, and with those looked up in vain. */
  #owners = new WeakMap<SocketAddress, { readonly peer: Peer | undefined }>();

  /** Opens the UDP sockets. Rejects when an address cannot be bound. `handler` gets what is for QUIC. */
  static async bind(
    addresses: readonly SocketAddress[],
    handler: DatagramSocketHandler,
    options: PeerSocketOptions,
  ): Promise<PeerSocket> {
    const { intercept } = options.handler;
    const socket = await options.network.bindSocket(addresses, {
      datagram: (from, bytes) => {
        if (!intercept(from, bytes) && !isMapped(from)) {
          handler.datagram(from, bytes);
        }
      },
      failed: (error) => handler.failed(error),
    });
    return new PeerSocket(socket, handler, options);
  }

  private constructor(
    socket: DatagramSocket,
    handler: DatagramSocketHandler,
    options: PeerSocketOptions,
  ) {
    const { platform, secretKey, network, relayAccess, openRelays } = options;
    this.#socket = socket;
    this.#options = options;
    this.#mapped = new MappedAddresses((into) => platform.randomFill(into));
    const relayed: RelayConnectionsHandler = {
      datagrams: (url, from, bytes, segmentSize) => {
        const address = this.#relayed(url, from);
        for (let start = 0; start < bytes.length; start += segmentSize) {
          handler.datagram(address, bytes.subarray(start, start + segmentSize));
        }
      },
      stateChanged: (url, state) => options.handler.relayChanged(url, state),
    };
    this.relays =
      openRelays?.(relayed) ??
      new RelayConnections({
        secretKey,
        platform,
        openChannel: network.openMessageChannel,
        access: relayAccess,
        handler: relayed,
      });
  }

  get localAddresses(): readonly SocketAddress[] {
    return this.#socket.localAddresses;
  }

  send(to: SocketAddress, bytes: Uint8Array, segmentSize: number): void {
    const target = this.#mapped.targetOf(to);
    if (target === undefined) {
      this.#ownerOf(to)?.paths.touched();
      this.#socket.send(to, bytes, segmentSize);
    } else if (target === "forgotten") {
      return;
    } else if (target.type === "relay") {
      this.#ownerOf(to)?.paths.touched();
      this.relays.send(target.url, target.peer, bytes, segmentSize);
    } else {
      const peer = this.#peers.get(target.peer.toString());
      peer?.flight.add(bytes, segmentSize);
      for (const address of peer === undefined ? [] : destinationsOf(peer)) {
        this.send(address, bytes, segmentSize);
      }
    }
  }

  /** Sends a datagram that is not QUIC's over UDP. */
  sendDirect(to: SocketAddress, bytes: Uint8Array): void {
    this.#socket.send(to, bytes, bytes.length);
  }

  /**
   * Where to dial a peer: an address that stands for all that is known, and for what becomes known while it is dialed.
   * `over` is to be called when the dial has ended.
   */
  dial(id: EndpointId): { readonly remote: SocketAddress; over(): void } {
    const peer = this.#peer(id);
    const target = { type: "mixed", peer: id } as const;
    peer.dials += 1;
    const over = (): void => {
      peer.dials -= 1;
      if (peer.dials === 0) {
        peer.flight.clear();
        peer.leftOut.clear();
        this.#mapped.forget(target);
      }
    };
    return { remote: this.#mapped.addressOf(target), over };
  }

  /** Whether a dial of this peer goes anywhere by now. */
  hasDestinations(id: EndpointId): boolean {
    return destinationsOf(this.#peer(id)).length > 0;
  }

  /**
   * What answered a dial at this address was not what is dialed: it goes there no more, nor what was sent till now
   * anywhere. False: it did not go there.
   */
  leaveOut(id: EndpointId, address: SocketAddress): boolean {
    const peer = this.#peer(id);
    const key = formatSocketAddress(address);
    if (!destinationsOf(peer).some((each) => formatSocketAddress(each) === key)) {
      return false;
    }
    peer.leftOut.add(key);
    peer.flight.clear();
    return true;
  }

  /** The paths to a peer, known or not. */
  paths(id: EndpointId): RemotePaths {
    return this.#peer(id).paths;
  }

  /** The paths to a peer, unless nothing is known of it. */
  knownPaths(id: EndpointId): RemotePaths | undefined {
    return this.#peers.get(id.toString())?.paths;
  }

  /** Takes in where a peer may be. A dial that is under way goes there as well. */
  addAddresses(id: EndpointId, addrs: readonly TransportAddr[]): void {
    const peer = this.#peer(id);
    const addresses = this.#toSocketAddresses(id, addrs);
    const known = new Set(peer.paths.known.map(formatSocketAddress));
    peer.paths.addKnown(addresses);
    if (peer.dials > 0) {
      for (const address of addresses) {
        if (!known.has(formatSocketAddress(address))) {
          peer.flight.replay((bytes, segmentSize) => this.send(address, bytes, segmentSize));
        }
      }
    }
  }

  /** The relay, and the peer behind it, that an address stands for; undefined for one of UDP. */
  relayedPeer(
    address: SocketAddress,
  ): { readonly url: RelayUrl; readonly peer: EndpointId } | undefined {
    const target = this.#mapped.targetOf(address);
    return typeof target === "object" && target.type === "relay" ? target : undefined;
  }

  /** What an address of a path is to people: a relay, or a UDP address. */
  transportAddrOf(address: SocketAddress): TransportAddr {
    const relayed = this.relayedPeer(address);
    return relayed === undefined ? { type: "ip", address } : { type: "relay", url: relayed.url };
  }

  /** Own addresses are others now. See {@link RemotePaths.ownCandidatesChanged}. */
  networkChanged(change: InterfaceChange): void {
    if (change.major) {
      const hosts = this.#options.network.interfaces().map(({ host }) => host);
      this.relays.networkChanged(new Set(hosts));
    }
    for (const { paths } of this.#peers.values()) {
      paths.ownCandidatesChanged(change);
    }
  }

  setRef(ref: boolean): void {
    this.#socket.setRef(ref);
  }

  async close(): Promise<void> {
    for (const { paths } of this.#peers.values()) {
      paths.close();
    }
    this.relays.close();
    await this.#socket.close();
  }

  #toSocketAddresses(id: EndpointId, addrs: readonly TransportAddr[]): SocketAddress[] {
    const direct = dialableAddresses(
      addrs.flatMap((addr) => (addr.type === "ip" ? [addr.address] : [])),
    );
    const relayed = addrs.flatMap((addr) =>
      addr.type === "relay" ? [this.#relayed(addr.url, id)] : [],
    );
    return [...relayed, ...direct.filter((address) => !isMapped(address))];
  }

  #relayed(url: RelayUrl, id: EndpointId): SocketAddress {
    return this.#mapped.addressOf({ type: "relay", url, peer: id });
  }

  #ownerOf(address: SocketAddress): Peer | undefined {
    let owner = this.#owners.get(address);
    if (owner === undefined) {
      owner = { peer: this.#atAddress.get(formatSocketAddress(address)) };
      this.#owners.set(address, owner);
    }
    return owner.peer;
  }

  #peer(id: EndpointId): Peer {
    const key = id.toString();
    const known = this.#peers.get(key);
    if (known !== undefined) {
      // Keeps the order: who is used comes last.
      this.#peers.delete(key);
      this.#peers.set(key, known);
      return known;
    }
    this.#forgetIdle();
    const { platform, handler } = this.#options;
    const peer: Peer = {
      id,
      flight: new FirstFlight(),
      dials: 0,
      leftOut: new Set(),
      paths: new RemotePaths({
        platform,
        isRelay: isMapped,
        relayHeardAt: (address) => {
          const url = this.relayedPeer(address)?.url;
          return url && this.relays.heardAt(url);
        },
        probeRelay: (address) => {
          const url = this.relayedPeer(address)?.url;
          if (url !== undefined) {
            this.relays.probe(url);
          }
        },
        candidates: () => this.#options.candidates(),
        report: (event) => {
          this.#follow(peer, event);
          handler.pathEvent(id, event);
        },
      }),
    };
    this.#peers.set(key, peer);
    return peer;
  }

  #follow(peer: Peer, event: PathEvent): void {
    if (event.type === "opened") {
      this.#atAddress.set(formatSocketAddress(event.remote), peer);
    } else if (event.type === "closed") {
      this.#atAddress.delete(formatSocketAddress(event.remote));
    } else {
      return;
    }
    this.#owners = new WeakMap();
  }

  #forgetIdle(): void {
    if (this.#peers.size < maxIdlePeers) {
      return;
    }
    for (const [key, { paths, dials }] of this.#peers) {
      if (!paths.hasConnections && dials === 0) {
        paths.close();
        this.#peers.delete(key);
        return;
      }
    }
  }
}

/** Where a dial goes. */
function destinationsOf({ paths, leftOut }: Peer): readonly SocketAddress[] {
  const { destinations } = paths;
  return leftOut.size === 0
    ? destinations
    : destinations.filter((address) => !leftOut.has(formatSocketAddress(address)));
}
