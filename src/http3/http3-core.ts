import { ByteWriter } from "../base/byte-writer.ts";
import { NumberMap } from "../base/number-map.ts";
import type { CloseCause, Role, StreamDirection } from "../engine/engine.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { connectionLost, connectionNotOpen, refusedByGoaway } from "./connection-lost.ts";
import type { ConnectionPort } from "./connection-port.ts";
import { ControlReader } from "./control-reader.ts";
import { encodeGoaway, reservedValue, StreamType } from "./frame.ts";
import { connectionError, H3, type H3Error, streamError } from "./h3-error.ts";
import { defaultHttp3Limits, type Http3Limits } from "./http3-limits.ts";
import { LocalStream } from "./local-stream.ts";
import { callerMistake, checkRequestHead } from "./message-rules.ts";
import { PeerGuard } from "./peer-guard.ts";
import { type CriticalReader, PeerStream, type PeerStreamOwner } from "./peer-stream.ts";
import type { FieldSection } from "./qpack/field.ts";
import type { DecodeOutcome } from "./qpack/qpack-decoder.ts";
import type { QpackEncoderOptions } from "./qpack/qpack-encoder.ts";
import { QpackStreams, type QpackStreamsOwner } from "./qpack-streams.ts";
import type { MessageHandler, RequestStream, SendHeadersOptions } from "./request-stream.ts";
import { RequestStreamCore } from "./request-stream-core.ts";
import {
  encodeSettings,
  initialSettings,
  requestsBothWaysSetting,
  type Settings,
} from "./settings.ts";
import type { StreamCore, StreamPort } from "./stream-port.ts";

export interface Http3CoreOptions {
  readonly role: Role;
  readonly limits?: Partial<Http3Limits> | undefined;
  /** A request with this header section arrived. Returns its handler; `headers` is called on it right after. */
  readonly onRequest?:
    | ((stream: RequestStream, fields: FieldSection) => MessageHandler)
    | undefined;
  /**
   * Offers that both sides send requests, by an extension (RFC 9114 §6.1, §9, docs/requests-both-ways.md). Where the other
   * side does not offer it as well, clients alone do. Default false.
   */
  readonly requestsBothWays?: boolean | undefined;
  /** Settings of extensions that we send (RFC 9114 §9). */
  readonly extensionSettings?: ReadonlyMap<number, number>;
  /**
   * How we use the peer's dynamic table. Default: as {@link QpackEncoderOptions} say, but with `maxBlockedStreams` 0, so
   * that no message of ours waits for the encoder stream (RFC 9204 §2.1.2).
   */
  readonly qpackEncoder?: Partial<QpackEncoderOptions>;
}

/**
 * HTTP/3 on a QUIC connection (RFC 9114), without I/O and in either role. Order of calls: `start`, then whatever happens
 * on the connection in its order, `closed` last. What is to happen in return goes to the {@link ConnectionPort}.
 */
export class Http3Core implements ConnectionContext, QpackStreamsOwner, PeerStreamOwner {
  readonly role: Role;
  readonly limits: Http3Limits;
  readonly guard: PeerGuard;
  readonly scratch: ByteWriter = scratch;
  readonly #options: Http3CoreOptions;
  readonly #port: ConnectionPort;
  readonly #qpack: QpackStreams;
  readonly #control: LocalStream;
  /** Which of the peer's critical streams exist: a bit for each, by their types. */
  #claimed = 0;
  #peerSettings: Settings = initialSettings;
  /** Whether both sides send requests. Undefined: we have offered it, and the peer's SETTINGS have not arrived. */
  #bothWays: boolean | undefined;

  /** Requests that have a stream, ours and the peer's, until all of both halves has arrived. */
  readonly #requests = new NumberMap<RequestStreamCore>();
  /** Requests that wait for a stream, in their order. */
  #queue: Set<RequestStreamCore> | undefined;
  #active = 0;
  /** The least id of a request stream that the peer has not opened yet. */
  #nextPeerRequest: number;

  #goawaySent: number | undefined;
  #goawayReceived = false;
  /** What the peer did that makes us end the connection. */
  #fault: H3Error | undefined;
  /** The connection is over, or will be as soon as the engine gets to it. */
  #over = false;

  constructor(options: Http3CoreOptions, port: ConnectionPort) {
    this.role = options.role;
    this.limits =
      options.limits === undefined
        ? defaultHttp3Limits
        : { ...defaultHttp3Limits, ...options.limits };
    this.#options = options;
    this.#port = port;
    this.#bothWays = options.requestsBothWays === true ? undefined : false;
    this.#nextPeerRequest = options.role === "server" ? 0 : 1;
    this.guard = new PeerGuard(this.limits, port);
    this.#qpack = new QpackStreams(this.limits, this, options.qpackEncoder);
    this.#control = new LocalStream(StreamType.CONTROL, this);
  }

  /** Sends SETTINGS, also before the handshake is done; nothing of the peer is needed for it (RFC 9114 §7.2.4.2). */
  start(): void {
    this.#control.send(
      encodeSettings({
        maxFieldSectionSize: this.limits.maxFieldSectionSize,
        qpackMaxTableCapacity: this.limits.qpackMaxTableCapacity,
        qpackBlockedStreams: this.limits.qpackBlockedStreams,
        extensions: new Map([
          ...(this.#options.extensionSettings ?? []),
          ...(this.#offersBothWays ? [[requestsBothWaysSetting, 1] as const] : []),
          // Endpoints should send one that means nothing (RFC 9114 §7.2.4.1).
          [reservedValue(0x2a), 0],
        ]),
      }),
    );
  }

  // What happens on the connection.

  /** The peer opened a stream. */
  accept(direction: StreamDirection, port: StreamPort): StreamCore {
    if (this.#over) {
      return ignoredStream;
    }
    if (direction === "unidirectional") {
      return new PeerStream(this, port);
    }
    return this.#acceptRequest(port);
  }

  /** It is worth another try to open a stream. */
  streamsAvailable(direction: StreamDirection): void {
    if (direction === "unidirectional") {
      this.#control.open();
      this.#qpack.open();
      return;
    }
    for (const stream of this.#queue ?? []) {
      if (!this.#openRequest(stream)) {
        return;
      }
    }
  }

  handleTimeout(now: number): void {
    this.guard.handleTimeout(now);
  }

  /** The connection is over. Fails every open request. */
  closed(cause: CloseCause): void {
    this.#over = true;
    const streams = [...this.#requests.values(), ...(this.#queue ?? [])];
    for (const stream of streams) {
      const unprocessed = this.#queue?.has(stream) === true || cause.type === "early-data-rejected";
      stream.connectionClosed(connectionLost(cause, this.#fault, unprocessed));
    }
    this.#requests.clear();
    this.#queue?.clear();
    this.#setActive(0);
  }

  // What the owner of the connection wants.

  get state(): "open" | "draining" | "closed" {
    if (this.#over) {
      return "closed";
    }
    return this.#goawayReceived || this.#goawaySent !== undefined ? "draining" : "open";
  }

  get activeRequests(): number {
    return this.#active;
  }

  get queuedRequests(): number {
    return this.#queue?.size ?? 0;
  }

  get peerSettings(): Settings {
    return this.#peerSettings;
  }

  /** Whether this side may send requests. Undefined: that depends on the peer's SETTINGS, which have not arrived. */
  get sendsRequests(): boolean | undefined {
    return this.role === "client" || this.#bothWays;
  }

  /** Whether requests of the peer may be on their way. */
  get takesRequests(): boolean {
    return this.role === "server" || this.#bothWays !== false;
  }

  /**
   * Sends a request, or queues it. Throws TypeError when the header section is not valid, or unless this side
   * {@link sendsRequests}.
   */
  request(
    fields: FieldSection,
    handler: MessageHandler,
    options?: SendHeadersOptions,
  ): RequestStream {
    if (this.sendsRequests !== true) {
      throw new TypeError("cannot send request: this side of the connection only answers");
    }
    const { method } = callerMistake(() => checkRequestHead(fields));
    const stream = RequestStreamCore.outgoing(this, handler, method);
    this.#setActive(this.#active + 1);
    const { state } = this;
    if (state !== "open") {
      // Nothing is sent, but whoever goes on sending until then is in order.
      stream.sendHeaders(fields, options);
      this.soon(() => stream.unprocessed(connectionNotOpen(state)));
      return stream;
    }
    if (this.queuedRequests > 0 || !this.#openRequest(stream)) {
      this.#queue ??= new Set();
      this.#queue.add(stream);
    }
    stream.sendHeaders(fields, options);
    return stream;
  }

  /** Takes no new requests from now on (RFC 9114 §5.2); `drained` follows. Idempotent. */
  goaway(): void {
    if (this.#over || this.#goawaySent !== undefined) {
      return;
    }
    // A client that gets no requests names a push id: there are none. What it is depends on our SETTINGS alone, which a
    // server has read before.
    const namesRequest = this.role === "server" || this.#offersBothWays;
    this.#goawaySent = namesRequest ? this.#nextPeerRequest : 0;
    this.#control.send(encodeGoaway(this.#goawaySent));
    this.#checkDrained();
  }

  /** Ends the connection with an application code; `closed` follows. Idempotent. */
  close(code: bigint, reason: string): void {
    if (!this.#over) {
      this.#over = true;
      this.#port.close(code, reason);
    }
  }

  // ConnectionContext: what the streams want.

  get over(): boolean {
    return this.#over;
  }

  fail(error: H3Error): void {
    if (!this.#over) {
      this.#fault = error;
      this.close(error.code, error.message);
    }
  }

  soon(callback: () => void): void {
    this.#port.soon(callback);
  }

  encode(streamId: number, fields: FieldSection): Uint8Array {
    return this.#qpack.encode(streamId, fields);
  }

  decode(streamId: number, bytes: Uint8Array): DecodeOutcome {
    return this.#qpack.decode(streamId, bytes);
  }

  cancelDecoding(streamId: number): void {
    this.#qpack.cancelDecoding(streamId);
  }

  handlerFor(stream: RequestStream, fields: FieldSection): MessageHandler {
    const { onRequest } = this.#options;
    if (onRequest === undefined) {
      throw streamError(H3.REQUEST_REJECTED, "nobody answers requests here");
    }
    return onRequest(stream, fields);
  }

  requestEnded(stream: RequestStreamCore): void {
    this.#queue?.delete(stream);
    this.#setActive(this.#active - 1);
  }

  requestGone(stream: RequestStreamCore): void {
    this.#requests.delete(stream.id);
    this.#checkDrained();
  }

  // QpackStreamsOwner and PeerStreamOwner: what the unidirectional streams want.

  get maxBacklog(): number {
    return this.limits.maxControlBacklog;
  }

  openUnidirectional(core: StreamCore): StreamPort | undefined {
    return this.#open("unidirectional", core);
  }

  unblocked(streamId: number, outcome: DecodeOutcome): void {
    this.#requests.get(streamId)?.unblocked(outcome);
  }

  streamIgnored(): void {
    this.guard.streamIgnored();
  }

  get #offersBothWays(): boolean {
    return this.#options.requestsBothWays === true;
  }

  #acceptRequest(port: StreamPort): StreamCore {
    if (!this.takesRequests) {
      this.fail(requestFromServer());
      return ignoredStream;
    }
    if (this.#goawaySent !== undefined && port.id >= this.#goawaySent) {
      port.stop(H3.REQUEST_REJECTED);
      port.reset(H3.REQUEST_REJECTED);
      // What the peer's encoder holds for its header section is to be released (RFC 9204 §2.2.2.2).
      this.cancelDecoding(port.id);
      return ignoredStream;
    }
    this.#nextPeerRequest = Math.max(this.#nextPeerRequest, port.id + 4);
    const stream = RequestStreamCore.incoming(this, port);
    if (this.role === "client" && this.#bothWays === undefined) {
      // Streams overtake each other: the server's SETTINGS will say whether it may do this.
      stream.pause();
    }
    this.#requests.set(port.id, stream);
    this.#setActive(this.#active + 1);
    return stream;
  }

  #openRequest(stream: RequestStreamCore): boolean {
    const port = this.#open("bidirectional", stream);
    if (port === undefined) {
      return false;
    }
    this.#queue?.delete(stream);
    this.#requests.set(port.id, stream);
    stream.open(port);
    return true;
  }

  #open(direction: StreamDirection, core: StreamCore): StreamPort | undefined {
    return this.#over ? undefined : this.#port.openStream(direction, core);
  }

  /** One critical stream of each type (RFC 9114 §6.2.1, RFC 9204 §4.2). */
  claim(type: number): CriticalReader {
    if ((this.#claimed & (1 << type)) !== 0) {
      throw connectionError(
        H3.STREAM_CREATION_ERROR,
        `second stream of type ${type} (RFC 9114 §6.2.1, RFC 9204 §4.2)`,
      );
    }
    this.#claimed |= 1 << type;
    switch (type) {
      case StreamType.QPACK_ENCODER:
        return (bytes) => this.#qpack.receiveEncoderStream(bytes);
      case StreamType.QPACK_DECODER:
        return (bytes) => this.#qpack.receiveDecoderStream(bytes);
      default: {
        const reader = new ControlReader(this.role, {
          settings: (settings) => this.#settingsArrived(settings),
          goaway: (id) => this.#goawayArrived(id),
          frameIgnored: () => this.guard.frameIgnored(),
        });
        return (bytes) => reader.receive(bytes);
      }
    }
  }

  #settingsArrived(settings: Settings): void {
    this.#peerSettings = settings;
    this.#qpack.setPeerSettings(settings);
    if (this.#offersBothWays) {
      this.#peerAnswered(settings.extensions.get(requestsBothWaysSetting));
    }
    this.#port.settings();
  }

  /** The peer has answered our offer of requests both ways with this value of the setting. */
  #peerAnswered(value = 0): void {
    if (value > 1) {
      throw connectionError(
        H3.SETTINGS_ERROR,
        `setting 0x${requestsBothWaysSetting.toString(16)} is ${value}, expected 0 or 1`,
      );
    }
    this.#bothWays = value === 1;
    const early = this.#requests.values().filter(({ outgoing }) => !outgoing);
    if (this.role === "client" && early.length > 0) {
      if (!this.#bothWays) {
        throw requestFromServer();
      }
      for (const stream of early) {
        stream.resume();
      }
    }
  }

  #goawayArrived(id: bigint): void {
    const firstRequest = this.role === "client" ? 0n : 1n;
    if (this.sendsRequests === true && id % 4n !== firstRequest) {
      throw connectionError(
        H3.ID_ERROR,
        `GOAWAY with id ${id}, which is no request stream of ours (RFC 9114 §7.2.6)`,
      );
    }
    if (!this.#goawayReceived) {
      this.#goawayReceived = true;
      this.#port.goaway();
    }
    if (this.sendsRequests !== true) {
      return;
    }
    for (const stream of this.#requests.values()) {
      if (stream.outgoing && stream.id >= Number(id)) {
        stream.unprocessed(refusedByGoaway());
      }
    }
    for (const stream of [...(this.#queue ?? [])]) {
      stream.unprocessed(refusedByGoaway());
    }
  }

  #setActive(count: number): void {
    const was = this.#active;
    this.#active = count;
    if (was > 0 !== count > 0) {
      this.#port.activeChanged(count > 0);
    }
  }

  #checkDrained(): void {
    if (this.#goawaySent !== undefined && this.#requests.size === 0 && this.queuedRequests === 0) {
      this.#port.drained();
    }
  }
}

function requestFromServer(): H3Error {
  return connectionError(
    H3.STREAM_CREATION_ERROR,
    "bidirectional stream from a server (RFC 9114 §6.1)",
  );
}

/** Of all connections, because what is written is gone before anybody else writes. */
const scratch = new ByteWriter(512);

/** A stream on which nothing that happens matters. */
const ignoredStream: StreamCore = {
  wantsBytes: false,
  receive() {},
  finished() {},
  wasReset() {},
  wasStopped() {},
  writable() {},
  acknowledged() {},
  lastCall() {},
};
