import {
  type CloseCause,
  EngineError,
  type EngineStream,
  type ReceiveState,
  type StreamDirection,
  type StreamHandler,
} from "../engine.ts";
import { codeToNumber } from "./code.ts";
import { type NativeConnection, nativeError, shutdownRead, shutdownWrite } from "./native.ts";

/** Most that one `read` returns. */
export const maxRead = 65_536;
/** Where quiche writes what is read; nothing stays in it. */
const scratch: Uint8Array = new Uint8Array(maxRead);
const nothing: Uint8Array = new Uint8Array(0);
/** quiche's default, and the ends of its range; lower goes first. */
const defaultUrgency = 127;
const maxUrgency = 255;

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly native: NativeConnection;
  /** The connection is over: nothing can be done any more. */
  readonly isClosed: boolean;
  /** Has what was done here leave at the end of the turn. */
  schedule(): void;
  /** Bytes that the send window has room for. */
  sendRoom(): number;
  wrote(length: number): void;
  /** Sends what is waiting now. */
  flush(): void;
  /** The code of a STOP_SENDING that has come and of which the handler was not told. */
  pendingStop(stream: QuicheStream): bigint | undefined;
  /** Whether the peer may be told to stop, see `StopBudget`. */
  mayStop(stream: QuicheStream): boolean;
  /** Nothing more is to be sent on this stream. */
  sendingOver(stream: QuicheStream): void;
  /** Both halves are over. */
  release(stream: QuicheStream): void;
}

/**
 * "finished": the FIN is on its way, but the peer has not acknowledged everything yet. "over": nothing can come of this
 * half any more, or there never was one.
 */
type SendState = "open" | "finished" | "over";

/** Data stays in quiche until it is read, and so takes up the peer's window. */
export class QuicheStream implements EngineStream {
  handler: StreamHandler = unhandled;
  readonly id: number;
  readonly direction: StreamDirection;
  readonly initiator: "local" | "peer";
  readonly #owner: StreamOwner;
  #sendState: SendState;
  #receiveState: ReceiveState;
  #resetCode: bigint | undefined;
  /** The handler has read all that there was, or has not been told of anything yet. */
  #awaitsReadable = true;
  #awaitsWritable = false;
  /** Stopped, but the peer was not told: what comes is thrown away. */
  #discards = false;
  #stopWasSent = false;
  /** quiche may forget the stream, and this with it, when the last of it is read. */
  #pendingStop: bigint | undefined;

  constructor(owner: StreamOwner, id: number, initiator: "local" | "peer") {
    this.#owner = owner;
    this.id = id;
    // RFC 9000 §2.1.
    this.direction = id % 4 < 2 ? "bidirectional" : "unidirectional";
    this.initiator = initiator;
    const isOneWay = this.direction === "unidirectional";
    this.#sendState = isOneWay && initiator === "peer" ? "over" : "open";
    this.#receiveState = isOneWay && initiator === "local" ? "none" : "open";
  }

  get receiveState(): ReceiveState {
    return this.#receiveState;
  }

  get resetCode(): bigint | undefined {
    return this.#resetCode;
  }

  get isOver(): boolean {
    return this.#sendState === "over" && this.#receiveState !== "open";
  }

  /** The peer was told to stop. */
  get stopWasSent(): boolean {
    return this.#stopWasSent;
  }

  get awaitsAcknowledgement(): boolean {
    return this.#sendState === "finished";
  }

  write(bytes: Uint8Array, fin = false): number {
    if (this.#owner.isClosed) {
      throw new EngineError("closed", "cannot write: the connection is closed");
    }
    if (this.#sendState !== "open") {
      throw new EngineError("stream-ended", "cannot write: the sending half is over");
    }
    const room = Math.min(bytes.length, this.#owner.sendRoom());
    const isLast = fin && room === bytes.length;
    const taken = this.#send(room === bytes.length ? bytes : bytes.subarray(0, room), isLast);
    if (taken < bytes.length) {
      this.#awaitsWritable = true;
    } else if (fin) {
      this.#sendState = "finished";
    }
    this.#owner.wrote(taken);
    this.#owner.schedule();
    return taken;
  }

  finish(): void {
    if (this.#sendState === "open" && !this.#owner.isClosed) {
      try {
        this.#send(nothing, true);
      } catch {
        // The peer has stopped the stream, and the event is still to be handed out.
        return;
      }
      this.#sendState = "finished";
      this.#owner.schedule();
    }
  }

  reset(code: bigint): void {
    const number = codeToNumber(code);
    if (this.#sendState !== "over" && !this.#owner.isClosed) {
      // quiche never forgets a stream that is reset while it holds data which it has not sent once.
      this.#owner.flush();
      this.#owner.native.streamShutdown(this.id, shutdownWrite, number);
      this.#endSending();
      this.#owner.schedule();
    }
  }

  stop(code: bigint): void {
    const number = codeToNumber(code);
    if (this.#receiveState !== "open" || this.#owner.isClosed) {
      return;
    }
    if (this.#sendState !== "over") {
      this.#pendingStop ??= this.#owner.pendingStop(this);
    }
    // What quiche throws away by itself stays counted against the connection's window.
    if (this.#discard()) {
      if (this.#owner.mayStop(this)) {
        this.#owner.native.streamShutdown(this.id, shutdownRead, number);
        this.#stopWasSent = true;
      } else {
        this.#discards = true;
      }
    }
    this.#endReceiving("stopped");
    this.#owner.schedule();
  }

  read(maxBytes: number = maxRead): Uint8Array | undefined {
    if (this.#receiveState !== "open") {
      return undefined;
    }
    const limit = Math.min(Math.max(Math.floor(maxBytes), 1), maxRead);
    const length = this.#owner.isClosed ? 0 : this.#receive(limit);
    if (length === 0) {
      this.#awaitsReadable = true;
      return undefined;
    }
    // Reading frees window for the peer, who has to be told.
    this.#owner.schedule();
    return scratch.slice(0, length);
  }

  setPriority(priority: number): void {
    if (this.#sendState !== "over" && !this.#owner.isClosed) {
      const urgency = Math.min(Math.max(defaultUrgency - Math.trunc(priority), 0), maxUrgency);
      this.#owner.native.streamPriority(this.id, urgency, true);
    }
  }

  /** quiche has something to read. */
  onReadable(): void {
    if (this.#discards) {
      this.#discard();
    } else if (this.#receiveState !== "open") {
      return;
    } else if (this.#awaitsReadable) {
      this.#awaitsReadable = false;
      this.handler.readable();
    } else {
      this.#lookForReset();
    }
  }

  /** quiche takes more of this stream. */
  onWritable(): void {
    if (this.#awaitsWritable && this.#sendState === "open") {
      this.#awaitsWritable = false;
      this.handler.writable();
    }
  }

  onStopped(code: bigint): void {
    if (this.#sendState !== "over") {
      this.#endSending();
      this.handler.stopped(code);
    }
  }

  /** quiche knows nothing of it any more: all was acknowledged, or the peer has stopped it. */
  onForgotten(): void {
    if (this.#pendingStop !== undefined || this.#sendState === "open") {
      this.onStopped(this.#pendingStop ?? 0n);
    } else {
      this.onAcknowledged();
    }
  }

  onAcknowledged(): void {
    if (this.#sendState === "finished") {
      this.#endSending();
      this.handler.acknowledged();
    }
  }

  /** quiche forgets a stream that was reset when that is read after the last acknowledgement. */
  readResetAgain(): void {
    if (this.#receiveState === "reset" || this.#receiveState === "stopped") {
      this.#discard();
    }
  }

  onConnectionClosed(cause: CloseCause): void {
    this.handler.connectionClosed(cause);
  }

  #send(bytes: Uint8Array, fin: boolean): number {
    try {
      return this.#owner.native.streamSend(this.id, bytes, fin) ?? 0;
    } catch (cause) {
      throw new EngineError("stream-ended", "cannot write: the peer has stopped the stream", {
        cause,
      });
    }
  }

  /** Reads into the scratch buffer. */
  #receive(limit: number): number {
    if (this.#sendState !== "over") {
      this.#pendingStop ??= this.#owner.pendingStop(this);
    }
    const into = limit === maxRead ? scratch : scratch.subarray(0, limit);
    try {
      const result = this.#owner.native.streamRecv(this.id, into);
      if (result === null) {
        return 0;
      }
      const [length, fin] = result;
      if (fin) {
        this.#endReceiving("finished");
      }
      return length;
    } catch (error) {
      this.#onReadError(error);
      return 0;
    }
  }

  /** Reads nothing, which takes nothing away: a reset has thrown away what there was. */
  #lookForReset(): void {
    try {
      this.#owner.native.streamRecv(this.id, nothing);
    } catch (error) {
      this.#onReadError(error);
    }
    if (this.#resetCode !== undefined) {
      this.handler.resetUnread?.(this.#resetCode);
    }
  }

  #onReadError(error: unknown): void {
    const { name, number } = nativeError(error);
    // Otherwise quiche does not know the stream any more, which it would have said before.
    this.#resetCode = name === "StreamReset" ? number : 0n;
    this.#endReceiving("reset");
  }

  /** Throws away what there is. Whether more can come. */
  #discard(): boolean {
    const { native } = this.#owner;
    try {
      for (;;) {
        const result = native.streamRecv(this.id, scratch);
        if (result === null) {
          return true;
        }
        this.#owner.schedule();
        if (result[1]) {
          return false;
        }
      }
    } catch {
      // It was reset.
      return false;
    }
  }

  #endSending(): void {
    this.#sendState = "over";
    this.#owner.sendingOver(this);
    this.#releaseIfOver();
  }

  #endReceiving(state: ReceiveState): void {
    this.#receiveState = state;
    this.#releaseIfOver();
  }

  #releaseIfOver(): void {
    if (this.isOver) {
      this.#owner.release(this);
    }
  }
}

const unhandled: StreamHandler = {
  readable: () => {},
  writable: () => {},
  stopped: () => {},
  acknowledged: () => {},
  connectionClosed: () => {},
};
