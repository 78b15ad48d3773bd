import {
  type CloseCause,
  EngineError,
  type EngineStream,
  type ReceiveState,
  type StreamDirection,
  type StreamHandler,
} from "../engine.ts";
import { checkedCode } from "./code.ts";
import {
  type Core,
  maxChunk,
  notFound,
  readHeader,
  receiveFinished,
  receiveOpen,
  receiveReset,
} from "./core.ts";

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly core: Core;
  readonly handle: number;
  /** The connection is over, or the core has failed: nothing can be done any more. */
  readonly isClosed: boolean;
  /** Has what was done here leave at the end of the turn. */
  schedule(): void;
  /** As {@link schedule}, for what was written: with much of it, sooner. */
  wrote(): void;
  /** Both halves are over. */
  release(stream: NoqStream): void;
}

/**
 * "finished": the FIN is on its way, but the peer has not acknowledged everything yet. "over": nothing can come of this
 * half any more, or there never was one.
 */
type SendState = "open" | "finished" | "over";

/** Data stays in the core until it is read, and so takes up the peer's window. */
export class NoqStream implements EngineStream {
  handler: StreamHandler = unhandled;
  readonly id: number;
  readonly direction: StreamDirection;
  readonly initiator: "local" | "peer";
  readonly #owner: StreamOwner;
  #sendState: SendState;
  /** Another stream may have its number now. */
  #abandoned = false;
  #receiveState: ReceiveState;
  #resetCode: bigint | undefined;
  /** The handler has read all that there was, or has not been told of anything yet. */
  #awaitsReadable = true;
  #awaitsWritable = false;

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

  write(bytes: Uint8Array, fin = false): number {
    if (this.#owner.isClosed) {
      throw closedError("write", this.#owner.core);
    }
    if (this.#sendState !== "open") {
      throw new EngineError("stream-ended", "cannot write: the sending half is over");
    }
    const { core, handle } = this.#owner;
    let taken = 0;
    do {
      const length = Math.min(bytes.length - taken, maxChunk);
      const isLast = taken + length === bytes.length;
      core.put(length === bytes.length ? bytes : bytes.subarray(taken, taken + length));
      const count = core.call.stream_write(handle, this.id, length, fin && isLast ? 1 : 0);
      if (count === notFound) {
        // STOP_SENDING has arrived, and the event is still to be handed out.
        throw new EngineError("stream-ended", "cannot write: the peer has stopped the stream");
      }
      taken += count;
      if (count < length) {
        this.#awaitsWritable = true;
        break;
      }
    } while (taken < bytes.length);
    if (fin && taken === bytes.length) {
      this.#sendState = "finished";
    }
    this.#owner.wrote();
    return taken;
  }

  finish(): void {
    if (this.#sendState === "open" && !this.#owner.isClosed) {
      this.#owner.core.call.stream_finish(this.#owner.handle, this.id);
      this.#sendState = "finished";
      this.#owner.schedule();
    }
  }

  reset(code: bigint): void {
    checkedCode(code);
    if (this.#sendState !== "over" && !this.#owner.isClosed) {
      this.#owner.core.call.stream_reset(this.#owner.handle, this.id, code);
      this.#endSending();
      this.#owner.schedule();
    }
  }

  stop(code: bigint): void {
    checkedCode(code);
    if (this.#receiveState === "open" && !this.#abandoned && !this.#owner.isClosed) {
      this.#owner.core.call.stream_stop(this.#owner.handle, this.id, code);
      this.#endReceiving("stopped");
      this.#owner.schedule();
    }
  }

  read(maxBytes: number = maxChunk): Uint8Array | undefined {
    const { core, handle } = this.#owner;
    if (this.#receiveState !== "open" || this.#abandoned || core.failure !== undefined) {
      return undefined;
    }
    const limit = Math.min(Math.max(Math.floor(maxBytes), 1), maxChunk);
    const length = core.call.stream_read(handle, this.id, limit);
    const state = core.view.getUint32(core.scratch, true);
    if (state !== receiveOpen) {
      this.#onReadEnd(state);
    }
    if (length === 0) {
      this.#awaitsReadable = true;
      return undefined;
    }
    // Reading frees window for the peer, who has to be told.
    this.#owner.schedule();
    return core.take(readHeader, length);
  }

  setPriority(priority: number): void {
    if (this.#sendState !== "over" && !this.#owner.isClosed) {
      this.#owner.core.call.stream_set_priority(this.#owner.handle, this.id, priority);
    }
  }

  onReadable(): void {
    if (this.#receiveState !== "open") {
      return;
    }
    if (this.#awaitsReadable) {
      this.#awaitsReadable = false;
      this.handler.readable();
    } else {
      this.#lookForReset();
    }
  }

  /** Reads nothing, which takes nothing away: a reset has thrown away what there was. */
  #lookForReset(): void {
    const { core, handle } = this.#owner;
    core.call.stream_read(handle, this.id, 0);
    this.#onReadEnd(core.view.getUint32(core.scratch, true));
    if (this.#resetCode !== undefined) {
      this.handler.resetUnread?.(this.#resetCode);
    }
  }

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

  onAcknowledged(): void {
    if (this.#sendState === "finished") {
      this.#endSending();
      this.handler.acknowledged();
    }
  }

  onConnectionClosed(cause: CloseCause): void {
    this.handler.connectionClosed(cause);
  }

  /** The stream never existed: the peer has refused early data. */
  abandon(): void {
    this.#sendState = "over";
    this.#abandoned = true;
    this.handler.connectionClosed({ type: "early-data-rejected" });
  }

  #onReadEnd(state: number): void {
    if (state === receiveFinished) {
      this.#endReceiving("finished");
    } else if (state === receiveReset) {
      const { core } = this.#owner;
      this.#resetCode = core.view.getBigUint64(core.scratch + 8, true);
      this.#endReceiving("reset");
    }
  }

  #endSending(): void {
    this.#sendState = "over";
    this.#releaseIfOver();
  }

  #endReceiving(state: ReceiveState): void {
    this.#receiveState = state;
    this.#releaseIfOver();
  }

  #releaseIfOver(): void {
    if (this.#sendState === "over" && this.#receiveState !== "open") {
      this.#owner.release(this);
    }
  }
}

/** Why nothing can be done with a connection that is over. */
export function closedError(action: string, core: Core): EngineError {
  return core.failure ?? new EngineError("closed", `cannot ${action}: the connection is closed`);
}

const unhandled: StreamHandler = {
  readable: () => {},
  writable: () => {},
  stopped: () => {},
  acknowledged: () => {},
  connectionClosed: () => {},
};
