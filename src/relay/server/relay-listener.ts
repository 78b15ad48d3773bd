import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerOptions,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type SecureContextOptions, TLSSocket } from "node:tls";
import { WebSocketServer } from "ws";
import { type SocketAddress, socketAddress } from "../../base/socket-address.ts";
import type { EndpointId } from "../../identity/endpoint-id.ts";
import { exporterOf, NodeMessageChannel } from "../node-message-channel.ts";
import { authHeaderName, decodeAuthHeader, isRightAuthHeader } from "../relay-auth-header.ts";
import { RelayError } from "../relay-error.ts";
import { maxRelayMessageBytes } from "../relay-subprotocol.ts";
import { HostConnections } from "./host-connections.ts";
import type { RelayCore } from "./relay-core.ts";
import {
  type AnswerOptions,
  answerRelayRequest,
  checkRelayUpgrade,
  type RelayHttpRequest,
  type RelayHttpResponse,
} from "./relay-http.ts";

/** From a connection's first byte to the end of its request. */
const requestTimeoutMs = 10_000;
/** How long a connection may be kept for a further request. */
const keepAliveTimeoutMs = 5_000;
/** TCP connections above those that the core takes: for pages, and to be refused in good order. */
const spareConnections = 1_000;
/** How often requests are looked for that take too long. */
const checkIntervalMs = 5_000;

export interface ListenAddress {
  /** Default: all addresses, IPv6 and IPv4. */
  readonly host?: string | undefined;
  /** 0: any that is free. */
  readonly port: number;
}

/** A web certificate, as a file of Let's Encrypt has it. */
export interface RelayCertificate {
  /** The certificate and those that lead to an authority, in PEM. */
  readonly cert: string | Uint8Array;
  /** The private key, in PEM. */
  readonly key: string | Uint8Array;
}

export interface RelayListenerOptions {
  readonly core: RelayCore;
  readonly tls?: RelayCertificate | undefined;
  readonly pages: AnswerOptions;
  /** Whether it grants WebSockets. */
  readonly relay?: boolean;
}

/** A port of a relay: an HTTP server, with or without TLS, that may grant WebSockets. */
export class RelayListener {
  readonly #options: RelayListenerOptions;
  readonly #server: Server & { setSecureContext?(options: SecureContextOptions): void };
  readonly #sockets = new Set<Socket>();
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxRelayMessageBytes,
    handleProtocols: (offered, request) => {
      const upgrade = checkRelayUpgrade(readRequest(request));
      return "subprotocol" in upgrade && offered.has(upgrade.subprotocol) && upgrade.subprotocol;
    },
  });
  #closed: Promise<void> | undefined;

  /** Throws {@link RelayError} `cannot-start` for a certificate that is none. */
  constructor(options: RelayListenerOptions) {
    this.#options = options;
    this.#server = createServer(options.tls, (request, response) => {
      reply(response, answerRelayRequest(readRequest(request), options.pages));
    });
    const { maxConnections, maxConnectionsPerHost, metrics } = options.core;
    const hosts = new HostConnections(maxConnectionsPerHost);
    this.#server.maxConnections = maxConnections + spareConnections;
    this.#server.on("connection", (socket: Socket) => {
      const giveBack = hosts.take(socket.remoteAddress);
      if (giveBack === undefined) {
        metrics.httpConnectionsRefused += 1;
        socket.destroy();
        return;
      }
      metrics.httpConnections += 1;
      this.#sockets.add(socket);
      socket.on("close", () => {
        giveBack();
        this.#sockets.delete(socket);
        metrics.httpConnectionsClosed += 1;
      });
    });
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#handleUpgrade(request, socket, head),
    );
    // Where a connection cannot be taken, for want of file descriptors, the others go on.
    this.#server.on("error", () => {});
    this.#server.on("clientError", (_, socket: Duplex) => socket.destroy());
  }

  get secure(): boolean {
    return this.#options.tls !== undefined;
  }

  get address(): SocketAddress {
    const { address, port } = this.#server.address() as AddressInfo;
    return socketAddress(address, port);
  }

  /** Rejects with {@link RelayError} `cannot-start`. */
  async listen({ host, port }: ListenAddress): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (error) => {
        const where = host === undefined ? `port ${port}` : `${host}, port ${port}`;
        const problem = `cannot listen on ${where}: ${error.message}`;
        reject(new RelayError("cannot-start", problem, { cause: error }));
      });
      this.#server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
    });
  }

  /** Throws {@link RelayError} `cannot-start` for one that is none, TypeError where there is no TLS. */
  setCertificate(certificate: RelayCertificate): void {
    if (!this.secure) {
      throw new TypeError("cannot use a certificate: the relay was started without TLS");
    }
    readingCertificate(() => this.#server.setSecureContext?.(secureContext(certificate)));
  }

  /** Takes no more connections. */
  stop(): void {
    this.#closed ??= new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** Ends what is still connected. Node.js itself would wait for a client that never asks for anything. */
  async close(): Promise<void> {
    this.stop();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await this.#closed;
  }

  #handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const { core, pages, relay } = this.#options;
    const asked = readRequest(request);
    const upgrade = relay === true ? checkRelayUpgrade(asked) : undefined;
    if (upgrade === undefined || ("status" in upgrade && upgrade.status === 404)) {
      refuse(socket, answerRelayRequest(asked, pages));
      return;
    }
    if ("status" in upgrade) {
      refuse(socket, upgrade);
      return;
    }
    if (!core.hasRoom) {
      refuse(socket, { status: 503, headers: { "content-length": "0" }, body: "" });
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const channel = new NodeMessageChannel();
      channel.begin(webSocket);
      channel.handler = core.accept(channel, {
        version: upgrade.version,
        token: upgrade.token,
        provenId: provenId(request),
        remoteAddress: request.socket.remoteAddress,
      });
    });
  }
}

function createServer(tls: RelayCertificate | undefined, listener: RequestListener): Server {
  const options: ServerOptions = {
    requestTimeout: requestTimeoutMs,
    headersTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    connectionsCheckingInterval: checkIntervalMs,
    noDelay: true,
  };
  return tls === undefined
    ? createHttpServer(options, listener)
    : readingCertificate(() =>
        createHttpsServer(
          { ...options, ...secureContext(tls), handshakeTimeout: requestTimeoutMs },
          listener,
        ),
      );
}

function secureContext({ cert, key }: RelayCertificate): SecureContextOptions {
  return { cert: Buffer.from(cert), key: Buffer.from(key), minVersion: "TLSv1.2" };
}

/** Throws {@link RelayError} `cannot-start` for what `read` throws. */
export function readingCertificate<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new RelayError("cannot-start", `cannot use the certificate: ${problem}`, {
      cause: error,
    });
  }
}

function readRequest(request: IncomingMessage): RelayHttpRequest {
  return {
    method: request.method ?? "",
    target: request.url ?? "",
    header: (name) => {
      const value = request.headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
  };
}

/** Who a client has proven to be with its request; undefined: it is to be asked. */
function provenId({ headers, socket }: IncomingMessage): EndpointId | undefined {
  const value = headers[authHeaderName];
  if (typeof value !== "string" || !(socket instanceof TLSSocket)) {
    return undefined;
  }
  try {
    const header = decodeAuthHeader(value);
    return isRightAuthHeader(header, exporterOf(socket)) ? header.id : undefined;
  } catch (error) {
    if (!(error instanceof RelayError)) {
      throw error;
    }
    return undefined;
  }
}

function reply(response: ServerResponse, { status, headers, body }: RelayHttpResponse): void {
  response.writeHead(status, headers).end(body);
}

/** Answers a request that Node.js has left to us because it asked for another protocol. */
function refuse(socket: Duplex, { status, headers, body }: RelayHttpResponse): void {
  const lines = Object.entries({ ...headers, connection: "close" }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join("")}\r\n${body}`);
}
