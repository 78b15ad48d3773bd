// Multicast with node:dgram alone: the package multicast-dns sends over one interface, knows no IPv6 without being told
// an interface, and its timer and socket keep the process alive.

import { createSocket, type Socket } from "node:dgram";
import { networkInterfaces } from "node:os";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type {
  DatagramHandler,
  MulticastOptions,
  MulticastSocket,
  OpenMulticast,
} from "./discovery-network.ts";

/** How often it is looked for interfaces that have come. Milliseconds. */
const rejoinMs = 5_000;

/**
 * Takes part in groups on all interfaces that the host has now or later. The port is shared: other programs of the host may
 * have it too, and each gets what is sent to the group, also by those on this host. Does not keep the process alive.
 */
export const openMulticast: OpenMulticast = async (options, handler) => {
  const bound = await Promise.allSettled(
    options.groups.map((group) => GroupSocket.bind(group, options, handler)),
  );
  const sockets = bound.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const usable = sockets.filter((socket) => socket.join() > 0);
  await Promise.all(
    sockets.filter((socket) => !usable.includes(socket)).map((each) => each.close()),
  );
  if (usable.length === 0) {
    const [failed] = bound.filter((result) => result.status === "rejected");
    throw failed?.reason ?? new Error("no interface takes part in multicast");
  }
  return new NodeMulticast(usable);
};

class NodeMulticast implements MulticastSocket {
  readonly #sockets: readonly GroupSocket[];
  readonly #timer: NodeJS.Timeout;
  #closing: Promise<void> | undefined;

  constructor(sockets: readonly GroupSocket[]) {
    this.#sockets = sockets;
    this.#timer = setInterval(() => {
      for (const socket of sockets) {
        socket.join();
      }
    }, rejoinMs).unref();
  }

  send(bytes: Uint8Array): void {
    if (this.#closing === undefined) {
      for (const socket of this.#sockets) {
        socket.send(bytes);
      }
    }
  }

  close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing ??= Promise.all(this.#sockets.map((socket) => socket.close())).then(() => {});
    return this.#closing;
  }
}

/** A socket of one group, that is of one family. */
class GroupSocket {
  readonly #socket: Socket;
  readonly #group: SocketAddress;
  /** Interfaces that were joined, as the system calls want them named. */
  readonly #joined = new Set<string>();

  private constructor(socket: Socket, group: SocketAddress) {
    this.#socket = socket;
    this.#group = group;
  }

  static async bind(
    group: SocketAddress,
    { ttl }: MulticastOptions,
    handler: DatagramHandler,
  ): Promise<GroupSocket> {
    const socket = createSocket({
      type: group.family === 4 ? "udp4" : "udp6",
      ipv6Only: group.family === 6,
      reuseAddr: true,
      // Within the call: a datagram that waits for a lookup leaves by the interface of the last one.
      lookup: (host, _options, callback) => callback(null, host, group.family),
    });
    await new Promise<void>((resolve, reject) => {
      const failed = (error: Error): void => {
        socket.close();
        reject(error);
      };
      socket.once("error", failed);
      socket.bind({ port: group.port, exclusive: true }, () => {
        socket.on("error", (error) => handler.failed(error));
        socket.off("error", failed);
        resolve();
      });
    });
    socket.unref();
    socket.setMulticastTTL(ttl);
    socket.setMulticastLoopback(true);
    socket.on("message", (bytes, { address, port }) => {
      if (port !== 0) {
        handler.datagram(socketAddress(address, port), bytes);
      }
    });
    return new GroupSocket(socket, group);
  }

  /** Joins the group where that has not happened; the number of interfaces where it has. */
  join(): number {
    const present = interfacesOf(this.#group.family);
    for (const name of this.#joined) {
      if (!present.includes(name)) {
        this.#joined.delete(name);
      }
    }
    for (const name of present) {
      if (!this.#joined.has(name)) {
        try {
          this.#socket.addMembership(this.#group.host, name);
          this.#joined.add(name);
        } catch (error) {
          // An interface that has got another address is still in the group. Some take no part in multicast.
          if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") {
            this.#joined.add(name);
          }
        }
      }
    }
    return this.#joined.size;
  }

  /** Sends on each interface in turn. */
  send(bytes: Uint8Array): void {
    const { host, port } = this.#group;
    const copy = Buffer.from(bytes);
    for (const name of this.#joined) {
      try {
        this.#socket.setMulticastInterface(name);
        this.#socket.send(copy, port, host, () => {});
      } catch {
        // The interface is gone, or is not up.
      }
    }
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }
}

/** An IPv4 address of each interface, or each as IPv6 names it, `::%eth0`. */
function interfacesOf(family: 4 | 6): string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) => {
    const first = addresses.find((address) => address.family === `IPv${family}`);
    if (first === undefined) {
      return [];
    }
    return [
      family === 4 ? first.address : `::%${process.platform === "win32" ? first.scopeid : name}`,
    ];
  });
}
