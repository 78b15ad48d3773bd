import type { Platform } from "../../src/base/platform.ts";
import { type SocketAddress, socketAddress } from "../../src/base/socket-address.ts";
import type {
  DatagramHandler,
  DiscoveryNetwork,
  MulticastSocket,
} from "../../src/discovery/discovery-network.ts";

/** A local network in memory: what one sends, all get after a millisecond, the sender included. */
export class MemoryMulticast {
  readonly #platform: Platform;
  readonly #members = new Set<DatagramHandler>();
  /** All that was sent. */
  readonly sent: Uint8Array[] = [];
  /** Why nobody can take part. */
  problem: Error | undefined;

  constructor(platform: Platform) {
    this.#platform = platform;
  }

  /** Sockets that are open. */
  get members(): number {
    return this.#members.size;
  }

  /** As if somebody had sent it who is no member. */
  deliver(bytes: Uint8Array, from: SocketAddress = socketAddress("192.0.2.1", 5353)): void {
    for (const member of [...this.#members]) {
      member.datagram(from, new Uint8Array(bytes));
    }
  }

  /** Breaks the sockets of all. */
  fail(error: Error): void {
    for (const member of [...this.#members]) {
      member.failed(error);
    }
  }

  host(): DiscoveryNetwork {
    const unused = (): Promise<never> => Promise.reject(new Error("multicast alone"));
    return {
      request: unused,
      resolveHost: unused,
      bindSocket: unused,
      resolveTxt: unused,
      openMulticast: async (_options, handler) => {
        if (this.problem !== undefined) {
          throw this.problem;
        }
        return this.#join({ ...handler });
      },
    };
  }

  #join(member: DatagramHandler): MulticastSocket {
    this.#members.add(member);
    return {
      send: (bytes) => {
        const copy = new Uint8Array(bytes);
        this.sent.push(copy);
        this.#platform.setTimer(1, () => this.deliver(copy));
      },
      close: async () => {
        this.#members.delete(member);
      },
    };
  }
}
