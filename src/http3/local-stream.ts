import { ByteWriter } from "../base/byte-writer.ts";
import { connectionError, H3, type H3Error } from "./h3-error.ts";
import type { StreamCore, StreamPort } from "./stream-port.ts";

export interface LocalStreamOwner {
  /** Undefined when the peer allows no more streams now. */
  openUnidirectional(core: StreamCore): StreamPort | undefined;
  fail(error: H3Error): void;
  /** Bytes that may wait. */
  readonly maxBacklog: number;
}

/**
 * A unidirectional stream of ours: control, QPACK encoder or decoder. Opened with the first bytes, never closed
 * (RFC 9114 §6.2.1, RFC 9204 §4.2).
 */
export class LocalStream implements StreamCore {
  readonly wantsBytes = false;
  readonly #owner: LocalStreamOwner;
  readonly #type: number;
  /** The peer takes, or no longer takes, what is sent. */
  readonly #writableChanged: ((writable: boolean) => void) | undefined;
  /** Until there is a stream. */
  #waiting: ByteWriter | undefined;
  #port: StreamPort | undefined;

  constructor(
    type: number,
    owner: LocalStreamOwner,
    writableChanged?: (writable: boolean) => void,
  ) {
    this.#type = type;
    this.#owner = owner;
    this.#writableChanged = writableChanged;
  }

  /** Sends bytes, once there is a stream; they may change after the call. */
  send(bytes: Uint8Array): void {
    const port = this.#port;
    if (port !== undefined) {
      if (!port.writeBorrowed(bytes, false)) {
        this.#writableChanged?.(false);
      }
    } else {
      this.#waiting ??= new ByteWriter().varint(this.#type);
      this.#waiting.bytes(bytes);
      this.open();
    }
    const backlog = this.#port?.backlog ?? this.#waiting?.length ?? 0;
    if (backlog > this.#owner.maxBacklog) {
      this.#owner.fail(
        connectionError(H3.EXCESSIVE_LOAD, `the peer gives no credit to a control or QPACK stream`),
      );
    }
  }

  /** Tries again to open the stream, if there is something to be sent on it. */
  open(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) {
      return;
    }
    this.#port = this.#owner.openUnidirectional(this);
    const written = this.#port?.write(waiting.finish(), false) ?? false;
    if (this.#port !== undefined) {
      this.#waiting = undefined;
    }
    this.#writableChanged?.(written);
  }

  wasStopped(): void {
    this.#owner.fail(
      connectionError(
        H3.CLOSED_CRITICAL_STREAM,
        "the peer stopped a control or QPACK stream (RFC 9114 §6.2.1)",
      ),
    );
  }

  writable(): void {
    this.#writableChanged?.(true);
  }

  receive(): void {}
  finished(): void {}
  wasReset(): void {}
  acknowledged(): void {}
  lastCall(): void {}
}
