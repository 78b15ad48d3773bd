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
import type { SecureContextOptions } from "node:tls";
import { WebSocketServer } from "ws";
import { nodePlatform } from "../../base/node-platform.ts";
import type { Platform } from "../../base/platform.ts";
import {
  formatSocketAddress,
  type SocketAddress,
  socketAddress,
} from "../../base/socket-address.ts";
import type { EndpointId } from "../../identity/endpoint-id.ts";
import { parseRelayUrl, type RelayUrl } from "../../identity/relay-url.ts";
import { NodeMessageChannel } from "../node-message-channel.ts";
import { RelayError } from "../relay-error.ts";
import { maxRelayMessageBytes } from "../relay-subprotocol.ts";
import type { AuthorizeRelayClient } from "./relay-access.ts";
import { type CloseRelayOptions, RelayCore } from "./relay-core.ts";
import {
  type AnswerOptions,
  answerRelayRequest,
  checkRelayUpgrade,
  type RelayHttpRequest,
  type RelayHttpResponse,
} from "./relay-http.ts";
import type { RelayLimits } from "./relay-limits.ts";
import type { RelayMetrics } from "./relay-metrics.ts";

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

export interface RelayServerOptions {
  readonly listen: ListenAddress;
  /** Default: plain HTTP, for tests and behind a proxy. */
  readonly tls?: RelayCertificate | undefined;
  /** Beside TLS: a plain port for the check whether a captive portal stands in between, and nothing else. */
  readonly plain?: ListenAddress | undefined;
  /** Where `/metrics` is: `"here"` among the other pages, or on an address of its own. Default: nowhere. */
  readonly metrics?: "here" | ListenAddress | undefined;
  /** Who may use the relay. Default: everybody. */
  readonly authorize?: AuthorizeRelayClient | undefined;
  readonly limits?: Partial<RelayLimits> | undefined;
  readonly platform?: Platform | undefined;
}

/**
 * A relay for peers that cannot reach each other directly, of iroh's protocol: clients of iroh 1.x can use it as well as
 * ours. It passes ciphertext on and knows ids, addresses and amounts.
 *
 * ```ts
 * await using relay = await RelayServer.start({ listen: { port: 3340 } });
 * console.log(relay.url);
 * ```
 */
export class RelayServer implements AsyncDisposable {
  readonly #core: RelayCore;
  readonly #listeners: Listeners;
  /** Where the relay listens. */
  readonly address: SocketAddress;
  /** Where `/metrics` is, if it has an address of its own. */
  readonly metricsAddress: SocketAddress | undefined;
  /** Where the plain port is, if there is one. */
  readonly plainAddress: SocketAddress | undefined;
  /** What clients on this machine dial. From elsewhere the host is another. */
  readonly url: RelayUrl;

  /** Listens. Throws {@link RelayError} `cannot-start`, RangeError for a limit that is none. */
  static async start(options: RelayServerOptions): Promise<RelayServer> {
    const { authorize, limits, platform = nodePlatform } = options;
    const core = new RelayCore({ platform, authorize, limits });
    const counted = { metrics: (): string => core.metrics.toOpenMetrics() };
    const pages = options.metrics === "here" ? counted : {};
    const listeners: Listener[] = [];
    const listen = async (at: ListenAddress, how: Omit<ListenerOptions, "core">) => {
      const listener = new Listener({ ...how, core });
      await listener.listen(at);
      listeners.push(listener);
      return listener;
    };
    try {
      const { metrics, plain, tls } = options;
      return new RelayServer(core, {
        main: await listen(options.listen, { tls, pages, relay: true }),
        plain: plain && (await listen(plain, { pages: { probeOnly: true } })),
        metrics:
          metrics === undefined || metrics === "here"
            ? undefined
            : await listen(metrics, { pages: counted }),
      });
    } catch (error) {
      await Promise.all(listeners.map((listener) => listener.close()));
      throw error;
    }
  }

  private constructor(core: RelayCore, listeners: Listeners) {
    const { main, metrics, plain } = listeners;
    this.#core = core;
    this.#listeners = listeners;
    this.address = main.address;
    this.plainAddress = plain?.address;
    this.metricsAddress = metrics?.address;
    this.url = parseRelayUrl(`${main.secure ? "https" : "http"}://${dialable(main.address)}`);
  }

  /** What it has done so far. */
  get metrics(): RelayMetrics {
    return this.#core.metrics;
  }

  /** Ids that are connected. */
  get clients(): number {
    return this.#core.clients;
  }

  /** Uses another certificate for connections from now on. Throws {@link RelayError} `cannot-start`; the old one stays. */
  setCertificate(certificate: RelayCertificate): void {
    this.#listeners.main.setCertificate(certificate);
  }

  /** Ends the connections of an id. False: there are none. */
  disconnect(id: EndpointId): boolean {
    return this.#core.disconnect(id);
  }

  /**
   * Stops listening, tells clients when to come back if `restartInMs` says so, and ends all connections. Resolves when all
   * is gone, which takes 2 s where a client does not answer. Idempotent.
   */
  async close(options?: CloseRelayOptions): Promise<void> {
    const { main, metrics, plain } = this.#listeners;
    const listeners = [main, metrics, plain];
    for (const listener of listeners) {
      listener?.stop();
    }
    await this.#core.close(options);
    await Promise.all(listeners.map((listener) => listener?.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

interface Listeners {
  readonly main: Listener;
  readonly plain: Listener | undefined;
  readonly metrics: Listener | undefined;
}

interface ListenerOptions {
  readonly core: RelayCore;
  readonly tls?: RelayCertificate | undefined;
  readonly pages: AnswerOptions;
  /** Whether it grants WebSockets. */
  readonly relay?: boolean;
}

/** A port with an HTTP server. */
class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server & { setSecureContext?(options: SecureContextOptions): void };
  readonly #sockets = new Set<Socket>();
  #closed: Promise<void> | undefined;
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

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = createServer(options.tls, (request, response) => {
      reply(response, answerRelayRequest(readRequest(request), options.pages));
    });
    const { maxConnections, metrics } = options.core;
    this.#server.maxConnections = maxConnections + spareConnections;
    this.#server.on("connection", (socket: Socket) => {
      metrics.httpConnections += 1;
      this.#sockets.add(socket);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        metrics.httpConnectionsClosed += 1;
      });
    });
    this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#handleUpgrade(request, socket, head),
    );
    this.#server.on("clientError", (_, socket: Duplex) => socket.destroy());
  }

  get secure(): boolean {
    return this.#options.tls !== undefined;
  }

  get address(): SocketAddress {
    const { address, port } = this.#server.address() as AddressInfo;
    return socketAddress(address, port);
  }

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

  setCertificate(certificate: RelayCertificate): void {
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
      const channel = new NodeMessageChannel(webSocket);
      channel.handler = core.accept(channel, {
        version: upgrade.version,
        token: upgrade.token,
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

function readingCertificate<T>(read: () => T): T {
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

/** `localhost` in place of "any address". */
function dialable(address: SocketAddress): string {
  const any = address.host === "::" || address.host === "0.0.0.0";
  return any ? `localhost:${address.port}` : formatSocketAddress(address);
}
