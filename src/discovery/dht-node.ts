import { sha1 } from "@noble/hashes/legacy.js";
import type { default as Dht, DhtSocket } from "bittorrent-dht";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { DiscoveryContext } from "./discovery.ts";
import { DiscoveryError } from "./discovery-error.ts";
import type { DiscoverySocket } from "./discovery-network.ts";
import { checkPkarrPacket, type PkarrPacket, parseSignedText } from "./pkarr-packet.ts";

/** Nodes of the last time that are asked first the next time. */
const maxRememberedNodes = 40;

/**
 * A guest in the mainline DHT: asks and answers nobody. The package behind it keeps the process alive and believes that
 * messages have the form that they should; so it is there only while something is looked for or stored, and what it throws
 * over a message ends that message.
 */
export class DhtNode {
  readonly #dht: Dht;
  readonly #socket: DiscoverySocket;

  private constructor(dht: Dht, socket: DiscoverySocket) {
    this.#dht = dht;
    this.#socket = socket;
  }

  /** Rejects with DiscoveryError `missing-package`, and `unavailable` where no socket can be had. */
  static async open(
    bootstrap: readonly SocketAddress[],
    network: DiscoveryContext["network"],
  ): Promise<DhtNode> {
    const Guest = await loadGuest();
    let receive: (from: SocketAddress, bytes: Uint8Array) => void = () => {};
    let socket: DiscoverySocket;
    try {
      socket = await network.bindSocket([socketAddress("0.0.0.0", 0)], {
        datagram: (from, bytes) => receive(from, bytes),
        failed: () => {},
      });
    } catch (error) {
      throw new DiscoveryError("unavailable", `no socket for the DHT: ${error}`, { cause: error });
    }
    const joined = new JoinedSocket(socket);
    receive = (from, bytes) => joined.receive(from, bytes);
    const dht = new Guest({ bootstrap, socket: joined });
    // Both are of no more consequence than a lost datagram.
    dht.on("error", () => {});
    dht.on("warning", () => {});
    return new DhtNode(dht, socket);
  }

  /** Calls `found` for each packet of the key that a node has and that is rightly signed; resolves when all were asked. */
  async get(id: EndpointId, found: (packet: PkarrPacket) => void): Promise<void> {
    const key = id.bytes;
    await new Promise<void>((resolve, reject) => {
      const verify = (signature: unknown, text: unknown, publicKey: unknown): boolean => {
        const packet = toPacket(id, key, signature, text, publicKey);
        if (packet !== undefined) {
          found(packet);
        }
        return packet !== undefined;
      };
      this.#dht.get(Buffer.from(sha1(key)), { verify, cache: false }, (error) =>
        error === null || error === undefined ? resolve() : reject(unavailable(error)),
      );
    });
  }

  /** Stores a packet with the nodes nearest to its key; resolves to their number. Rejects with `unavailable`. */
  put({ id, signature, timestampUs, message }: PkarrPacket): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#dht.put(
        {
          k: Buffer.from(id.bytes),
          v: Buffer.from(message),
          seq: Number(timestampUs),
          sig: Buffer.from(signature),
        },
        (error, _key, nodes) =>
          error === null || error === undefined ? resolve(nodes) : reject(unavailable(error)),
      );
    });
  }

  /** Some of the nodes that have answered. */
  nodes(): SocketAddress[] {
    return this.#dht
      .toJSON()
      .nodes.slice(0, maxRememberedNodes)
      .map(({ host, port }) => socketAddress(host, port));
  }

  /** What is under way fails. */
  async close(): Promise<void> {
    this.#dht.destroy();
    await this.#socket.close();
  }
}

/** A socket of ours in the form of node:dgram's. */
class JoinedSocket implements DhtSocket {
  readonly #socket: DiscoverySocket;
  readonly #listeners = new Map<string, (...values: never[]) => void>();

  constructor(socket: DiscoverySocket) {
    this.#socket = socket;
  }

  on(event: string, listener: (...values: never[]) => void): this {
    this.#listeners.set(event, listener);
    return this;
  }

  receive(from: SocketAddress, bytes: Uint8Array): void {
    const listener = this.#listeners.get("message") as
      | ((bytes: Buffer, from: { address: string; port: number }) => void)
      | undefined;
    try {
      listener?.(Buffer.from(bytes), { address: from.host, port: from.port });
    } catch {
      // A message of a form that the package did not think of.
    }
  }

  send(bytes: Buffer, offset: number, length: number, port: number, host: string): void {
    const datagram = bytes.subarray(offset, offset + length);
    this.#socket.send(socketAddress(host, port), datagram, datagram.length);
  }

  address(): { address: string; port: number } {
    const { host = "0.0.0.0", port = 0 } = this.#socket.localAddresses[0] ?? {};
    return { address: host, port };
  }

  /** Who opened it closes it. */
  close(): void {}
}

type GuestClass = new (...options: ConstructorParameters<typeof Dht>) => Dht;

/** The class of the package, without answers to others. */
async function loadGuest(): Promise<GuestClass> {
  let module: typeof import("bittorrent-dht");
  try {
    module = await import("bittorrent-dht");
  } catch (error) {
    throw new DiscoveryError(
      "missing-package",
      "mainlineDht needs a package that is not installed: npm install bittorrent-dht@11",
      { cause: error },
    );
  }
  return class Guest extends module.default {
    protected override _onquery(): void {}
  };
}

/** The packet, if what a node has sent is one of the key that is looked for. */
function toPacket(
  id: EndpointId,
  key: Uint8Array,
  signature: unknown,
  text: unknown,
  publicKey: unknown,
): PkarrPacket | undefined {
  if (
    !(signature instanceof Uint8Array && text instanceof Uint8Array) ||
    !(publicKey instanceof Uint8Array && Buffer.from(key).equals(publicKey))
  ) {
    return undefined;
  }
  try {
    const { timestampUs, message } = parseSignedText(text);
    return checkPkarrPacket({ id, signature: new Uint8Array(signature), timestampUs, message });
  } catch {
    return undefined;
  }
}

function unavailable(error: Error): DiscoveryError {
  return new DiscoveryError("unavailable", `the DHT does not answer: ${error.message}`, {
    cause: error,
  });
}
