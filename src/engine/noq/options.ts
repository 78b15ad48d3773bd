// Options as the core reads them: crates/quic-core/src/config.rs.

import type { AddressBook } from "../../base/address-book.ts";
import type { SocketAddress } from "../../base/socket-address.ts";
import {
  type CertifiedKey,
  type Credentials,
  defaultIncomingLimits,
  defaultTransportOptions,
  type EngineConnectOptions,
  EngineError,
  type EngineOptions,
  type ExpectedIdentity,
  type IncomingLimits,
  type Shard,
  type TransportOptions,
} from "../engine.ts";

const publicKeyLength = 32;
/** What the core can hold of protocols: their number, and the length of each, are one byte. */
const maxProtocols = 255;
const maxProtocolLength = 255;
/** RFC 1035 §2.3.4. */
const maxServerName = 255;
/** How clients are asked for a certificate: crates/quic-core/src/web.rs. */
const clientsAreNotAsked = 0;
const clientsMay = 1;
const clientsMust = 2;
/** RFC 9000 §14.1 and the largest payload of a UDP datagram. */
const minMtu = 1_200;
const maxMtu = 65_527;
/** RFC 9000 §4.6. */
const maxStreams = 2 ** 50;
const maxTimeMs = 2 ** 40;
/** Windows are also memory, and the core's addresses have 32 bits. */
const maxWindow = 2 ** 31;
const maxCount = 2 ** 32 - 1;
const maxShard = 255;
const shardSecretLength = 32;

const congestionControls = ["cubic", "bbr", "new-reno"] as const;

export function encodeEndpointOptions(options: EngineOptions): Uint8Array {
  const transport = resolveTransport(defaultTransportOptions, options.transport);
  const limits: IncomingLimits = { ...defaultIncomingLimits, ...options.incoming };
  return new Encoder()
    .credentials(options.credentials)
    .flag(options.keyLog !== undefined)
    .flag(options.acceptEarlyData ?? false)
    .shard(options.shard)
    .limits(limits)
    .transport(transport)
    .protocols(options.alpns)
    .finish();
}

export function encodeConnectOptions(
  options: EngineConnectOptions,
  endpoint: Partial<TransportOptions> | undefined,
  addresses: AddressBook,
): Uint8Array {
  if (options.alpns.length === 0) {
    throw new EngineError("invalid-options", "cannot connect: no protocol (ALPN) is offered");
  }
  const transport = resolveTransport(
    { ...defaultTransportOptions, ...endpoint },
    options.transport,
  );
  return new Encoder()
    .address(options.remote, addresses)
    .expected(options.expected)
    .flag(options.earlyData ?? false)
    .transport(transport)
    .protocols(options.alpns)
    .finish();
}

export function encodeCertificate(certificate: CertifiedKey): Uint8Array {
  return new Encoder().certificate(certificate).finish();
}

export function encodeProtocols(alpns: readonly string[]): Uint8Array {
  return new Encoder().protocols(alpns).finish();
}

function resolveTransport(
  base: TransportOptions,
  changes: Partial<TransportOptions> | undefined,
): TransportOptions {
  return { ...base, ...changes };
}

/** Little-endian, in the order of the calls. Throws {@link EngineError} for what cannot work. */
class Encoder {
  readonly #bytes: number[] = [];

  credentials(credentials: Credentials): this {
    if (credentials.type === "raw-key") {
      const { publicKey, serverAuthorities = [] } = credentials;
      return this.#append([0]).publicKey(publicKey).#list(serverAuthorities);
    }
    const { certificate, serverAuthorities = [], clientCertificates } = credentials;
    this.#append([1]).flag(certificate !== undefined);
    if (certificate !== undefined) {
      this.certificate(certificate);
    }
    this.#list(serverAuthorities);
    if (clientCertificates === undefined) {
      return this.#append([clientsAreNotAsked]).#list([]);
    }
    if (clientCertificates.authorities.length === 0) {
      throw invalid("clientCertificates", "there are no authorities to check them against");
    }
    return this.#append([clientCertificates.required ? clientsMust : clientsMay]).#list(
      clientCertificates.authorities,
    );
  }

  certificate({ chain, signatureSchemes }: CertifiedKey): this {
    if (chain.length === 0 || signatureSchemes.length === 0) {
      throw invalid("certificate", "it is empty, or its key cannot sign");
    }
    this.#append([signatureSchemes.length]);
    for (const scheme of signatureSchemes) {
      this.#append([scheme & 0xff, scheme >> 8]);
    }
    return this.#list(chain);
  }

  expected(identity: ExpectedIdentity): this {
    if (identity.type === "raw-key") {
      return this.#append([0]).publicKey(identity.publicKey);
    }
    const name = new TextEncoder().encode(identity.serverName);
    if (name.length > maxServerName) {
      throw invalid("server name", `${name.length} bytes, at most ${maxServerName}`);
    }
    return this.#append([1, name.length & 0xff, name.length >> 8]).#append(name);
  }

  publicKey(key: Uint8Array): this {
    if (key.length !== publicKeyLength) {
      throw invalid("public key", `${key.length} bytes, expected ${publicKeyLength}`);
    }
    return this.#append(key);
  }

  flag(value: boolean): this {
    return this.#append([value ? 1 : 0]);
  }

  address(address: SocketAddress, addresses: AddressBook): this {
    return this.#append(addresses.encode(address));
  }

  shard(shard: Shard | undefined): this {
    const { number, secret } = shard ?? { number: 0, secret: undefined };
    if (!Number.isInteger(number) || number < 0 || number > maxShard) {
      throw invalid("shard", `${number} is not a whole number from 0 to ${maxShard}`);
    }
    this.#append([number]).flag(secret !== undefined);
    if (secret === undefined) {
      return this;
    }
    if (secret.length !== shardSecretLength) {
      throw invalid("shard", `its secret has ${secret.length} bytes, not ${shardSecretLength}`);
    }
    return this.#append(secret);
  }

  limits(limits: IncomingLimits): this {
    return this.#number("maxHandshakes", limits.maxHandshakes, 0, maxCount)
      .#number("retryAbove", limits.retryAbove, 0, maxCount)
      .#number("maxConnections", limits.maxConnections, 0, maxCount)
      .#number("handshakeTimeoutMs", limits.handshakeTimeoutMs, 1, maxTimeMs);
  }

  transport(options: TransportOptions): this {
    const congestionControl = congestionControls.indexOf(options.congestionControl);
    if (congestionControl < 0) {
      throw invalid("congestionControl", `${options.congestionControl} is unknown`);
    }
    return this.#number("idleTimeoutMs", options.idleTimeoutMs, 0, maxTimeMs)
      .#number("keepAliveIntervalMs", options.keepAliveIntervalMs, 0, maxTimeMs)
      .#number("maxBidirectionalStreams", options.maxBidirectionalStreams, 0, maxStreams)
      .#number("maxUnidirectionalStreams", options.maxUnidirectionalStreams, 0, maxStreams)
      .#number("streamReceiveWindow", options.streamReceiveWindow, 1, maxWindow)
      .#number("receiveWindow", options.receiveWindow, 1, maxWindow)
      .#number("sendWindow", options.sendWindow, 1, maxWindow)
      .#number("datagramReceiveBuffer", options.datagramReceiveBuffer, 0, maxWindow)
      .#number("datagramSendBuffer", options.datagramSendBuffer, 0, maxWindow)
      .#number("initialMtu", options.initialMtu, minMtu, maxMtu)
      .#number("maxMtu", options.maxMtu, 0, maxMtu)
      .#number("loopbackMtu", options.loopbackMtu, 0, maxMtu)
      .#double(congestionControl)
      .#double(options.multipath ? 1 : 0)
      .#double(options.observeAddress ? 1 : 0)
      .#double(options.tellAddress ? 1 : 0);
  }

  protocols(alpns: readonly string[]): this {
    if (alpns.length > maxProtocols) {
      throw invalid("alpns", `${alpns.length} protocols, at most ${maxProtocols}`);
    }
    this.#append([alpns.length]);
    for (const alpn of alpns) {
      const bytes = new TextEncoder().encode(alpn);
      if (bytes.length === 0 || bytes.length > maxProtocolLength) {
        throw invalid(
          "alpns",
          `${JSON.stringify(alpn)} is not 1 to ${maxProtocolLength} bytes long`,
        );
      }
      this.#append([bytes.length]).#append(bytes);
    }
    return this;
  }

  finish(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  #list(entries: readonly Uint8Array[]): this {
    this.#u32(entries.length);
    for (const entry of entries) {
      this.#u32(entry.length).#append(entry);
    }
    return this;
  }

  #u32(value: number): this {
    return this.#append([0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff));
  }

  #number(name: string, value: number, least: number, most: number): this {
    if (!Number.isFinite(value) || value < least || value > most) {
      throw invalid(name, `${value} is not from ${least} to ${most}`);
    }
    return this.#double(Math.floor(value));
  }

  #double(value: number): this {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setFloat64(0, value, true);
    return this.#append(bytes);
  }

  #append(bytes: Iterable<number>): this {
    for (const byte of bytes) {
      this.#bytes.push(byte);
    }
    return this;
  }
}

function invalid(name: string, problem: string): EngineError {
  return new EngineError("invalid-options", `invalid ${name}: ${problem}`);
}
