import type { Platform, Timer } from "../base/platform.ts";
import { SharedRing } from "../base/shared-ring.ts";
import type { SocketAddress } from "../base/socket-address.ts";
import { anyShard, type EngineEndpoint } from "../engine/engine.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import type { InterfaceChange } from "../net/interface-watch.ts";
import type { PeerSocket } from "../net/peer-socket.ts";
import {
  linkCapacity,
  ShardLink,
  type ShardMessage,
  type ShardPlace,
  type ShardPort,
  type ShardWelcome,
} from "./shard-link.ts";

export interface ShardHubOptions {
  readonly secretKey: SecretKey;
  /** Of all shards, and of the hub's own engine. */
  readonly secret: Uint8Array;
  readonly platform: Platform;
  readonly engine: EngineEndpoint;
  readonly socket: PeerSocket;
  place(): ShardPlace;
  /** A path of a shard has fallen silent. */
  stalled(): void;
}

/** A shard as its hub sees it. */
export interface AttachedShard {
  readonly welcome: ShardWelcome;
  /** Takes what the shard has posted. */
  receive(message: ShardMessage | undefined): void;
  /** Whether there is an endpoint behind it. */
  readonly isBound: boolean;
  /** Resolves when it has protocols that it accepts, for the first time; never if it goes before. */
  readonly served: Promise<void>;
  /** Asks it to close. */
  close(graceMs: number): void;
  /** It is gone. What comes for its connections is answered with a stateless reset. */
  detach(): void;
}

interface Member {
  readonly link: ShardLink;
  /** Undefined: it is not bound yet, and has no connections. */
  serving: boolean | undefined;
}

/** Shards at once. Their numbers begin at 1: 0 is the hub's own engine. */
export const maxShards = 255;
/** How long the first datagrams of a connection are known to belong together. Longer than a handshake takes. */
const firstPacketMs = 30_000;
/** How often a relay that was asked for a sign of life is looked at, and for how long. */
const heardPollMs = 100;
const heardPolls = 30;

/**
 * Hands what arrives at the sockets of one endpoint to those who share them, and sends what they want to send.
 *
 * Which one a datagram is for is written, for those who know the secret, in the connection id that the shard itself has
 * chosen, so a connection stays where it is whatever its address does. Only the first datagrams have an id of the client's:
 * they go to the shards by turns, and those with one id to the same.
 */
export class ShardHub {
  readonly #options: ShardHubOptions;
  /** By number; at 0 there is nobody. */
  readonly #members: (Member | undefined)[] = [undefined];
  /** By {@link EngineEndpoint.ownerOf} where any shard will do: the number of the one that was taken. */
  #recent = new Uint8Array(0x1_0000);
  #older = new Uint8Array(0x1_0000);
  #turnedAt: number;
  #next = 0;
  readonly #servers = new Set<(graceMs: number) => Promise<void>>();
  readonly #polls = new Map<RelayUrl, Timer>();

  constructor(options: ShardHubOptions) {
    this.#options = options;
    this.#turnedAt = options.platform.now();
  }

  /** Adds a shard. Throws RangeError when there are 255. */
  attach(port: ShardPort): AttachedShard {
    const { secretKey, secret, platform, socket } = this.#options;
    const free = this.#members.findIndex((member, at) => at > 0 && member === undefined);
    const number = free < 0 ? this.#members.length : free;
    if (number > maxShards) {
      throw new RangeError(`too many shards: there are ${maxShards} already`);
    }
    const toShard = SharedRing.memory(linkCapacity);
    const toHub = SharedRing.memory(linkCapacity);
    let served = (): void => {};
    const whenServed = new Promise<void>((resolve) => {
      served = resolve;
    });
    const link = new ShardLink({
      port,
      outgoing: toShard,
      incoming: toHub,
      // All that the sockets bring in this turn.
      atEnd: (flush) => platform.soon(flush),
      datagrams: (remote, bytes, segmentSize) => {
        if (remote.type === "ip") {
          socket.send(remote.address, bytes, segmentSize);
        } else {
          socket.relays.send(remote.url, remote.peer, bytes, segmentSize);
        }
      },
    });
    const member: Member = { link, serving: undefined };
    this.#members[number] = member;
    const detach = (): void => {
      link.close();
      if (this.#members[number] === member) {
        this.#members[number] = undefined;
      }
    };
    return {
      welcome: {
        secretKey: secretKey.bytes,
        number,
        secret,
        localAddresses: socket.localAddresses,
        place: this.#options.place(),
        toShard,
        toHub,
      },
      receive: (message) => {
        if (message === undefined) {
          link.receive();
          return;
        }
        switch (message.type) {
          case "serving":
            member.serving = message.serving;
            if (message.serving) {
              served();
            }
            break;
          case "probe-relay":
            this.#probe(message.url);
            break;
          case "stalled":
            this.#options.stalled();
            break;
          case "closed":
            // What it sent before this lies in the ring.
            link.receive();
            detach();
            break;
          default:
            message satisfies never;
        }
      },
      get isBound() {
        return member.serving !== undefined;
      },
      served: whenServed,
      close: (graceMs) => link.post({ type: "close", graceMs }),
      detach,
    };
  }

  /** Takes a datagram off the network; false: it is for the hub's own engine. `bytes` is borrowed. */
  receive(from: SocketAddress, bytes: Uint8Array): boolean {
    const { engine, socket } = this.#options;
    const owner = engine.ownerOf?.(bytes) ?? 0;
    const member = this.#members[owner >= anyShard ? this.#choose(owner - anyShard) : owner];
    if (member?.serving === undefined) {
      return false;
    }
    const relayed = socket.relayedPeer(from);
    if (relayed === undefined) {
      member.link.sendDirect(from, bytes, bytes.length);
    } else {
      member.link.sendRelayed(relayed.url, relayed.peer, bytes, bytes.length);
    }
    return true;
  }

  /**
   * Has `shutdown` called when the endpoint closes, while shards can still send; the returned function ends that.
   */
  serves(shutdown: (graceMs: number) => Promise<void>): () => void {
    this.#servers.add(shutdown);
    return () => void this.#servers.delete(shutdown);
  }

  /** Has the shards close. */
  async shutdown(graceMs: number): Promise<void> {
    await Promise.allSettled([...this.#servers].map((shutdown) => shutdown(graceMs)));
  }

  /** Where the endpoint can be reached has changed. */
  placeChanged(): void {
    const place = this.#options.place();
    for (const member of this.#members) {
      member?.link.post({ type: "place", place });
    }
  }

  networkChanged(change: InterfaceChange): void {
    for (const member of this.#members) {
      member?.link.post({ type: "network-changed", change });
    }
  }

  close(): void {
    for (const timer of this.#polls.values()) {
      this.#options.platform.clearTimer(timer);
    }
    this.#polls.clear();
    for (const member of this.#members) {
      member?.link.close();
    }
    this.#members.length = 1;
  }

  /** 0: there is no shard that serves. */
  #choose(id: number): number {
    const now = this.#options.platform.now();
    if (now - this.#turnedAt >= firstPacketMs) {
      // Twice as late there is nothing in either that counts.
      const isStale = now - this.#turnedAt >= 2 * firstPacketMs;
      [this.#recent, this.#older] = [this.#older.fill(0), this.#recent];
      if (isStale) {
        this.#older.fill(0);
      }
      this.#turnedAt = now;
    }
    let number = this.#recent[id] || this.#older[id] || 0;
    if (this.#members[number]?.serving !== true) {
      number = this.#takeTurn();
    }
    this.#recent[id] = number;
    return number;
  }

  #takeTurn(): number {
    const { length } = this.#members;
    for (let step = 0; step < length; step += 1) {
      this.#next = (this.#next + 1) % length;
      if (this.#members[this.#next]?.serving === true) {
        return this.#next;
      }
    }
    return 0;
  }

  /** Asks a relay for a sign of life, and tells all shards when it has come. */
  #probe(url: RelayUrl): void {
    const { platform, socket } = this.#options;
    const askedAt = platform.now();
    socket.relays.probe(url);
    if (this.#polls.has(url)) {
      return;
    }
    const look = (left: number): void => {
      const timer = platform.setTimer(heardPollMs, () => {
        const heardAt = socket.relays.heardAt(url) ?? Number.NEGATIVE_INFINITY;
        if (heardAt >= askedAt) {
          const agoMs = platform.now() - heardAt;
          for (const member of this.#members) {
            member?.link.post({ type: "relay-heard", url, agoMs });
          }
        }
        if (heardAt < askedAt && left > 1) {
          look(left - 1);
        } else {
          this.#polls.delete(url);
        }
      });
      this.#polls.set(url, timer);
    };
    look(heardPolls);
  }
}
