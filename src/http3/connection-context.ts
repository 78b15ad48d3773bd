import type { ByteWriter } from "../base/byte-writer.ts";
import type { Role } from "../engine/engine.ts";
import type { H3Error } from "./h3-error.ts";
import type { Http3Limits } from "./http3-limits.ts";
import type { PeerGuard } from "./peer-guard.ts";
import type { FieldSection } from "./qpack/field.ts";
import type { DecodeOutcome } from "./qpack/qpack-decoder.ts";
import type { MessageHandler, RequestStream } from "./request-stream.ts";
import type { RequestStreamCore } from "./request-stream-core.ts";
import type { Settings } from "./settings.ts";

/** What the streams of a connection share. */
export interface ConnectionContext {
  readonly role: Role;
  readonly limits: Http3Limits;
  /** Of the peer, or the initial ones as long as they have not arrived. */
  readonly peerSettings: Settings;
  /** The connection is over, or about to be: no stream does anything any more. */
  readonly over: boolean;
  readonly guard: PeerGuard;
  /** For the bytes of one write; whoever uses it clears it first and calls nobody in between. */
  readonly scratch: ByteWriter;

  /** An encoded field section; may be shared, not to be changed. What it needs on the encoder stream was sent. */
  encode(streamId: number, fields: FieldSection): Uint8Array;
  /** Throws H3Error (connection). A blocked section comes back by `RequestStreamCore.unblocked`. */
  decode(streamId: number, bytes: Uint8Array): DecodeOutcome;
  /** Sections of this stream will not be read. */
  cancelDecoding(streamId: number): void;

  /** Ends the connection with the error. */
  fail(error: H3Error): void;
  soon(callback: () => void): void;
  /** A request arrived: gives its handler. */
  handlerFor(stream: RequestStream, fields: FieldSection): MessageHandler;

  /** Neither half of the stream will carry more, but what was sent may still be on its way. */
  requestEnded(stream: RequestStreamCore): void;
  /** The stream is of no more interest. */
  requestGone(stream: RequestStreamCore): void;
}
