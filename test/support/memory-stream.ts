import {
  type CloseCause,
  EngineError,
  type EngineStream,
  type ReceiveState,
  type StreamDirection,
  type StreamHandler,
} from "../../src/engine/engine.ts";

/** What travels between two connections in memory, a QUIC frame without its bytes. */
export type Frame =
  | { readonly type: "connected" }
  | {
      readonly type: "data";
      readonly id: number;
      readonly bytes: Uint8Array;
      readonly fin: boolean;
    }
  | { readonly type: "reset"; readonly id: number; readonly code: bigint; readonly size: number }
  | { readonly type: "stop"; readonly id: number; readonly code: bigint }
  | { readonly type: "ack"; readonly id: number; readonly bytes: number; readonly end: boolean }
  | { readonly type: "max-stream-data"; readonly id: number; readonly limit: number }
  | { readonly type: "max-data"; readonly limit: number }
  | { readonly type: "max-streams"; readonly direction: StreamDirection; readonly limit: number }
  | { readonly type: "datagram"; readonly bytes: Uint8Array }
  | { readonly type: "close"; readonly cause: CloseCause };

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly closed: boolean;
  /** How many bytes of content may still be written on all streams together. */
  readonly sendCredit: number;
  /** Bytes that a read returns at most. */
  readonly chunkSize: number;
  send(frame: Frame): void;
  /** `bytes` more were written. */
  wrote(bytes: number): void;
  /** A write took less than it was given: `retryWrite` is to be called when there is credit. */
  blocked(stream: MemoryStream): void;
  /** `bytes` that had arrived were read or thrown away. */
  consumed(bytes: number): void;
  /** Both halves are over. */
  gone(stream: MemoryStream): void;
}

const inertHandler: StreamHandler = {
  readable() {},
  writable() {},
  stopped() {},
  acknowledged() {},
  connectionClosed() {},
};

/** A stream of the memory engine; the `handle*` methods are called by its connection when frames arrive. */
export class MemoryStream implements EngineStream {
  handler: StreamHandler = inertHandler;
  readonly id: number;
  readonly direction: StreamDirection;
  readonly initiator: "local" | "peer";
  readonly #owner: StreamOwner;

  #sendState: "open" | "finished" | "over";
  #sendLimit: number;
  #written = 0;
  #writeBlocked = false;

  #receiveState: ReceiveState;
  #receiveWindow: number;
  #resetCode: bigint | undefined;
  readonly #chunks: Uint8Array[] = [];
  #arrived = 0;
  #taken = 0;
  #finArrived = false;
  /** True when no more frames of the peer matter: its FIN was read, or its RESET_STREAM arrived. */
  #receiveOver: boolean;
  #announceReadable = true;

  constructor(
    id: number,
    initiator: "local" | "peer",
    owner: StreamOwner,
    limits: { readonly send: number; readonly receive: number },
  ) {
    this.id = id;
    this.initiator = initiator;
    this.direction = (id & 2) === 0 ? "bidirectional" : "unidirectional";
    this.#owner = owner;
    this.#sendLimit = limits.send;
    this.#receiveWindow = limits.receive;
    const canSend = this.direction === "bidirectional" || initiator === "local";
    const canReceive = this.direction === "bidirectional" || initiator === "peer";
    this.#sendState = canSend ? "open" : "over";
    this.#receiveState = canReceive ? "open" : "none";
    this.#receiveOver = !canReceive;
  }

  get receiveState(): ReceiveState {
    return this.#receiveState;
  }

  get resetCode(): bigint | undefined {
    return this.#resetCode;
  }

  /** Bytes that arrived and wait for a reader. */
  get bufferedBytes(): number {
    return this.#chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  write(bytes: Uint8Array, fin = false): number {
    if (this.#owner.closed) {
      throw new EngineError("closed", "cannot write: the connection is closed");
    }
    if (this.#sendState !== "open") {
      throw new EngineError("stream-ended", "cannot write: the sending half is over");
    }
    const room = Math.min(this.#sendLimit - this.#written, this.#owner.sendCredit);
    const count = Math.min(bytes.length, Math.max(room, 0));
    const all = count === bytes.length;
    if (count > 0 || (fin && all)) {
      this.#written += count;
      this.#owner.wrote(count);
      this.#owner.send({
        type: "data",
        id: this.id,
        bytes: bytes.slice(0, count),
        fin: fin && all,
      });
    }
    if (!all) {
      this.#writeBlocked = true;
      this.#owner.blocked(this);
    } else if (fin) {
      this.#sendState = "finished";
    }
    return count;
  }

  finish(): void {
    if (this.#sendState === "open" && !this.#owner.closed) {
      this.#sendState = "finished";
      this.#owner.send({ type: "data", id: this.id, bytes: new Uint8Array(0), fin: true });
    }
  }

  reset(code: bigint): void {
    if (this.#sendState !== "over" && !this.#owner.closed) {
      this.#owner.send({ type: "reset", id: this.id, code, size: this.#written });
      this.#endSending();
    }
  }

  stop(code: bigint): void {
    if (this.#receiveState === "open" && !this.#owner.closed) {
      this.#receiveState = "stopped";
      this.#owner.send({ type: "stop", id: this.id, code });
      this.#discard();
      if (this.#finArrived) {
        this.#endReceiving();
      }
    }
  }

  read(maxBytes?: number): Uint8Array | undefined {
    const first = this.#chunks[0];
    if (this.#receiveState !== "open" || first === undefined) {
      this.#announceReadable = true;
      return undefined;
    }
    const size = Math.min(maxBytes ?? this.#owner.chunkSize, this.#owner.chunkSize);
    const bytes = first.slice(0, size);
    if (bytes.length === first.length) {
      this.#chunks.shift();
    } else {
      this.#chunks[0] = first.subarray(size);
    }
    this.#taken += bytes.length;
    this.#owner.consumed(bytes.length);
    this.#owner.send({
      type: "max-stream-data",
      id: this.id,
      limit: this.#taken + this.#receiveWindow,
    });
    this.#finishIfRead();
    return bytes;
  }

  setPriority(): void {}

  handleData(bytes: Uint8Array, fin: boolean): void {
    if (this.#receiveOver) {
      return;
    }
    this.#arrived += bytes.length;
    this.#finArrived ||= fin;
    if (this.#receiveState === "stopped") {
      this.#owner.consumed(bytes.length);
      if (fin) {
        this.#endReceiving();
      }
      return;
    }
    if (bytes.length > 0) {
      this.#chunks.push(bytes);
    }
    this.#finishIfRead();
    this.#announce();
  }

  handleReset(code: bigint, finalSize: number): void {
    if (this.#receiveOver) {
      return;
    }
    this.#owner.consumed(finalSize - this.#arrived);
    this.#discard();
    const wasStopped = this.#receiveState === "stopped";
    if (!wasStopped) {
      this.#receiveState = "reset";
      this.#resetCode = code;
    }
    this.#endReceiving();
    if (!wasStopped) {
      this.#announce();
    }
  }

  handleStop(code: bigint): void {
    if (this.#sendState === "over") {
      return;
    }
    this.reset(code);
    this.handler.stopped(code);
  }

  handleCredit(limit: number): void {
    this.#sendLimit = Math.max(this.#sendLimit, limit);
    this.retryWrite();
  }

  handleAck(end: boolean): void {
    if (end && this.#sendState === "finished") {
      this.#endSending();
      this.handler.acknowledged();
    }
  }

  handleConnectionClosed(cause: CloseCause): void {
    this.handler.connectionClosed(cause);
  }

  /** Tells the writer when it may go on. True when it was told or does not wait any more. */
  retryWrite(): boolean {
    if (!this.#writeBlocked || this.#sendState !== "open") {
      return true;
    }
    if (this.#sendLimit <= this.#written || this.#owner.sendCredit <= 0) {
      return false;
    }
    this.#writeBlocked = false;
    this.handler.writable();
    return true;
  }

  #announce(): void {
    if (this.#announceReadable) {
      this.#announceReadable = false;
      this.handler.readable();
    }
  }

  #finishIfRead(): void {
    if (this.#finArrived && this.#chunks.length === 0) {
      this.#receiveState = "finished";
      this.#endReceiving();
    }
  }

  #discard(): void {
    this.#owner.consumed(this.bufferedBytes);
    this.#chunks.length = 0;
  }

  #endSending(): void {
    this.#sendState = "over";
    this.#checkGone();
  }

  #endReceiving(): void {
    this.#receiveOver = true;
    this.#checkGone();
  }

  #checkGone(): void {
    if (this.#sendState === "over" && this.#receiveOver) {
      this.#owner.gone(this);
    }
  }
}
