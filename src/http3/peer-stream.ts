import { ByteReader } from "../base/byte-reader.ts";
import { varintLengthOf } from "../base/varint.ts";
import type { Role } from "../engine/engine.ts";
import { StreamType } from "./frame.ts";
import { connectionError, H3, H3Error } from "./h3-error.ts";
import type { StreamCore, StreamPort } from "./stream-port.ts";

/** Takes the bytes of a critical stream; throws H3Error (connection). */
export type CriticalReader = (bytes: Uint8Array) => void;

export interface PeerStreamOwner {
  readonly role: Role;
  /** The connection is over: nothing that arrives matters. */
  readonly over: boolean;
  fail(error: H3Error): void;
  /** The reader for a stream of this type (control, QPACK encoder or decoder). Throws H3Error for a second one. */
  claim(type: number): CriticalReader;
  /** A stream of unknown type. Throws H3Error (connection) when there are too many. */
  streamIgnored(): void;
}

/** A unidirectional stream that the peer opened (RFC 9114 §6.2): finds out what it is, and hands its bytes on. */
export class PeerStream implements StreamCore {
  readonly #owner: PeerStreamOwner;
  readonly #port: StreamPort;
  /** Bytes of a type that is not complete, at most 7. */
  #begun: Uint8Array = nothing;
  #reader: CriticalReader | undefined;
  #ignored = false;

  constructor(owner: PeerStreamOwner, port: StreamPort) {
    this.#owner = owner;
    this.#port = port;
  }

  get wantsBytes(): boolean {
    return !this.#ignored && !this.#owner.over;
  }

  receive(bytes: Uint8Array): void {
    try {
      if (this.#reader === undefined) {
        this.#readType(bytes);
      } else {
        this.#reader(bytes);
      }
    } catch (error) {
      if (!(error instanceof H3Error)) {
        throw error;
      }
      this.#owner.fail(error);
    }
  }

  finished(): void {
    this.#closed();
  }

  wasReset(): void {
    this.#closed();
  }

  wasStopped(): void {}
  writable(): void {}
  acknowledged(): void {}
  lastCall(): void {}

  #readType(bytes: Uint8Array): void {
    const begun = new Uint8Array(this.#begun.length + bytes.length);
    begun.set(this.#begun);
    begun.set(bytes, this.#begun.length);
    const first = begun[0];
    if (first === undefined || begun.length < varintLengthOf(first)) {
      this.#begun = begun;
      return;
    }
    const reader = new ByteReader(begun);
    const type = reader.varintNumber();
    switch (type) {
      case StreamType.CONTROL:
      case StreamType.QPACK_ENCODER:
      case StreamType.QPACK_DECODER:
        this.#reader = this.#owner.claim(type);
        if (reader.remaining > 0) {
          this.#reader(reader.rest());
        }
        return;
      case StreamType.PUSH:
        throw this.#owner.role === "server"
          ? connectionError(H3.STREAM_CREATION_ERROR, "push stream from a client (RFC 9114 §6.2.2)")
          : connectionError(H3.ID_ERROR, "push stream, but no push was allowed (RFC 9114 §4.6)");
      default:
        this.#ignored = true;
        this.#port.stop(H3.STREAM_CREATION_ERROR);
        this.#owner.streamIgnored();
    }
  }

  /** A stream may end before its type has arrived (RFC 9114 §6.2), but not a critical one. */
  #closed(): void {
    if (this.#reader !== undefined) {
      this.#owner.fail(
        connectionError(
          H3.CLOSED_CRITICAL_STREAM,
          "the peer closed a control or QPACK stream (RFC 9114 §6.2.1, RFC 9204 §4.2)",
        ),
      );
    }
  }
}

const nothing = new Uint8Array(0);
