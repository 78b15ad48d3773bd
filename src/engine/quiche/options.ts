// Options of the contract, checked, and what quiche is told of them.

import { hostToBytes, type SocketAddress } from "../../base/socket-address.ts";
import {
  type CertifiedKey,
  defaultIncomingLimits,
  defaultTransportOptions,
  EngineError,
  type EngineOptions,
  type IncomingLimits,
  type TransportOptions,
  type WebCredentials,
} from "../engine.ts";
import { type NativeConfig, native } from "./native.ts";
import { certificatesToPem, privateKeyToPem } from "./pem.ts";
import { Pins } from "./pins.ts";

const maxProtocolLength = 255;
/** RFC 9000 §14.1, and the largest payload of a UDP datagram. */
const minMtu = 1_200;
const maxUdpPayload = 65_527;
/** RFC 9000 §4.6. */
const maxStreams = 2 ** 50;
const maxTimeMs = 2 ** 40;
const maxWindow = 2 ** 31;
const maxCount = 2 ** 32 - 1;
/** Datagrams in quiche's queues, which take up memory for those alone that are there. */
const maxQueuedDatagrams = 65_536;
/** RFC 9000 §18.2: the least there is. */
const connectionIdLimit = 2;

const congestionControls: Record<TransportOptions["congestionControl"], string> = {
  cubic: "cubic",
  bbr: "bbr",
  "new-reno": "reno",
};

/** What takes four bytes to say: quiche has 128 bytes for all that it says in a handshake. */
const maxSaidStreams = 2 ** 30 - 1;

/** RFC 8446 §4.2.3, by BoringSSL's names. */
const signatureSchemes = new Map([
  [0x0403, "ecdsa_secp256r1_sha256"],
  [0x0503, "ecdsa_secp384r1_sha384"],
  [0x0603, "ecdsa_secp521r1_sha512"],
  [0x0807, "ed25519"],
  [0x0804, "rsa_pss_rsae_sha256"],
  [0x0805, "rsa_pss_rsae_sha384"],
  [0x0806, "rsa_pss_rsae_sha512"],
]);

export function webCredentials({ credentials }: EngineOptions): WebCredentials {
  if (credentials.type !== "web") {
    throw invalid(
      "credentials",
      "quiche is for web certificates; for peers and their keys use noq",
    );
  }
  if (credentials.clientCertificates?.authorities.length === 0) {
    throw invalid("clientCertificates", "there are no authorities to check them against");
  }
  return credentials;
}

export function resolveLimits(changes: Partial<IncomingLimits> | undefined): IncomingLimits {
  const limits = { ...defaultIncomingLimits, ...changes };
  checkNumber("maxHandshakes", limits.maxHandshakes, 0, maxCount);
  checkNumber("retryAbove", limits.retryAbove, 0, maxCount);
  checkNumber("maxConnections", limits.maxConnections, 0, maxCount);
  checkNumber("handshakeTimeoutMs", limits.handshakeTimeoutMs, 1, maxTimeMs);
  return limits;
}

export function resolveTransport(
  endpoint: Partial<TransportOptions> | undefined,
  connection?: Partial<TransportOptions>,
): TransportOptions {
  const options = { ...defaultTransportOptions, ...endpoint, ...connection };
  if (congestionControls[options.congestionControl] === undefined) {
    throw invalid("congestionControl", `${options.congestionControl} is unknown`);
  }
  checkNumber("idleTimeoutMs", options.idleTimeoutMs, 0, maxTimeMs);
  checkNumber("keepAliveIntervalMs", options.keepAliveIntervalMs, 0, maxTimeMs);
  checkNumber("maxBidirectionalStreams", options.maxBidirectionalStreams, 0, maxStreams);
  checkNumber("maxUnidirectionalStreams", options.maxUnidirectionalStreams, 0, maxStreams);
  checkNumber("streamReceiveWindow", options.streamReceiveWindow, 1, maxWindow);
  checkNumber("receiveWindow", options.receiveWindow, 1, maxWindow);
  checkNumber("sendWindow", options.sendWindow, 1, maxWindow);
  checkNumber("datagramReceiveBuffer", options.datagramReceiveBuffer, 0, maxWindow);
  checkNumber("datagramSendBuffer", options.datagramSendBuffer, 0, maxWindow);
  checkNumber("initialMtu", options.initialMtu, minMtu, maxUdpPayload);
  checkNumber("maxMtu", options.maxMtu, 0, maxUdpPayload);
  checkNumber("loopbackMtu", options.loopbackMtu, 0, maxUdpPayload);
  return options;
}

export function checkProtocols(alpns: readonly string[]): void {
  for (const alpn of alpns) {
    const { length } = new TextEncoder().encode(alpn);
    if (length === 0 || length > maxProtocolLength) {
      throw invalid("alpns", `${JSON.stringify(alpn)} is not 1 to ${maxProtocolLength} bytes long`);
    }
  }
}

/** What a client is to look for in certificates. */
export type ServerName =
  | { readonly type: "dns"; readonly name: string }
  | { readonly type: "ip"; readonly address: string };

export function parseServerName(name: string): ServerName {
  if (isAddress(name)) {
    return { type: "ip", address: name };
  }
  // RFC 1035 §2.3.1 and §2.3.4, with the underscores that some names have.
  const isName =
    /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/i;
  if (!isName.test(name)) {
    throw new EngineError("invalid-options", `cannot connect: ${name} is no server name`);
  }
  return { type: "dns", name };
}

function isAddress(name: string): boolean {
  try {
    hostToBytes(name);
    return true;
  } catch {
    return false;
  }
}

/** For connections that are dialed. Throws {@link EngineError} for credentials that cannot work. */
export function clientConfig(
  credentials: WebCredentials,
  alpns: readonly string[],
  transport: TransportOptions,
): NativeConfig {
  const { serverAuthorities = [], certificate } = credentials;
  if (serverAuthorities.length === 0) {
    throw new EngineError(
      "invalid-options",
      "cannot connect: no authority is trusted to vouch for servers",
    );
  }
  const config = tlsConfig("serverAuthorities", "must", serverAuthorities, certificate);
  return withTransport(config, alpns, transport);
}

/** For connections that are accepted. Throws {@link EngineError} for credentials that cannot work. */
export function serverConfig(
  credentials: WebCredentials,
  alpns: readonly string[],
  transport: TransportOptions,
): NativeConfig {
  const { certificate, clientCertificates } = credentials;
  if (certificate === undefined) {
    throw new EngineError("invalid-options", "cannot accept connections without a certificate");
  }
  const asks =
    clientCertificates === undefined ? "no" : clientCertificates.required ? "must" : "may";
  const authorities = clientCertificates?.authorities ?? [];
  const config = tlsConfig("clientCertificates", asks, authorities, certificate);
  return withTransport(config, alpns, transport);
}

/** @param asks whether the other side does not, may, or must show a certificate */
function tlsConfig(
  option: string,
  asks: "no" | "may" | "must",
  authorities: readonly Uint8Array[],
  certificate: CertifiedKey | undefined,
): NativeConfig {
  const pinned = asks !== "no" && Pins.of(authorities, asks === "must") !== undefined;
  try {
    const config = native().Config.withBoringSslCtx(
      asks === "must" || pinned,
      pinned,
      authorities.length === 0 ? null : certificatesToPem(authorities),
      certificate === undefined ? null : [privateKeyToPem(certificate.exportPrivateKey())],
      certificate === undefined ? null : [certificatesToPem(certificate.chain)],
      signatureAlgorithms(certificate),
    );
    if (asks === "may" && !pinned) {
      // Asks, and checks what is shown, and takes it when nothing is.
      config.verifyPeer(true);
    }
    return config;
  } catch (error) {
    throw invalid(`certificate or ${option}`, "BoringSSL cannot use them", error);
  }
}

/** Our own first, because the list says what we sign with as well. */
function signatureAlgorithms(certificate: CertifiedKey | undefined): string {
  const schemes = new Set([...(certificate?.signatureSchemes ?? []), ...signatureSchemes.keys()]);
  return [...schemes]
    .map((scheme) => signatureSchemes.get(scheme))
    .filter((name) => name !== undefined)
    .join(":");
}

function withTransport(
  config: NativeConfig,
  alpns: readonly string[],
  options: TransportOptions,
): NativeConfig {
  config.setApplicationProtos([...alpns]);
  config.grease(false);
  config.setMaxIdleTimeout(options.idleTimeoutMs);
  config.setMaxRecvUdpPayloadSize(maxUdpPayload);
  config.setInitialMaxData(options.receiveWindow);
  const streamWindow = Math.min(options.streamReceiveWindow, options.receiveWindow);
  config.setInitialMaxStreamDataBidiLocal(streamWindow);
  config.setInitialMaxStreamDataBidiRemote(streamWindow);
  config.setInitialMaxStreamDataUni(streamWindow);
  // quiche begins with these and adapts its windows up to the largest.
  config.setMaxStreamWindow(streamWindow);
  config.setMaxConnectionWindow(options.receiveWindow);
  config.setInitialMaxStreamsBidi(Math.min(options.maxBidirectionalStreams, maxSaidStreams));
  config.setInitialMaxStreamsUni(Math.min(options.maxUnidirectionalStreams, maxSaidStreams));
  config.enableDgram(options.datagramReceiveBuffer > 0, maxQueuedDatagrams, maxQueuedDatagrams);
  config.setCcAlgorithmName(congestionControls[options.congestionControl]);
  // Pacing is left to who sends, and nobody between us and the socket does it.
  config.enablePacing(false);
  config.setDisableActiveMigration(true);
  config.setActiveConnectionIdLimit(connectionIdLimit);
  return config;
}

/** Of connections to come with `remote`. */
export function setDatagramSize(
  config: NativeConfig,
  { initialMtu, loopbackMtu }: TransportOptions,
  { host }: SocketAddress,
): void {
  const isLoopback = host.startsWith("127.") || host === "::1";
  config.setMaxSendUdpPayloadSize(isLoopback ? Math.max(initialMtu, loopbackMtu) : initialMtu);
}

function checkNumber(name: string, value: number, least: number, most: number): void {
  if (!Number.isFinite(value) || value < least || value > most) {
    throw invalid(name, `${value} is not from ${least} to ${most}`);
  }
}

function invalid(name: string, problem: string, cause?: unknown): EngineError {
  return new EngineError("invalid-options", `invalid ${name}: ${problem}`, { cause });
}
