import { AddressBook, addressLength } from "../../base/address-book.ts";
import type { Timer } from "../../base/platform.ts";
import type { SocketAddress } from "../../base/socket-address.ts";
import {
  type CertifiedKey,
  type CloseCause,
  type Credentials,
  type EndpointStats,
  type EngineConnection,
  type EngineConnectOptions,
  type EngineEndpoint,
  EngineError,
  type EngineOptions,
  noShard,
} from "../engine.ts";
import { Core, invalidName, maxChunk, nobodyTrusted, readHeader } from "./core.ts";
import { EventBatch, eventKind } from "./events.ts";
import { type ConnectionOwner, NoqConnection } from "./noq-connection.ts";
import {
  encodeCertificate,
  encodeConnectOptions,
  encodeEndpointOptions,
  encodeProtocols,
} from "./options.ts";
import { wasmModule } from "./wasm-module.ts";

/** Received bytes kept for the next turn; what comes above it is dropped, as a socket's buffer would. */
const maxInbox = 4 << 20;
const firstInbox = 64 << 10;
/** Address and length before each datagram in the inbox. */
const inboxHeader = addressLength + 2;
const maxDatagram = 0xffff;
/** The part of a datagram up to the end of the longest connection id that it may be sent to (RFC 9000 §17.2). */
const longestIdEnd = 26;
/** See crates/quic-core/src/transmits.rs. */
const transmitHeader = 32;
/** A handle in one number: the slot in the lower bits, the generation above. */
const generationUnit = 2 ** 24;
/** For a connection that is gone although the core has not said why, which it always does. */
const lostCause: CloseCause = { type: "transport", origin: "local", code: 1n, reason: "" };
/** For a connection that was open when its endpoint was destroyed. */
const destroyedCause: CloseCause = {
  type: "application",
  origin: "local",
  code: 0n,
  reason: "the endpoint was destroyed",
};
/** So many writes, to all streams together, leave before the end of their turn. */
const maxWrites = 8;
/** Application code with which a connection is closed whose handler has thrown. */
const handlerErrorCode = 1n;

/**
 * Everything happens in turns, one per turn of the event loop at most: datagrams in, events to handlers, then what they
 * write out, and the next timer. Between the halves promises settle, so that what their reactions write leaves with the
 * acknowledgements. A turn is scheduled by whatever makes one worthwhile.
 */
export class NoqEndpoint implements EngineEndpoint, ConnectionOwner {
  readonly core: Core;
  readonly addresses: AddressBook = new AddressBook();
  readonly #options: EngineOptions;
  #credentials: Credentials;
  readonly #connections = new Map<number, NoqConnection>();
  readonly #events = new EventBatch();
  /** Closed by us; their handlers are told in the next turn. */
  #closing: NoqConnection[] = [];
  #state: "open" | "failed" | "destroyed" = "open";
  #inTurn = false;
  #isTransmitting = false;
  /** Since what was written left the last time. */
  #writes = 0;
  #isScheduled = false;
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;
  #inbox = 0;
  #inboxCapacity = 0;
  #inboxLength = 0;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#credentials = options.credentials;
    this.core = new Core(wasmModule(), {
      platform: options.platform,
      sign: (message, scheme) => this.#sign(message, scheme),
      keyLog: options.keyLog,
      failed: () => this.schedule(),
    });
    checkCanAccept(options.credentials, options.alpns);
    const encoded = encodeEndpointOptions(options);
    if (!this.#growInbox(encoded.length)) {
      throw new EngineError("invalid-options", `invalid options: ${encoded.length} bytes`);
    }
    this.core.bytes.set(encoded, this.#inbox);
    this.core.call.endpoint_create(encoded.length);
  }

  connect(options: EngineConnectOptions): EngineConnection {
    this.#checkUsable("connect");
    const { remote, expected } = options;
    const { type } = this.#credentials;
    if (expected.type !== type && expected.type !== "web") {
      throw new EngineError(
        "invalid-options",
        `cannot connect: the endpoint has ${type} credentials, and looks for ${expected.type} ones`,
      );
    }
    const length = this.#put(
      encodeConnectOptions(options, this.#options.transport, this.addresses),
    );
    const handle = this.core.call.endpoint_connect(this.now(), length);
    if (handle < 0) {
      throw new EngineError("invalid-options", `cannot connect: ${whyNot(handle, options)}`);
    }
    const connection = new NoqConnection(this, handle, "client", expected.type, remote);
    connection.handler = options.handler;
    this.#connections.set(handle, connection);
    this.schedule();
    return connection;
  }

  setAlpns(alpns: readonly string[]): void {
    this.#checkUsable("set protocols");
    checkCanAccept(this.#credentials, alpns);
    this.core.call.endpoint_set_protocols(this.#put(encodeProtocols(alpns)));
  }

  setCertificate(certificate: CertifiedKey): void {
    this.#checkUsable("set the certificate");
    if (this.#credentials.type !== "web") {
      throw new EngineError(
        "invalid-options",
        "cannot set the certificate: the endpoint has a key",
      );
    }
    this.core.call.endpoint_set_certificate(this.#put(encodeCertificate(certificate)));
    this.#credentials = { ...this.#credentials, certificate };
  }

  receive(from: SocketAddress, bytes: Uint8Array): void {
    const end = this.#inboxLength + inboxHeader + bytes.length;
    if (this.#state !== "open" || bytes.length === 0 || bytes.length > maxDatagram) {
      return;
    }
    try {
      if (end > this.#inboxCapacity && !this.#growInbox(end)) {
        return;
      }
    } catch {
      // Out of memory, which has ended the core: the next turn says so.
      return;
    }
    const memory = this.core.bytes;
    const start = this.#inbox + this.#inboxLength;
    memory.set(this.addresses.encode(from), start);
    memory[start + addressLength] = bytes.length & 0xff;
    memory[start + addressLength + 1] = bytes.length >> 8;
    memory.set(bytes, start + inboxHeader);
    this.#inboxLength = end;
    this.schedule();
  }

  ownerOf(datagram: Uint8Array): number {
    try {
      const { core } = this;
      const length = Math.min(datagram.length, longestIdEnd);
      core.bytes.set(
        length < datagram.length ? datagram.subarray(0, length) : datagram,
        core.scratch,
      );
      return core.call.datagram_owner(length);
    } catch {
      // The core is broken, and the next turn says so.
      return noShard;
    }
  }

  flush(): void {
    this.#checkUsable("flush");
    this.#transmit();
    this.schedule();
  }

  stats(): EndpointStats {
    this.#checkUsable("read statistics");
    const at = this.core.call.endpoint_stats();
    const { view } = this.core;
    return {
      connections: view.getFloat64(at, true),
      handshakes: view.getFloat64(at + 8, true),
      refused: view.getFloat64(at + 16, true),
      retried: view.getFloat64(at + 24, true),
      memoryBytes: this.core.bytes.length,
    };
  }

  destroy(): void {
    if (this.#state !== "destroyed") {
      this.#state = "destroyed";
      this.#disarm();
      this.#endConnections(destroyedCause);
      this.#closing = [];
    }
  }

  now(): number {
    return this.#options.platform.now();
  }

  schedule(): void {
    if (!this.#isScheduled && !this.#inTurn && this.#state !== "destroyed") {
      this.#isScheduled = true;
      this.#options.platform.soon(this.#scheduledTurn);
    }
  }

  /** What a turn brings about leaves at its end, but not all at once: the peer is to work on it meanwhile. */
  wrote(): void {
    this.#writes += 1;
    if (this.#writes >= maxWrites && this.#isOpen()) {
      this.#transmit();
    }
    this.schedule();
  }

  closing(connection: NoqConnection): void {
    this.#closing.push(connection);
  }

  readonly #scheduledTurn = (): void => {
    this.#isScheduled = false;
    this.#turn();
  };

  readonly #timedTurn = (): void => {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    this.#turn();
  };

  #turn(): void {
    if (this.#state !== "open" || this.#inTurn) {
      return;
    }
    this.#inTurn = true;
    let settling = false;
    try {
      this.#receive();
      settling = this.#dispatch();
    } catch (error) {
      this.#report(error);
    }
    if (settling) {
      this.#options.platform.settled(this.#settledOnce);
    } else {
      this.#finishTurn();
    }
  }

  /** Writers gather until promises have settled, and then write: that has to leave too. */
  readonly #settledOnce = (): void => {
    this.#options.platform.settled(this.#finishTurn);
  };

  readonly #finishTurn = (): void => {
    try {
      this.#finishClosing();
      if (this.#isOpen()) {
        this.#transmit();
      }
    } catch (error) {
      this.#report(error);
    } finally {
      this.#inTurn = false;
    }
    if (!this.#isOpen()) {
      return;
    }
    if (this.core.failure !== undefined) {
      this.#fail(this.core.failure);
      return;
    }
    this.#arm();
    if (this.#inboxLength > 0) {
      this.schedule();
    }
  };

  #receive(): void {
    const { core } = this;
    const length = core.call.turn_receive(this.now(), this.#inboxLength);
    this.#inboxLength = 0;
    this.#events.load(core.bytes, core.call.events_pointer(), length);
    core.call.events_clear();
  }

  /** Whether there was anything. */
  #dispatch(): boolean {
    const events = this.#events;
    let any = false;
    while (this.#isOpen() && this.core.failure === undefined && events.next()) {
      any = true;
      const handle = events.slot + events.generation * generationUnit;
      if (events.kind === eventKind.incoming) {
        this.#onIncoming(handle);
        continue;
      }
      const connection = this.#connections.get(handle);
      if (connection === undefined) {
        continue;
      }
      switch (events.kind) {
        case eventKind.closed: {
          const cause = connection.closeCause(events);
          if (cause !== undefined) {
            connection.finish(cause, this.#run);
          }
          break;
        }
        case eventKind.gone:
          this.#connections.delete(handle);
          connection.finish(connection.ownCause ?? lostCause, this.#run);
          break;
        default:
          try {
            connection.dispatch(events);
          } catch (error) {
            this.#handlerFailed(connection, error);
          }
      }
    }
    return any;
  }

  #sign(message: Uint8Array, scheme: number): Uint8Array {
    const credentials = this.#credentials;
    if (credentials.type === "raw-key") {
      return credentials.sign(message);
    }
    if (credentials.certificate === undefined) {
      throw new EngineError("invalid-options", "there is no certificate to sign for");
    }
    return credentials.certificate.sign(message, scheme);
  }

  #onIncoming(handle: number): void {
    const connection = new NoqConnection(this, handle, "server", this.#credentials.type);
    this.#connections.set(handle, connection);
    try {
      this.#options.handler.incoming(connection);
    } catch (error) {
      this.#handlerFailed(connection, error);
    }
  }

  /** Their handlers may close more connections. */
  #finishClosing(): void {
    while (this.#closing.length > 0) {
      const connections = this.#closing;
      this.#closing = [];
      for (const connection of connections) {
        if (connection.ownCause !== undefined) {
          connection.finish(connection.ownCause, this.#run);
        }
      }
    }
  }

  #transmit(): void {
    // Whoever is told of a datagram, or of an error, may write: that goes with what is being sent.
    if (this.#isTransmitting) {
      return;
    }
    this.#isTransmitting = true;
    this.#writes = 0;
    try {
      this.#transmitAll();
    } finally {
      this.#isTransmitting = false;
    }
  }

  #transmitAll(): void {
    const { core, addresses } = this;
    const { transmit } = this.#options;
    for (;;) {
      const length = core.call.turn_transmit(this.now());
      if (length === 0) {
        return;
      }
      let offset = core.call.transmits_pointer();
      const end = offset + length;
      while (offset < end) {
        // Asked for again each time: `transmit` may have called `receive`, and the inbox made memory grow.
        const { bytes, view } = core;
        const segmentSize = view.getUint32(offset + 20, true);
        const start = offset + transmitHeader;
        const stop = start + view.getUint32(offset + 24, true);
        try {
          transmit(addresses.decode(bytes, offset), bytes.subarray(start, stop), segmentSize);
        } catch (error) {
          this.#report(error);
        }
        offset = start + Math.ceil((stop - start) / 8) * 8;
      }
      core.call.transmits_clear();
    }
  }

  /** A timer that fires too early is left alone: setting one anew in each turn costs more than a turn for nothing. */
  #arm(): void {
    const deadline = this.core.call.next_deadline();
    if (deadline < 0) {
      this.#disarm();
      return;
    }
    const delay = deadline - this.now();
    if (delay <= 0) {
      this.schedule();
    } else if (deadline < this.#timerAt) {
      this.#disarm();
      this.#timer = this.#options.platform.setTimer(delay, this.#timedTurn);
      this.#timerAt = deadline;
    }
  }

  #disarm(): void {
    if (this.#timer !== undefined) {
      this.#options.platform.clearTimer(this.#timer);
      this.#timer = undefined;
      this.#timerAt = Number.POSITIVE_INFINITY;
    }
  }

  #growInbox(needed: number): boolean {
    if (needed > maxInbox) {
      return false;
    }
    let capacity = Math.max(this.#inboxCapacity, firstInbox);
    while (capacity < needed) {
      capacity *= 2;
    }
    this.#inbox = this.core.call.inbox_reserve(capacity);
    this.#inboxCapacity = capacity;
    return true;
  }

  /** Copies arguments to the core. */
  #put(bytes: Uint8Array): number {
    if (bytes.length > readHeader + maxChunk) {
      throw new EngineError("invalid-options", `invalid options: ${bytes.length} bytes`);
    }
    return this.core.put(bytes);
  }

  /** Calls a handler of a connection that is over: what it throws can only be reported. */
  readonly #run = (call: () => void): void => {
    try {
      call();
    } catch (error) {
      this.#report(error);
    }
  };

  #handlerFailed(connection: NoqConnection, error: unknown): void {
    this.#report(error);
    if (this.core.failure === undefined && this.#isOpen()) {
      connection.close(handlerErrorCode, "internal error");
    }
  }

  #report(error: unknown): void {
    if (error === this.core.failure) {
      return;
    }
    try {
      this.#options.handlerError?.(error);
    } catch {
      // There is nobody left to tell.
    }
  }

  #fail(error: EngineError): void {
    this.#state = "failed";
    this.#disarm();
    this.#endConnections({ type: "engine-failed", reason: error.message });
    this.#run(() => this.#options.handler.failed(error));
  }

  #endConnections(cause: CloseCause): void {
    for (const connection of this.#connections.values()) {
      connection.finish(connection.ownCause ?? cause, this.#run);
    }
    this.#connections.clear();
  }

  /** A method, because a handler may have changed the state since the compiler last looked. */
  #isOpen(): boolean {
    return this.#state === "open";
  }

  #checkUsable(action: string): void {
    if (this.#state === "destroyed") {
      throw new EngineError("closed", `cannot ${action}: the endpoint is destroyed`);
    }
    if (this.core.failure !== undefined) {
      throw this.core.failure;
    }
  }
}

/** Incoming connections need something to be shown. */
function checkCanAccept(credentials: Credentials, alpns: readonly string[]): void {
  if (alpns.length > 0 && credentials.type === "web" && credentials.certificate === undefined) {
    throw new EngineError("invalid-options", "cannot accept connections without a certificate");
  }
}

function whyNot(answer: number, { remote, expected }: EngineConnectOptions): string {
  switch (answer) {
    case invalidName:
      return `${expected.type === "web" ? expected.serverName : "that"} is no server name`;
    case nobodyTrusted:
      return "no authority is trusted to vouch for servers";
    default:
      return `${remote.host} is no destination`;
  }
}
