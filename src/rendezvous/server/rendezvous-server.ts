import { createServer, type Server } from "node:http";
import { createSecureServer } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { nodePlatform } from "../../base/node-platform.ts";
import { type SocketAddress, socketAddress } from "../../base/socket-address.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import type { CorsOptions } from "../../rpc/cors.ts";
import type { NodeRequestHandler } from "../../rpc/node-bridge.ts";
import { createPeerRouter, type PeerRouter } from "../../rpc/peer-router.ts";
import { RendezvousError } from "../rendezvous-error.ts";
import {
  createRendezvous,
  type RendezvousHost,
  type RendezvousHostOptions,
} from "../rendezvous-host.ts";
import type { RendezvousPage } from "../rendezvous-pages.ts";

/** How long a request may take to arrive. Milliseconds. */
const requestTimeoutMs = 10_000;
/** How long an idle connection is kept: peers renew their leases on it. Milliseconds. */
const keepAliveTimeoutMs = 75_000;
/** TCP connections that it takes, of which each peer has one or two. */
const maxConnections = 250_000;

/** Where to listen. */
export interface RendezvousListenAddress {
  /** Default: all addresses. */
  readonly host?: string | undefined;
  /** 0: any that is free. */
  readonly port: number;
}

export interface RendezvousServerOptions extends RendezvousHostOptions {
  /** Peers reach the place by its key as well. Stays yours to close. */
  readonly endpoint: Endpoint;
  readonly listen: RendezvousListenAddress;
  /** PEM. Default: plain HTTP/1.1, for tests and behind a proxy; with it HTTP/2 as well. */
  readonly tls?:
    | { readonly cert: string | Uint8Array; readonly key: string | Uint8Array }
    | undefined;
  /** Pages of which other origins may call. Default: none. */
  readonly cors?: CorsOptions | undefined;
  /**
   * Where `/metrics` and `/debug/list_workers` are, which tell everything to everybody: "here", or on an address of their own,
   * in plain HTTP. Default: nowhere. `/healthz` is always here, too.
   */
  readonly pages?: "here" | RendezvousListenAddress | undefined;
}

/** A place of rendezvous that listens, over HTTP and by its key. */
export class RendezvousServer implements AsyncDisposable {
  readonly host: RendezvousHost;
  /** Where it listens for HTTP. */
  readonly address: SocketAddress;
  /** Where the pages are, if they have an address of their own. */
  readonly pagesAddress: SocketAddress | undefined;
  /** What clients on this machine call. From elsewhere the host is another. */
  readonly url: string;
  readonly #router: PeerRouter;
  readonly #listeners: readonly Listener[];
  #closing: Promise<void> | undefined;

  /** Listens. Rejects with {@link RendezvousError} `cannot-start`, and with TypeError or RangeError for options that cannot be. */
  static async start(options: RendezvousServerOptions): Promise<RendezvousServer> {
    const { endpoint, cors, pages, tls } = options;
    const host = createRendezvous({ platform: endpoint.platform ?? nodePlatform, ...options });
    const router = createPeerRouter(endpoint);
    const listeners: Listener[] = [];
    try {
      host.routes(router);
      const bridge = router.bridge(cors === undefined ? {} : { cors });
      const main = new Listener(withPages(host, pages === "here" ? "all" : "health", bridge), tls);
      listeners.push(main);
      await main.listen(options.listen);
      if (pages !== undefined && pages !== "here") {
        const operators = new Listener(withPages(host, "all", notFound), undefined);
        listeners.push(operators);
        await operators.listen(pages);
      }
      return new RendezvousServer(host, router, listeners, tls !== undefined);
    } catch (error) {
      await Promise.all([host.close(), router.close(), ...listeners.map((each) => each.close(0))]);
      throw error;
    }
  }

  private constructor(
    host: RendezvousHost,
    router: PeerRouter,
    listeners: readonly Listener[],
    secure: boolean,
  ) {
    const [main, operators] = listeners;
    if (main === undefined) {
      throw new TypeError("a place listens somewhere");
    }
    this.host = host;
    this.#router = router;
    this.#listeners = listeners;
    this.address = main.address;
    this.pagesAddress = operators?.address;
    this.url = `http${secure ? "s" : ""}://${dialable(main.address)}`;
  }

  /** Ends the calls that are open, whose callers try again, and stops to listen, after `graceMs` (default 1000) at the latest. */
  close(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.graceMs ?? 1_000);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(graceMs: number): Promise<void> {
    await this.host.close();
    await Promise.all([
      this.#router.close({ graceMs }),
      ...this.#listeners.map((listener) => listener.close(graceMs)),
    ]);
  }
}

/** An HTTP server that can be closed. */
class Listener {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  /** Throws {@link RendezvousError} `cannot-start` for a certificate that is none. */
  constructor(handler: NodeRequestHandler, tls: RendezvousServerOptions["tls"]) {
    this.#server = serverOf(handler, tls);
    this.#server.maxConnections = maxConnections;
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
    });
    // Where a connection cannot be taken, for want of file descriptors, the others go on.
    this.#server.on("error", () => {});
    this.#server.on("clientError", (_, socket) => socket.destroy());
  }

  get address(): SocketAddress {
    const { address, port } = this.#server.address() as AddressInfo;
    return socketAddress(address, port);
  }

  async listen({ host, port }: RendezvousListenAddress): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (error) => {
        const where = host === undefined ? `port ${port}` : `${host}, port ${port}`;
        const problem = `cannot listen on ${where}: ${error.message}`;
        reject(new RendezvousError("cannot-start", problem, { cause: error }));
      });
      this.#server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
    });
  }

  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections?.();
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) {
        socket.destroy();
      }
    }, graceMs);
    await closed;
    clearTimeout(timer);
  }
}

function serverOf(handler: NodeRequestHandler, tls: RendezvousServerOptions["tls"]): Server {
  const limits = {
    requestTimeout: requestTimeoutMs,
    headersTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveTimeoutMs,
    noDelay: true,
  };
  if (tls === undefined) {
    return createServer(limits, handler);
  }
  try {
    const server = createSecureServer(
      {
        allowHTTP1: true,
        cert: Buffer.from(tls.cert),
        key: Buffer.from(tls.key),
        minVersion: "TLSv1.2",
      },
      handler,
    );
    // What we use of both is the same.
    return Object.assign(server as unknown as Server, limits);
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new RendezvousError("cannot-start", `cannot use the certificate: ${problem}`, {
      cause: error,
    });
  }
}

/** Answers what the pages answer, and leaves the rest to `otherwise`. */
function withPages(
  host: RendezvousHost,
  which: "all" | "health",
  otherwise: NodeRequestHandler,
): NodeRequestHandler {
  return (request, response) => {
    const target = request.url ?? "/";
    const isPage =
      (request.method === "GET" || request.method === "HEAD") &&
      (which === "all" ? /^\/(?:healthz|metrics|debug\/)/ : /^\/healthz/).test(target);
    if (!isPage) {
      otherwise(request, response);
      return;
    }
    const reply = (page: RendezvousPage | undefined): void => {
      response.writeHead(page?.status ?? 404, page?.headers ?? {});
      response.end(page?.body ?? "not found\n");
    };
    host.page(target).then(reply, () => response.destroy());
  };
}

const notFound: NodeRequestHandler = (_, response) => {
  response.writeHead(404, { "content-type": "text/plain; charset=utf-8" });
  response.end("not found\n");
};

/** Nobody dials "any address". */
function dialable({ family, host, port }: SocketAddress): string {
  const known = host === "::" ? "[::1]" : host === "0.0.0.0" ? "127.0.0.1" : host;
  return family === 6 && !known.startsWith("[") ? `[${known}]:${port}` : `${known}:${port}`;
}
