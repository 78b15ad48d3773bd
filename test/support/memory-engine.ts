// Two QUIC connections joined in memory, faithful to src/engine/engine.ts and without packets, keys or time: streams with
// flow control windows and limits, resets, stops, datagrams, close. For tests of what stands on an engine.
//
//   const link = connectInMemory();
//   new Http3Connection(link.client, …); new Http3Connection(link.server, …);
//
// Nothing arrives inside of a call into a connection: frames cross in turns. By default a turn comes by itself as a
// microtask; with `schedule: "manual"` the test calls `turn` or `settle`.

import { type SocketAddress, socketAddress } from "../../src/base/socket-address.ts";
import {
  type CloseCause,
  type ConnectionHandler,
  type ConnectionStats,
  defaultTransportOptions,
  type EngineConnection,
  EngineError,
  type PathInfo,
  type Role,
  type StreamDirection,
  type TransportOptions,
} from "../../src/engine/engine.ts";
import { type Frame, MemoryStream, type StreamOwner } from "./memory-stream.ts";

export interface MemoryLinkOptions {
  /** Limits that the client grants to the server, and its keep-alive. */
  readonly client?: Partial<TransportOptions>;
  /** Limits that the server grants to the client, and its keep-alive. */
  readonly server?: Partial<TransportOptions>;
  readonly alpn?: string;
  /** Ed25519 public keys as the other side sees them. Default 32 times 0xc1 and 0x5e. */
  readonly clientKey?: Uint8Array;
  readonly serverKey?: Uint8Array;
  /** Who calls {@link MemoryLink.turn}: "manual", or how a turn is put off. Default `queueMicrotask`. */
  readonly schedule?: "manual" | ((turn: () => void) => void);
  /** Bytes that one `read` returns at most. Default 65_536. */
  readonly chunkSize?: number;
  /** Numbers in [0, 1): frames of different streams then overtake each other. Default: all in order. */
  readonly random?: () => number;
}

/** Joins a client and a server. Both set their `handler` before the first turn, which brings `connected`. */
export function connectInMemory(options: MemoryLinkOptions = {}): MemoryLink {
  return new MemoryLink(options);
}

export class MemoryLink {
  readonly client: MemoryConnection;
  readonly server: MemoryConnection;
  readonly #schedule: ((turn: () => void) => void) | undefined;
  readonly #random: (() => number) | undefined;
  #scheduled = false;
  #cut = false;

  constructor(options: MemoryLinkOptions) {
    const { schedule = queueMicrotask } = options;
    this.#schedule = schedule === "manual" ? undefined : schedule;
    this.#random = options.random;
    const common = { alpn: options.alpn ?? "h3", chunkSize: options.chunkSize ?? 65_536 };
    const sides = {
      client: { ...defaultTransportOptions, ...options.client },
      server: { ...defaultTransportOptions, ...options.server },
    };
    const wake = () => this.#wake();
    this.client = new MemoryConnection(
      { ...common, role: "client", own: sides.client, peer: sides.server },
      options.serverKey ?? new Uint8Array(32).fill(0x5e),
      wake,
    );
    this.server = new MemoryConnection(
      { ...common, role: "server", own: sides.server, peer: sides.client },
      options.clientKey ?? new Uint8Array(32).fill(0xc1),
      wake,
    );
    this.client.incoming.push({ type: "connected" });
    this.server.incoming.push({ type: "connected" });
    this.client.peer = this.server;
    this.server.peer = this.client;
    this.#wake();
  }

  /** Delivers what is on its way, but not what that causes. False when nothing was. */
  turn(): boolean {
    const toServer = this.#take(this.server);
    const toClient = this.#take(this.client);
    this.server.deliver(toServer);
    this.client.deliver(toClient);
    return toServer.length + toClient.length > 0;
  }

  /** Takes turns until nothing is on its way. Throws after a million turns: the two sides would never be done. */
  settle(): void {
    for (let turns = 0; this.turn(); turns += 1) {
      if (turns > 1_000_000) {
        throw new Error("the two sides do not settle");
      }
    }
  }

  /** From now on everything that either side sends is lost, and nobody is told. */
  cut(): void {
    this.#cut = true;
  }

  #take(side: MemoryConnection): Frame[] {
    const frames = side.incoming.splice(0);
    if (this.#cut) {
      return frames.filter((frame) => frame.type === "close" && isLocal(frame.cause));
    }
    return this.#random === undefined ? frames : mixStreams(frames, this.#random);
  }

  #wake(): void {
    if (this.#schedule === undefined || this.#scheduled) {
      return;
    }
    this.#scheduled = true;
    this.#schedule(() => {
      this.#scheduled = false;
      if (this.turn()) {
        this.#wake();
      }
    });
  }
}

interface MemoryConnectionOptions {
  readonly role: Role;
  readonly alpn: string;
  readonly chunkSize: number;
  readonly own: TransportOptions;
  readonly peer: TransportOptions;
}

/** One end of a {@link MemoryLink}. */
export class MemoryConnection implements EngineConnection, StreamOwner {
  handler: ConnectionHandler = inertHandler;
  readonly role: Role;
  readonly remoteAddress: SocketAddress;
  readonly chunkSize: number;
  readonly early = false;
  readonly maxDatagramSize: number | undefined = 1_200;
  /** What `setKeepAlive` was last called with, or the transport option. */
  keepAliveMs: number;
  /** How many times `ping` was called. */
  pings = 0;
  /** Frames on their way to this side. */
  readonly incoming: Frame[] = [];
  peer: MemoryConnection | undefined;

  readonly #options: MemoryConnectionOptions;
  readonly #remotePublicKey: Uint8Array;
  readonly #wake: () => void;
  readonly #streams = new Map<number, MemoryStream>();
  readonly #blocked = new Set<MemoryStream>();
  #connected = false;
  #closing = false;
  #closed = false;

  readonly #opened: Record<StreamDirection, number> = { bidirectional: 0, unidirectional: 0 };
  readonly #allowed: Record<StreamDirection, number>;
  readonly #refused: Record<StreamDirection, boolean> = {
    bidirectional: false,
    unidirectional: false,
  };
  readonly #accepted: Record<StreamDirection, number> = { bidirectional: 0, unidirectional: 0 };
  readonly #granted: Record<StreamDirection, number>;

  #written = 0;
  #unacknowledged = 0;
  #sendLimit: number;
  #consumed = 0;

  constructor(options: MemoryConnectionOptions, remotePublicKey: Uint8Array, wake: () => void) {
    this.#options = options;
    this.#remotePublicKey = remotePublicKey;
    this.#wake = wake;
    this.role = options.role;
    this.chunkSize = options.chunkSize;
    this.remoteAddress = socketAddress("127.0.0.1", options.role === "client" ? 4433 : 50_000);
    this.keepAliveMs = options.own.keepAliveIntervalMs;
    this.#allowed = streamLimits(options.peer);
    this.#granted = streamLimits(options.own);
    this.#sendLimit = options.peer.receiveWindow;
  }

  get closed(): boolean {
    return this.#closing;
  }

  get sendCredit(): number {
    return Math.min(
      this.#sendLimit - this.#written,
      this.#options.own.sendWindow - this.#unacknowledged,
    );
  }

  /** Streams that are not over, both directions and initiators. */
  get openStreams(): number {
    return this.#streams.size;
  }

  /** Bytes that arrived and wait for readers. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const stream of this.#streams.values()) {
      sum += stream.bufferedBytes;
    }
    return sum;
  }

  /** Streams that may be opened now. */
  streamCredit(direction: StreamDirection): number {
    return this.#allowed[direction] - this.#opened[direction];
  }

  openStream(direction: StreamDirection): MemoryStream | undefined {
    if (this.#closing) {
      throw new EngineError("closed", "cannot open stream: the connection is closed");
    }
    if (!this.#connected || this.streamCredit(direction) <= 0) {
      this.#refused[direction] = true;
      return undefined;
    }
    const index = this.#opened[direction]++;
    return this.#createStream(
      index * 4 + (direction === "unidirectional" ? 2 : 0) + (this.role === "server" ? 1 : 0),
      "local",
    );
  }

  sendDatagram(bytes: Uint8Array): "sent" | "blocked" | "too-large" {
    if (bytes.length > (this.maxDatagramSize ?? 0)) {
      return "too-large";
    }
    this.send({ type: "datagram", bytes: bytes.slice() });
    return "sent";
  }

  close(code: bigint, reason: string): void {
    if (this.#closing) {
      return;
    }
    const peer = this.peer;
    if (peer !== undefined && !peer.#closing) {
      // What was not delivered is lost, as with a real engine.
      peer.incoming.length = 0;
      this.send({ type: "close", cause: { type: "application", origin: "peer", code, reason } });
    }
    this.end({ type: "application", origin: "local", code, reason });
  }

  /** Ends this side alone, for example with a timeout; the peer is not told. */
  end(cause: CloseCause): void {
    if (!this.#closing) {
      this.#closing = true;
      this.incoming.length = 0;
      this.incoming.push({ type: "close", cause });
      this.#wake();
    }
  }

  ping(): void {
    this.pings += 1;
  }

  setKeepAlive(intervalMs: number): void {
    this.keepAliveMs = intervalMs;
  }

  exportKeyingMaterial(length: number, label: string): Uint8Array {
    if (!this.#connected) {
      throw new EngineError("not-connected", "cannot export keying material before the handshake");
    }
    return new Uint8Array(length).fill(label.length);
  }

  stats(): ConnectionStats {
    return {
      bytesSent: this.#written,
      bytesReceived: this.#consumed,
      datagramsSent: 0,
      datagramsReceived: 0,
      packetsLost: 0,
      rttMs: 0,
      congestionWindow: 0,
      mtu: 1_200,
      bytesUnacknowledged: 0,
    };
  }

  paths(): PathInfo[] {
    return [
      {
        id: 0,
        remote: this.remoteAddress,
        active: true,
        status: "available",
        packetsSent: 0,
        packetsWaiting: 0,
        packetsAcknowledged: 0,
        rttMs: 0,
        mtu: 1_200,
        bytesSent: this.#written,
        bytesReceived: this.#consumed,
        packetsLost: 0,
      },
    ];
  }

  // What the streams of this side call.

  send(frame: Frame): void {
    const peer = this.peer;
    if (peer !== undefined && !peer.#closing) {
      peer.incoming.push(frame);
      this.#wake();
    }
  }

  wrote(bytes: number): void {
    this.#written += bytes;
    this.#unacknowledged += bytes;
  }

  blocked(stream: MemoryStream): void {
    this.#blocked.add(stream);
  }

  consumed(bytes: number): void {
    if (bytes > 0 && !this.#closing) {
      this.#consumed += bytes;
      this.send({ type: "max-data", limit: this.#consumed + this.#options.own.receiveWindow });
    }
  }

  gone(stream: MemoryStream): void {
    this.#streams.delete(stream.id);
    this.#blocked.delete(stream);
    if (stream.initiator === "peer" && !this.#closing) {
      const limit = ++this.#granted[stream.direction];
      this.send({ type: "max-streams", direction: stream.direction, limit });
    }
  }

  // What the link calls.

  deliver(frames: readonly Frame[]): void {
    for (const frame of frames) {
      if (this.#closed || (this.#closing && frame.type !== "close")) {
        continue;
      }
      this.#handle(frame);
    }
  }

  #handle(frame: Frame): void {
    switch (frame.type) {
      case "connected":
        this.#connected = true;
        this.handler.connected({
          alpn: this.#options.alpn,
          identity: { type: "raw-key", publicKey: this.#remotePublicKey },
          earlyData: "none",
        });
        this.#offerStreams("bidirectional");
        this.#offerStreams("unidirectional");
        return;
      case "data":
        this.#streamFor(frame.id)?.handleData(frame.bytes, frame.fin);
        this.send({ type: "ack", id: frame.id, bytes: frame.bytes.length, end: frame.fin });
        return;
      case "reset":
        this.#streamFor(frame.id)?.handleReset(frame.code, frame.size);
        return;
      case "stop":
        this.#streamFor(frame.id)?.handleStop(frame.code);
        return;
      case "ack":
        this.#unacknowledged -= frame.bytes;
        this.#streams.get(frame.id)?.handleAck(frame.end);
        this.#retryBlocked();
        return;
      case "max-stream-data":
        this.#streams.get(frame.id)?.handleCredit(frame.limit);
        return;
      case "max-data":
        this.#sendLimit = Math.max(this.#sendLimit, frame.limit);
        this.#retryBlocked();
        return;
      case "max-streams":
        this.#allowed[frame.direction] = Math.max(this.#allowed[frame.direction], frame.limit);
        this.#offerStreams(frame.direction);
        return;
      case "datagram":
        this.handler.datagram(frame.bytes);
        return;
      case "close":
        this.#closing = true;
        this.#closed = true;
        for (const stream of [...this.#streams.values()]) {
          stream.handleConnectionClosed(frame.cause);
        }
        this.#streams.clear();
        this.#blocked.clear();
        this.handler.closed(frame.cause);
        return;
      default:
        frame satisfies never;
    }
  }

  /** The stream of a frame; streams of the peer open, with all below them (RFC 9000 §3.2). Undefined when it is gone. */
  #streamFor(id: number): MemoryStream | undefined {
    const local = (id & 1) === (this.role === "server" ? 1 : 0);
    const direction = (id & 2) === 0 ? "bidirectional" : "unidirectional";
    while (!local && this.#accepted[direction] <= Math.floor(id / 4)) {
      const index = this.#accepted[direction]++;
      this.handler.streamOpened(this.#createStream(index * 4 + (id & 3), "peer"));
    }
    return this.#streams.get(id);
  }

  #createStream(id: number, initiator: "local" | "peer"): MemoryStream {
    const stream = new MemoryStream(id, initiator, this, {
      send: this.#options.peer.streamReceiveWindow,
      receive: this.#options.own.streamReceiveWindow,
    });
    this.#streams.set(id, stream);
    return stream;
  }

  #retryBlocked(): void {
    for (const stream of [...this.#blocked]) {
      if (this.sendCredit <= 0) {
        return;
      }
      this.#blocked.delete(stream);
      if (!stream.retryWrite()) {
        this.#blocked.add(stream);
      }
    }
  }

  #offerStreams(direction: StreamDirection): void {
    if (this.#refused[direction] && this.streamCredit(direction) > 0) {
      this.#refused[direction] = false;
      this.handler.streamsAvailable(direction);
    }
  }
}

const inertHandler: ConnectionHandler = {
  connected() {},
  streamOpened() {},
  streamsAvailable() {},
  datagram() {},
  datagramsWritable() {},
  pathsChanged() {},
  closed() {},
};

function streamLimits(options: TransportOptions): Record<StreamDirection, number> {
  return {
    bidirectional: options.maxBidirectionalStreams,
    unidirectional: options.maxUnidirectionalStreams,
  };
}

function isLocal(cause: CloseCause): boolean {
  return !("origin" in cause) || cause.origin === "local";
}

/** Frames in a random order that keeps the order within each stream; everything without a stream is one more stream. */
function mixStreams(frames: readonly Frame[], random: () => number): Frame[] {
  const lanes = new Map<number, Frame[]>();
  const mixed: Frame[] = [];
  for (const frame of frames) {
    if (frame.type === "connected") {
      mixed.push(frame);
      continue;
    }
    const lane = "id" in frame ? frame.id : -1;
    const queue = lanes.get(lane);
    if (queue === undefined) {
      lanes.set(lane, [frame]);
    } else {
      queue.push(frame);
    }
  }
  const waiting = [...lanes.values()].map((queue) => queue.reverse());
  while (waiting.length > 0) {
    const chosen = Math.floor(random() * waiting.length);
    const queue = waiting[chosen];
    const frame = queue?.pop();
    if (frame !== undefined) {
      mixed.push(frame);
    }
    if (queue === undefined || queue.length === 0) {
      waiting.splice(chosen, 1);
    }
  }
  return mixed;
}
