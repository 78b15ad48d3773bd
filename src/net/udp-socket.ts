import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { largeBytes, release } from "../base/release.ts";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type { BindSocket, DatagramSocket, DatagramSocketHandler } from "./datagram-socket.ts";
import { LinkLocalScopes } from "./link-local-scopes.ts";
import { isMapped } from "./mapped-addresses.ts";
import type { BatchSender } from "./segmented-send.ts";

/** Asked of the kernel, which may grant less: a turn of the event loop must not overflow it. Bytes. */
const kernelBuffer = 4 << 20;
/** Senders remembered so that their addresses are parsed once. */
const maxRemembered = 4_096;

/**
 * Binds UDP sockets with node:dgram, one for each address. An IPv6 socket takes IPv6 alone. Where a port is 0 the second
 * family first tries the port that the first one got, so that one number does for both.
 *
 * An IPv6 address that stands beside an IPv4 one is optional: a machine without IPv6 binds the other alone.
 */
export const bindUdp: BindSocket = bindUdpWith(() => undefined);

/** The same, with something for each socket that sends several datagrams at once, if there is such a thing. */
export function bindUdpWith(batches: (socket: Socket) => BatchSender | undefined): BindSocket {
  return (addresses, handler) => bindAll(addresses, handler, batches);
}

async function bindAll(
  addresses: readonly SocketAddress[],
  handler: DatagramSocketHandler,
  batches: (socket: Socket) => BatchSender | undefined,
): Promise<DatagramSocket> {
  const bound: Bound[] = [];
  try {
    for (const address of addresses) {
      const optional = address.family === 6 && bound.some((other) => other.address.family === 4);
      const samePort = address.port === 0 ? bound[0]?.address.port : undefined;
      const socket = await bindFirst(address, { samePort, optional, handler });
      if (socket !== undefined) {
        bound.push(socket);
      }
    }
  } catch (error) {
    await Promise.all(bound.map(({ socket }) => closeSocket(socket)));
    throw error;
  }
  return new UdpSocket(bound, handler, batches);
}

interface Bound {
  readonly socket: Socket;
  readonly address: SocketAddress;
}

interface BindOptions {
  /** Tried first. */
  readonly samePort: number | undefined;
  /** False: failing is an error. */
  readonly optional: boolean;
  readonly handler: DatagramSocketHandler;
}

async function bindFirst(
  address: SocketAddress,
  { samePort, optional, handler }: BindOptions,
): Promise<Bound | undefined> {
  if (samePort !== undefined) {
    try {
      return await bindOne({ ...address, port: samePort }, handler);
    } catch {
      // Taken by another program in this family; any other port will do.
    }
  }
  try {
    return await bindOne(address, handler);
  } catch (error) {
    if (optional) {
      return undefined;
    }
    throw error;
  }
}

function bindOne(address: SocketAddress, handler: DatagramSocketHandler): Promise<Bound> {
  return new Promise((resolve, reject) => {
    const socket = createSocket({
      type: address.family === 4 ? "udp4" : "udp6",
      ipv6Only: address.family === 6,
      recvBufferSize: kernelBuffer,
      sendBufferSize: kernelBuffer,
      // All our addresses are literal: answering at once saves a turn of the event loop per datagram.
      lookup: (host, _options, callback) => callback(null, host, address.family),
    });
    const failed = (error: Error): void => {
      socket.close();
      reject(error);
    };
    socket.once("error", failed);
    socket.bind({ address: address.host, port: address.port, exclusive: true }, () => {
      // Without a listener from here on, an error would end the process.
      socket.on("error", (error) => handler.failed(error));
      socket.off("error", failed);
      socket.unref();
      resolve({ socket, address: socketAddress(address.host, socket.address().port) });
    });
  });
}

class UdpSocket implements DatagramSocket {
  readonly localAddresses: readonly SocketAddress[];
  readonly #ipv4: Socket | undefined;
  readonly #ipv6: Socket | undefined;
  readonly #all: readonly Socket[];
  readonly #scopes = new LinkLocalScopes();
  readonly #batches = new Map<Socket, BatchSender>();
  #closing: Promise<void> | undefined;

  constructor(
    bound: readonly Bound[],
    handler: DatagramSocketHandler,
    batches: (socket: Socket) => BatchSender | undefined,
  ) {
    this.localAddresses = bound.map(({ address }) => address);
    this.#all = bound.map(({ socket }) => socket);
    this.#ipv4 = bound.find(({ address }) => address.family === 4)?.socket;
    this.#ipv6 = bound.find(({ address }) => address.family === 6)?.socket;
    for (const { socket } of bound) {
      const batch = batches(socket);
      if (batch !== undefined) {
        this.#batches.set(socket, batch);
      }
      const senders = new RememberedSenders(this.#scopes);
      socket.on("message", (bytes, info) => {
        // Nobody can be answered there, and no honest sender is.
        if (info.port !== 0) {
          handler.datagram(senders.get(info), bytes);
        }
        release(bytes);
      });
    }
  }

  send(to: SocketAddress, bytes: Uint8Array, segmentSize: number): void {
    const socket = to.family === 4 ? this.#ipv4 : this.#ipv6;
    // An address that stands for something that is gone by now is no place to send to.
    if (socket === undefined || this.#closing !== undefined || to.port === 0 || isMapped(to)) {
      return;
    }
    const host = this.#scopes.hostOf(to);
    // A scope is for the plain way.
    const batch = host === to.host ? this.#batches.get(socket) : undefined;
    const sent = bytes.length > segmentSize ? (batch?.send(to, bytes, segmentSize) ?? 0) : 0;
    if (sent === bytes.length) {
      return;
    }
    // The kernel may take a datagram after this call returns, so one copy of the whole batch it has to be.
    const left = sent === 0 ? bytes : bytes.subarray(sent);
    const isLarge = left.length >= largeBytes;
    // Of Node's pool nothing could be given back.
    const copy = isLarge ? Buffer.allocUnsafeSlow(left.length) : Buffer.allocUnsafe(left.length);
    copy.set(left);
    const datagrams = Math.ceil(copy.length / segmentSize);
    const done = isLarge ? whenCalled(datagrams, () => release(copy)) : ignoreOutcome;
    for (let offset = 0; offset < copy.length; offset += segmentSize) {
      const length = Math.min(segmentSize, copy.length - offset);
      socket.send(copy, offset, length, to.port, host, done);
    }
  }

  setRef(ref: boolean): void {
    if (this.#closing === undefined) {
      for (const socket of this.#all) {
        ref ? socket.ref() : socket.unref();
      }
    }
  }

  close(): Promise<void> {
    this.#closing ??= Promise.all(this.#all.map(closeSocket)).then(() => undefined);
    return this.#closing;
  }
}

/** From what dgram tells of a sender to an address object, the same one each time. */
class RememberedSenders {
  readonly #known = new Map<string, SocketAddress>();
  readonly #scopes: LinkLocalScopes;
  #last: SocketAddress | undefined;

  constructor(scopes: LinkLocalScopes) {
    this.#scopes = scopes;
  }

  get(info: RemoteInfo): SocketAddress {
    const last = this.#last;
    if (last !== undefined && last.port === info.port && last.host === info.address) {
      return last;
    }
    const key = `${info.port} ${info.address}`;
    let address = this.#known.get(key);
    if (address === undefined) {
      if (this.#known.size >= maxRemembered) {
        this.#known.clear();
      }
      address = socketAddress(info.address.replace(/%.*$/, ""), info.port);
      this.#known.set(key, address);
    }
    this.#scopes.learn(address, info.address);
    this.#last = address;
    return address;
  }
}

/** Errors are nothing to us: QUIC takes care of loss, and an unreachable network shows as a timeout. */
function ignoreOutcome(): void {}

/** Calls `last` when it has been called so many times itself. */
function whenCalled(times: number, last: () => void): () => void {
  let left = times;
  return () => {
    left -= 1;
    if (left === 0) {
      last();
    }
  };
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.close(() => resolve()));
}
