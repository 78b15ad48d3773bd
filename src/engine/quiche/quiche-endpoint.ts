import type { Timer } from "../../base/platform.ts";
import { formatSocketAddress, hostToBytes, type SocketAddress } from "../../base/socket-address.ts";
import {
  type CertifiedKey,
  type CloseCause,
  type EndpointStats,
  type EngineConnection,
  type EngineConnectOptions,
  type EngineEndpoint,
  EngineError,
  type EngineOptions,
  type IncomingLimits,
  type TransportOptions,
  type WebCredentials,
} from "../engine.ts";
import { AddressTokens, ResetTokens } from "./address-tokens.ts";
import {
  type HostPort,
  type Native,
  type NativeConfig,
  type NativeConnection,
  native,
  type PacketInfo,
} from "./native.ts";
import {
  checkProtocols,
  clientConfig,
  parseServerName,
  resolveLimits,
  resolveTransport,
  serverConfig,
  setDatagramSize,
  webCredentials,
} from "./options.ts";
import {
  connectionIdLength,
  idKey,
  type LongHeader,
  parsePacketHeader,
  quicVersion1,
} from "./packet-header.ts";
import { Pins } from "./pins.ts";
import { type ConnectionOwner, outgoingLength, QuicheConnection } from "./quiche-connection.ts";
import { initialClose, versionNegotiation } from "./stateless-answers.ts";

const maxDatagram = 0xffff;
/** RFC 9000 §14.1: a shorter datagram cannot begin a connection. */
const minInitialDatagram = 1_200;
/** RFC 9000 §7.2: clients choose at least this much for us. */
const minOriginalIdLength = 8;
/** RFC 9000 §20.1. */
const connectionRefused = 0x2;
const invalidToken = 0xb;
/** RFC 9000 §10.3: what a stateless reset looks like a packet with. */
const resetLength = 43;
const minResetLength = 21;
/** Connections to one address among which the one is looked for that a stateless reset is for. */
const maxResetCandidates = 32;
/** For a connection that was open when its endpoint was destroyed. */
const destroyedCause: CloseCause = {
  type: "application",
  origin: "local",
  code: 0n,
  reason: "the endpoint was destroyed",
};
/** Application code with which a connection is closed whose handler has thrown. */
const handlerErrorCode = 1n;
const answer: Uint8Array = new Uint8Array(maxDatagram);

/**
 * Packets go into quiche as they come. All else happens in turns, one per turn of the event loop at most: events of the
 * connections that were touched go to handlers, promises settle, and then what is waiting leaves, connection by
 * connection. Each connection has a timer of its own, as quiche has.
 */
export class QuicheEndpoint implements EngineEndpoint, ConnectionOwner {
  readonly outgoing: Uint8Array = new Uint8Array(outgoingLength);
  isTransmitting = false;
  readonly #native: Native;
  readonly #options: EngineOptions;
  readonly #transport: TransportOptions;
  readonly #limits: IncomingLimits;
  readonly #addressTokens: AddressTokens;
  readonly #resetTokens: ResetTokens;
  #credentials: WebCredentials;
  readonly #clientPins: Pins | undefined;
  #alpns: readonly string[];
  /** Undefined: no connections are accepted. */
  #serverConfig: NativeConfig | undefined;
  /** The one used last, because reading authorities takes long. */
  #clientConfig: { readonly key: string; readonly config: NativeConfig } | undefined;
  readonly #connections = new Set<QuicheConnection>();
  /** By the connection ids that packets come with. */
  readonly #byId = new Map<string, QuicheConnection>();
  readonly #dialed = new Map<string, Set<QuicheConnection>>();
  /** Incoming ones. */
  readonly #handshakes = new Set<QuicheConnection>();
  #refused = 0;
  #retried = 0;
  #toDispatch: QuicheConnection[] = [];
  #toFlush: QuicheConnection[] = [];
  /** Closed by us; their handlers are told in this turn or the next. */
  #closing: QuicheConnection[] = [];
  #isDestroyed = false;
  #inTurn = false;
  #isScheduled = false;

  constructor(options: EngineOptions) {
    this.#native = native();
    this.#credentials = webCredentials(options);
    if (options.keyLog !== undefined) {
      throw new EngineError("invalid-options", "invalid keyLog: quiche writes keys to files only");
    }
    if (options.shard !== undefined) {
      throw new EngineError("invalid-options", "invalid shard: quiche has its address alone");
    }
    checkProtocols(options.alpns);
    const { authorities = [], required = false } = this.#credentials.clientCertificates ?? {};
    this.#clientPins = Pins.of(authorities, required);
    this.#options = options;
    this.#alpns = [...options.alpns];
    this.#transport = resolveTransport(options.transport);
    this.#limits = resolveLimits(options.incoming);
    this.#addressTokens = new AddressTokens(this.#random(32));
    this.#resetTokens = new ResetTokens(this.#random(32));
    this.#serverConfig = this.#makeServerConfig();
  }

  connect(options: EngineConnectOptions): EngineConnection {
    this.#checkUsable("connect");
    const { remote, expected, alpns } = options;
    if (expected.type !== "web") {
      throw new EngineError(
        "invalid-options",
        "cannot connect: quiche dials by server name; to dial by key use noq",
      );
    }
    if (alpns.length === 0) {
      throw new EngineError("invalid-options", "cannot connect: no protocol (ALPN) is offered");
    }
    if (remote.port === 0 || hostToBytes(remote.host).every((byte) => byte === 0)) {
      throw new EngineError(
        "invalid-options",
        `cannot connect: ${formatSocketAddress(remote)} is no destination`,
      );
    }
    checkProtocols(alpns);
    const serverName = parseServerName(expected.serverName);
    const transport = resolveTransport(this.#options.transport, options.transport);
    const config = this.#configFor(alpns, transport);
    setDatagramSize(config, transport, remote);
    const id = this.#random(connectionIdLength);
    const packetInfo = packetInfoFor(remote);
    const connection = new QuicheConnection(
      this,
      this.#native.Connection.connect(
        serverName.type === "dns" ? serverName.name : null,
        id,
        packetInfo.to,
        packetInfo.from,
        config,
      ),
      packetInfo,
      {
        role: "client",
        remote,
        transport,
        expected: serverName,
        pins: Pins.of(this.#credentials.serverAuthorities ?? [], true),
      },
    );
    connection.handler = options.handler;
    this.#add(connection, [id]);
    const key = formatSocketAddress(remote);
    const dialed = this.#dialed.get(key) ?? new Set();
    this.#dialed.set(key, dialed.add(connection));
    this.scheduleFlush(connection);
    return connection;
  }

  setAlpns(alpns: readonly string[]): void {
    this.#checkUsable("set protocols");
    checkProtocols(alpns);
    const before = this.#alpns;
    this.#alpns = [...alpns];
    try {
      this.#serverConfig = this.#makeServerConfig();
    } catch (error) {
      this.#alpns = before;
      throw error;
    }
  }

  setCertificate(certificate: CertifiedKey): void {
    this.#checkUsable("set the certificate");
    const before = this.#credentials;
    this.#credentials = { ...before, certificate };
    try {
      this.#serverConfig = this.#makeServerConfig();
    } catch (error) {
      this.#credentials = before;
      throw error;
    }
    this.#clientConfig = undefined;
  }

  receive(from: SocketAddress, bytes: Uint8Array): void {
    if (this.#isDestroyed || bytes.length === 0 || bytes.length > maxDatagram) {
      return;
    }
    const header = parsePacketHeader(bytes);
    if (header === undefined) {
      return;
    }
    const connection = this.#byId.get(idKey(header.destinationId));
    if (connection !== undefined) {
      // There is one path, and it does not move.
      if (isSameAddress(connection.remoteAddress, from)) {
        connection.receive(bytes);
      }
    } else if (header.form === "short") {
      this.#receiveStray(from, bytes, header.destinationId);
    } else if (bytes.length < minInitialDatagram || header.version === 0) {
      // Too short to begin a connection, or an answer to nothing of ours.
    } else if (header.version !== quicVersion1) {
      const [random = 0] = this.#random(1);
      this.#send(from, versionNegotiation(header, random));
    } else if (
      header.initialToken !== undefined &&
      header.destinationId.length >= minOriginalIdLength
    ) {
      this.#admit(from, bytes, header, header.initialToken);
    }
  }

  flush(): void {
    this.#checkUsable("flush");
    this.#flush();
  }

  stats(): EndpointStats {
    this.#checkUsable("read statistics");
    return {
      connections: this.#connections.size,
      handshakes: this.#handshakes.size,
      refused: this.#refused,
      retried: this.#retried,
      // It is among the memory of the process, and quiche does not count it.
      memoryBytes: 0,
    };
  }

  destroy(): void {
    if (this.#isDestroyed) {
      return;
    }
    this.#isDestroyed = true;
    for (const connection of this.#connections) {
      connection.abandon();
      if (connection.isAnnounced) {
        connection.finish(connection.ownCause ?? destroyedCause);
      }
    }
    this.#connections.clear();
    this.#byId.clear();
    this.#dialed.clear();
    this.#handshakes.clear();
    this.#toDispatch = [];
    this.#toFlush = [];
    this.#closing = [];
  }

  // For connections.

  now(): number {
    return this.#options.platform.now();
  }

  unixMs(): number {
    return this.#options.platform.unixMs();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    return this.#options.platform.setTimer(delayMs, callback);
  }

  clearTimer(timer: Timer): void {
    this.#options.platform.clearTimer(timer);
  }

  scheduleDispatch(connection: QuicheConnection): void {
    if (!connection.awaitsDispatch) {
      connection.awaitsDispatch = true;
      this.#toDispatch.push(connection);
      this.#schedule();
    }
  }

  scheduleFlush(connection: QuicheConnection): void {
    if (!connection.awaitsFlush) {
      connection.awaitsFlush = true;
      this.#toFlush.push(connection);
      this.#schedule();
    }
  }

  closing(connection: QuicheConnection): void {
    this.#closing.push(connection);
    this.#schedule();
  }

  settled(connection: QuicheConnection): void {
    this.#handshakes.delete(connection);
  }

  gone(connection: QuicheConnection): void {
    this.#connections.delete(connection);
    this.#handshakes.delete(connection);
    for (const id of connection.ids) {
      this.#byId.delete(id);
    }
    if (connection.role === "client") {
      const key = formatSocketAddress(connection.remoteAddress);
      const dialed = this.#dialed.get(key);
      dialed?.delete(connection);
      if (dialed?.size === 0) {
        this.#dialed.delete(key);
      }
    }
  }

  transmit(to: SocketAddress, bytes: Uint8Array, segmentSize: number): void {
    try {
      this.#options.transmit(to, bytes, segmentSize);
    } catch (error) {
      this.#report(error);
    }
  }

  readonly run = (call: () => void): void => {
    try {
      call();
    } catch (error) {
      this.#report(error);
    }
  };

  #schedule(): void {
    if (!this.#isScheduled && !this.#inTurn && !this.#isDestroyed) {
      this.#isScheduled = true;
      this.#options.platform.soon(this.#turn);
    }
  }

  readonly #turn = (): void => {
    this.#isScheduled = false;
    if (this.#isDestroyed || this.#inTurn) {
      return;
    }
    this.#inTurn = true;
    const touched = this.#toDispatch;
    this.#toDispatch = [];
    for (const connection of touched) {
      if (this.#isDestroyed) {
        return;
      }
      connection.awaitsDispatch = false;
      this.#dispatch(connection);
    }
    if (touched.length > 0) {
      this.#options.platform.settled(this.#finishTurn);
    } else {
      this.#finishTurn();
    }
  };

  readonly #finishTurn = (): void => {
    if (this.#isDestroyed) {
      return;
    }
    try {
      this.#finishClosing();
      this.#flush();
    } finally {
      this.#inTurn = false;
    }
    if (this.#toDispatch.length > 0 || this.#toFlush.length > 0 || this.#closing.length > 0) {
      this.#schedule();
    }
  };

  #dispatch(connection: QuicheConnection): void {
    try {
      if (!connection.isAnnounced) {
        connection.isAnnounced = true;
        this.#options.handler.incoming(connection);
      }
      connection.dispatch();
    } catch (error) {
      this.#report(error);
      connection.close(handlerErrorCode, "internal error");
    }
  }

  /** Their handlers may close more connections. */
  #finishClosing(): void {
    while (this.#closing.length > 0) {
      const connections = this.#closing;
      this.#closing = [];
      for (const connection of connections) {
        if (connection.ownCause !== undefined) {
          connection.finish(connection.ownCause);
        }
      }
    }
  }

  #flush(): void {
    const connections = this.#toFlush;
    this.#toFlush = [];
    for (const connection of connections) {
      connection.awaitsFlush = false;
      this.run(() => connection.flush());
    }
  }

  /** Decides on a peer that dials: refuse it, have it prove its address first, or go on. */
  #admit(from: SocketAddress, bytes: Uint8Array, header: LongHeader, token: Uint8Array): void {
    const { maxConnections, maxHandshakes, retryAbove } = this.#limits;
    const config = this.#serverConfig;
    if (
      config === undefined ||
      this.#connections.size >= maxConnections ||
      this.#handshakes.size >= maxHandshakes
    ) {
      this.#refused += 1;
      this.#send(from, initialClose(header, connectionRefused));
      return;
    }
    const verdict = this.#addressTokens.check(from, token, header.destinationId, this.now());
    if (verdict.type === "invalid") {
      this.#send(from, initialClose(header, invalidToken));
      return;
    }
    if (verdict.type === "valid") {
      // The client addresses us by the id that the Retry has given.
      const id = header.destinationId.slice();
      this.#accept(from, bytes, config, { id, originalId: verdict.originalId, alias: undefined });
    } else if (this.#handshakes.size >= retryAbove) {
      this.#retry(from, header);
    } else {
      const id = this.#random(connectionIdLength);
      const alias = header.destinationId.slice();
      this.#accept(from, bytes, config, { id, originalId: undefined, alias });
    }
  }

  #retry(from: SocketAddress, { sourceId, destinationId }: LongHeader): void {
    this.#retried += 1;
    const id = this.#random(connectionIdLength);
    const token = this.#addressTokens.issue(from, destinationId, id, this.now());
    const length = this.#native.retry(sourceId, destinationId, id, token, quicVersion1, answer);
    this.#send(from, answer.subarray(0, length));
  }

  #accept(
    remote: SocketAddress,
    bytes: Uint8Array,
    config: NativeConfig,
    ids: {
      readonly id: Uint8Array;
      /** Before a Retry. */
      readonly originalId: Uint8Array | undefined;
      /** What the client addresses us by until it knows the other. */
      readonly alias: Uint8Array | undefined;
    },
  ): void {
    const packetInfo = packetInfoFor(remote);
    setDatagramSize(config, this.#transport, remote);
    const accept = (resetToken: bigint | null): NativeConnection => {
      config.setStatelessResetToken(resetToken);
      const { to: local, from } = packetInfo;
      return this.#native.Connection.accept(ids.id, ids.originalId ?? null, local, from, config);
    };
    let accepted: NativeConnection;
    try {
      accepted = accept(toBigInt(this.#resetTokens.tokenFor(ids.id)));
    } catch {
      // After a Retry, and with large windows, the transport parameters do not fit into quiche's 128 bytes.
      accepted = accept(null);
    }
    const connection = new QuicheConnection(this, accepted, packetInfo, {
      role: "server",
      remote,
      transport: this.#transport,
      pins: this.#clientPins,
      handshakeTimeoutMs: this.#limits.handshakeTimeoutMs,
    });
    this.#handshakes.add(connection);
    this.#add(connection, ids.alias === undefined ? [ids.id] : [ids.id, ids.alias]);
    connection.receive(bytes);
    if (connection.isStillborn) {
      connection.abandon();
      this.gone(connection);
    }
  }

  #add(connection: QuicheConnection, ids: readonly Uint8Array[]): void {
    this.#connections.add(connection);
    for (const id of ids) {
      const key = idKey(id);
      connection.ids.push(key);
      this.#byId.set(key, connection);
    }
  }

  /** A packet of a connection that we do not know: the peer says that it does not either, or has to be told. */
  #receiveStray(from: SocketAddress, bytes: Uint8Array, destinationId: Uint8Array): void {
    let looked = 0;
    for (const connection of this.#dialed.get(formatSocketAddress(from)) ?? []) {
      if (looked >= maxResetCandidates) {
        return;
      }
      looked += 1;
      connection.receive(bytes);
    }
    // Shorter than what it answers, so that two of us do not go on for ever.
    const length = Math.min(bytes.length - 1, resetLength);
    if (looked === 0 && this.#serverConfig !== undefined && length >= minResetLength) {
      const reset = this.#random(length);
      reset[0] = 0x40 | ((reset[0] ?? 0) & 0x3f);
      const token = this.#resetTokens.tokenFor(destinationId);
      reset.set(token, length - token.length);
      this.#send(from, reset);
    }
  }

  #send(to: SocketAddress, datagram: Uint8Array): void {
    this.transmit(to, datagram, datagram.length);
  }

  #makeServerConfig(): NativeConfig | undefined {
    return this.#alpns.length === 0
      ? undefined
      : serverConfig(this.#credentials, this.#alpns, this.#transport);
  }

  #configFor(alpns: readonly string[], transport: TransportOptions): NativeConfig {
    const key = JSON.stringify([alpns, transport]);
    if (this.#clientConfig?.key !== key) {
      this.#clientConfig = { key, config: clientConfig(this.#credentials, alpns, transport) };
    }
    return this.#clientConfig.config;
  }

  #random(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#options.platform.randomFill(bytes);
    return bytes;
  }

  #report(error: unknown): void {
    try {
      this.#options.handlerError?.(error);
    } catch {
      // There is nobody left to tell.
    }
  }

  #checkUsable(action: string): void {
    if (this.#isDestroyed) {
      throw new EngineError("closed", `cannot ${action}: the endpoint is destroyed`);
    }
  }
}

/** Where quiche takes packets to go to: nobody has told it, and it does not matter with one path. */
function packetInfoFor(remote: SocketAddress): PacketInfo {
  const to: HostPort = { host: remote.family === 4 ? "0.0.0.0" : "::", port: 0 };
  return { from: { host: remote.host, port: remote.port }, to };
}

function isSameAddress(a: SocketAddress, b: SocketAddress): boolean {
  return a === b || (a.port === b.port && a.host === b.host && a.family === b.family);
}

function toBigInt(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
