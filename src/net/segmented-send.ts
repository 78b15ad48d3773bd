import type { SocketAddress } from "../base/socket-address.ts";
import { hostToBytes } from "../base/socket-address.ts";

/** Functions of the C library, as an FFI library gives them. */
export interface SystemCalls {
  /** Where the memory of a buffer is. */
  addressOf(buffer: Uint8Array): bigint;
  sendmsg(fd: number, message: Uint8Array, flags: number): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number;
  /** Of the call before. */
  errno(): number;
}

/** Sends several datagrams at once, where it can. */
export interface BatchSender {
  /**
   * Takes as much of `bytes` as it can send now, which is as many datagrams of `segmentSize` as that; the rest is to go
   * another way. Returns how many bytes it has sent.
   */
  send(to: SocketAddress, bytes: Uint8Array, segmentSize: number): number;
}

// Of Linux, on all processors with 64 bits and the lowest byte first.
const afInet = 2;
const afInet6 = 10;
const solUdp = 17;
const udpSegment = 103;
const msgDontwait = 0x40;
const eio = 5;
const eopnotsupp = 95;
/** sizeof(struct cmsghdr) + 2, and that up to the next multiple of 8. */
const cmsgLength = 18;
const cmsgSpace = 24;
/** sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6). */
const nameLength = 16;
const nameLength6 = 28;
/** UDP_MAX_SEGMENTS of older kernels, and the largest payload of a UDP datagram over IPv6, which a batch is at first. */
const maxSegments = 64;
const maxBatch = 65_487;

/**
 * UDP_SEGMENT (generic segmentation offload, Linux 4.18): one call, and one way through the network stack, for datagrams of
 * equal size to one address. What lies in memory for the call is written once and then only changed, because that takes
 * less than the call itself.
 */
export class SegmentedSend implements BatchSender {
  readonly #calls: SystemCalls;
  readonly #fd: number;
  readonly #data = new Uint8Array(maxBatch);
  readonly #name = new Uint8Array(nameLength6);
  readonly #nameView = new DataView(this.#name.buffer);
  readonly #iovec = new DataView(new ArrayBuffer(16));
  readonly #control = new DataView(new ArrayBuffer(cmsgSpace));
  readonly #message = new Uint8Array(56);
  readonly #messageView = new DataView(this.#message.buffer);
  #to: SocketAddress | undefined;
  #isSupported: boolean;

  /** @param fd of a UDP socket that is open; nothing may be sent any more once it is closed */
  constructor(fd: number, calls: SystemCalls) {
    this.#fd = fd;
    this.#calls = calls;
    const at = (view: { readonly buffer: ArrayBuffer }): bigint =>
      calls.addressOf(new Uint8Array(view.buffer));
    this.#iovec.setBigUint64(0, at(this.#data), true);
    this.#control.setBigUint64(0, BigInt(cmsgLength), true);
    this.#control.setInt32(8, solUdp, true);
    this.#control.setInt32(12, udpSegment, true);
    // struct msghdr: name and its length, iovec and their number, control and its length, flags.
    this.#messageView.setBigUint64(0, at(this.#name), true);
    this.#messageView.setBigUint64(16, at(this.#iovec), true);
    this.#messageView.setBigUint64(24, 1n, true);
    this.#messageView.setBigUint64(32, at(this.#control), true);
    this.#messageView.setBigUint64(40, BigInt(cmsgSpace), true);
    // An older kernel would ignore what it does not know, and send one large datagram.
    this.#isSupported = calls.setsockopt(fd, solUdp, udpSegment, new Uint8Array(4), 4) === 0;
  }

  send(to: SocketAddress, bytes: Uint8Array, segmentSize: number): number {
    const each = Math.min(maxSegments, Math.floor(maxBatch / segmentSize)) * segmentSize;
    let sent = 0;
    // One datagram alone has nothing to win.
    while (this.#isSupported && each > segmentSize && bytes.length - sent > segmentSize) {
      const length = Math.min(each, bytes.length - sent);
      this.#address(to);
      this.#data.set(bytes.subarray(sent, sent + length));
      this.#iovec.setBigUint64(8, BigInt(length), true);
      this.#control.setUint16(16, segmentSize, true);
      if (this.#calls.sendmsg(this.#fd, this.#message, msgDontwait) !== length) {
        // Otherwise: no room now, or a size that the path to there does not take.
        const errno = this.#calls.errno();
        this.#isSupported = errno !== eio && errno !== eopnotsupp;
        break;
      }
      sent += length;
    }
    return sent;
  }

  #address(to: SocketAddress): void {
    if (to === this.#to) {
      return;
    }
    const is4 = to.family === 4;
    this.#name.fill(0);
    this.#nameView.setUint16(0, is4 ? afInet : afInet6, true);
    this.#nameView.setUint16(2, to.port);
    this.#name.set(hostToBytes(to.host), is4 ? 4 : 8);
    this.#messageView.setUint32(8, is4 ? nameLength : nameLength6, true);
    this.#to = to;
  }
}
