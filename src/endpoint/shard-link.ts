import { AddressBook, addressLength } from "../base/address-book.ts";
import { SharedRing } from "../base/shared-ring.ts";
import type { SocketAddress } from "../base/socket-address.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { parseRelayUrl, type RelayUrl } from "../identity/relay-url.ts";
import type { OwnAddress } from "../net/candidate-addresses.ts";
import type { InterfaceChange } from "../net/interface-watch.ts";

/** Where all shards can be reached, as their hub knows it. */
export interface ShardPlace {
  readonly addresses: readonly OwnAddress[];
  readonly homeRelay: RelayUrl | undefined;
}

/** What a shard has to know before it can begin. */
export interface ShardWelcome {
  /** The identity of all: 32 bytes. */
  readonly secretKey: Uint8Array;
  readonly number: number;
  readonly secret: Uint8Array;
  readonly localAddresses: readonly SocketAddress[];
  readonly place: ShardPlace;
  /** Memory of {@link SharedRing}: what the hub writes, and what the shard does. */
  readonly toShard: SharedArrayBuffer;
  readonly toHub: SharedArrayBuffer;
}

/** From the hub to a shard. */
export type HubMessage =
  | { readonly type: "place"; readonly place: ShardPlace }
  | { readonly type: "network-changed"; readonly change: InterfaceChange }
  /** A relay has shown life so long ago. */
  | { readonly type: "relay-heard"; readonly url: RelayUrl; readonly agoMs: number }
  | { readonly type: "close"; readonly graceMs: number };

/** From a shard to the hub. */
export type ShardMessage =
  /** There are protocols that it accepts, or none any more. */
  | { readonly type: "serving"; readonly serving: boolean }
  | { readonly type: "probe-relay"; readonly url: RelayUrl }
  /** A path has fallen silent: a NAT may have forgotten us. */
  | { readonly type: "stalled" }
  /** It is closed, and wants nothing more. */
  | { readonly type: "closed" };

/** A way to the other thread that keeps the order. Messages are copied. */
export interface ShardPort {
  /** Undefined: look into the ring. */
  post(message: unknown): void;
  /** Whether the port keeps the process alive. */
  setRef(ref: boolean): void;
}

/** Where datagrams of a record come from, or go to. */
export type ShardRemote =
  | { readonly type: "ip"; readonly address: SocketAddress }
  | { readonly type: "relay"; readonly url: RelayUrl; readonly peer: EndpointId };

export interface ShardLinkOptions {
  readonly port: ShardPort;
  /** What this side writes, and what it reads. */
  readonly outgoing: SharedArrayBuffer;
  readonly incoming: SharedArrayBuffer;
  /** Runs its argument when all is written that belongs together. */
  readonly atEnd: (flush: () => void) => void;
  /** `bytes` is borrowed: the other thread writes there again. Must not throw. */
  readonly datagrams: (remote: ShardRemote, bytes: Uint8Array, segmentSize: number) => void;
}

/**
 * Bytes that wait for the other side, in each direction; as much as is asked of the kernel for a socket. What comes above
 * it is lost, as on any network.
 */
export const linkCapacity: number = 4 << 20;
const keyLength = 32;
/** Peers behind relays that are remembered, so that their names are parsed once. */
const maxRemembered = 1_024;

/**
 * An end of what a hub and one of its shards have between them. Datagrams go through shared memory, everything else by
 * messages; a message without content says that there are datagrams.
 *
 * ```text
 * u32 segment size | u8 0 | address, 18 bytes | datagrams
 * u32 segment size | u8 length of the URL | id of the peer, 32 bytes | URL of the relay | datagrams
 * ```
 */
export class ShardLink {
  readonly #options: ShardLinkOptions;
  readonly #outgoing: SharedRing;
  readonly #incoming: SharedRing;
  readonly #view: DataView;
  readonly #addresses = new AddressBook();
  readonly #relayed = new Map<string, ShardRemote>();
  #isFlushing = false;
  #isClosed = false;

  constructor(options: ShardLinkOptions) {
    this.#options = options;
    this.#outgoing = new SharedRing(options.outgoing);
    this.#incoming = new SharedRing(options.incoming);
    const { buffer, byteOffset, byteLength } = this.#outgoing.bytes;
    this.#view = new DataView(buffer, byteOffset, byteLength);
  }

  /** Copies datagrams. See {@link DatagramSocket.send}. */
  sendDirect(address: SocketAddress, bytes: Uint8Array, segmentSize: number): void {
    const at = this.#begin(segmentSize, 0, addressLength, bytes);
    if (at !== undefined) {
      this.#outgoing.bytes.set(this.#addresses.encode(address), at);
    }
  }

  /** The same, by a relay. */
  sendRelayed(url: RelayUrl, peer: EndpointId, bytes: Uint8Array, segmentSize: number): void {
    const name = new TextEncoder().encode(url);
    if (name.length > 0xff) {
      return;
    }
    const at = this.#begin(segmentSize, name.length, keyLength + name.length, bytes);
    if (at !== undefined) {
      this.#outgoing.bytes.set(peer.bytes, at);
      this.#outgoing.bytes.set(name, at + keyLength);
    }
  }

  post(message: HubMessage | ShardMessage): void {
    if (!this.#isClosed) {
      this.#options.port.post(message);
    }
  }

  setRef(ref: boolean): void {
    this.#options.port.setRef(ref);
  }

  /** Takes in what the other side has written; to be called when it says so. */
  receive(): void {
    const { bytes } = this.#incoming;
    this.#incoming.drain((start, end) => {
      if (this.#isClosed) {
        return;
      }
      const urlLength = bytes[start + 4] ?? 0;
      const remoteAt = start + 5;
      const dataAt = remoteAt + (urlLength === 0 ? addressLength : keyLength + urlLength);
      const segmentSize =
        (bytes[start] ?? 0) |
        ((bytes[start + 1] ?? 0) << 8) |
        ((bytes[start + 2] ?? 0) << 16) |
        ((bytes[start + 3] ?? 0) << 24);
      const remote: ShardRemote =
        urlLength === 0
          ? { type: "ip", address: this.#addresses.decode(bytes, remoteAt) }
          : this.#relayedAt(bytes.slice(remoteAt, dataAt));
      this.#options.datagrams(remote, bytes.subarray(dataAt, end), segmentSize);
    });
  }

  /** Nothing goes out or comes in any more. */
  close(): void {
    this.#isClosed = true;
  }

  #begin(
    segmentSize: number,
    urlLength: number,
    remoteLength: number,
    bytes: Uint8Array,
  ): number | undefined {
    if (this.#isClosed) {
      return undefined;
    }
    const at = this.#outgoing.reserve(5 + remoteLength + bytes.length);
    if (at !== undefined) {
      this.#view.setUint32(at, segmentSize, true);
      this.#outgoing.bytes[at + 4] = urlLength;
      this.#outgoing.bytes.set(bytes, at + 5 + remoteLength);
    }
    if (!this.#isFlushing) {
      this.#isFlushing = true;
      this.#options.atEnd(this.#flush);
    }
    return at === undefined ? undefined : at + 5;
  }

  readonly #flush = (): void => {
    this.#isFlushing = false;
    if (this.#outgoing.publish() && !this.#isClosed) {
      this.#options.port.post(undefined);
    }
  };

  #relayedAt(bytes: Uint8Array): ShardRemote {
    const key = String.fromCharCode(...bytes);
    let remote = this.#relayed.get(key);
    if (remote === undefined) {
      if (this.#relayed.size >= maxRemembered) {
        this.#relayed.clear();
      }
      remote = {
        type: "relay",
        url: parseRelayUrl(new TextDecoder().decode(bytes.subarray(keyLength))),
        peer: EndpointId.fromBytes(bytes.slice(0, keyLength)),
      };
      this.#relayed.set(key, remote);
    }
    return remote;
  }
}
