import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { nodePlatform } from "../base/node-platform.ts";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import { consoleService } from "./console-service.ts";
import { ConsoleService } from "./gen/connectquic/worker/v1/console_pb.js";
import type { PageFile } from "./page-files.ts";
import { judgePageRequest } from "./page-guard.ts";
import { createPageToken } from "./page-token.ts";
import type { Worker } from "./worker.ts";

export interface PageServerOptions {
  readonly worker: Worker;
  readonly files: ReadonlyMap<string, PageFile>;
  /** Where to listen: all addresses without `host`. */
  readonly listen: { readonly host?: string | undefined; readonly port: number };
  /** Names by which the page is reached, besides `localhost` and IP addresses. Default none. */
  readonly hosts?: readonly string[];
  /** What a browser has to show; undefined: nothing. */
  readonly token?: string | undefined;
}

/** A browser has six. */
const maxConnections = 128;
/** A call of the page is a message of a chat and little else. Bytes. */
const readMaxBytes = 32 * 1_024;

/** Serves a worker's page, and what the page calls. */
export class PageServer implements AsyncDisposable {
  readonly address: SocketAddress;
  readonly #server: Server;

  private constructor(server: Server, address: SocketAddress) {
    this.#server = server;
    this.address = address;
  }

  /** Rejects when the address cannot be had. */
  static async start(options: PageServerOptions): Promise<PageServer> {
    const { worker, files, listen, hosts = [] } = options;
    const server = createServer();
    server.maxConnections = maxConnections;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ ...listen }, resolve);
    });
    const { address, port } = server.address() as AddressInfo;
    const token = options.token === undefined ? undefined : createPageToken(options.token, port);
    const access = { token, hosts: hosts.map((host) => host.toLowerCase()) };
    const calls = connectNodeAdapter({
      routes: (router) => router.service(ConsoleService, consoleService(worker, nodePlatform)),
      readMaxBytes,
      grpc: false,
      grpcWeb: false,
      acceptCompression: [],
      shutdownSignal: worker.ending,
    });
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      for (const [name, value] of securityHeaders) {
        response.setHeader(name, value);
      }
      const { method = "", url = "", headers } = request;
      const verdict = judgePageRequest({ method, url, headers }, access);
      switch (verdict.type) {
        case "refused":
          answer(response, verdict.status, verdict.reason);
          break;
        case "signed-in":
          response.setHeader("set-cookie", verdict.setCookie);
          response.setHeader("location", verdict.location);
          answer(response, 303, "");
          break;
        case "allowed":
          if (method === "POST") {
            calls(request, response);
          } else {
            sendFile(response, files.get(verdict.path), method);
          }
          break;
      }
    });
    return new PageServer(server, socketAddress(address, port));
  }

  /** Ends calls as well. Idempotent. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Nothing from elsewhere, no script but ours, no HTML made of text, and in no frame. */
const securityHeaders: readonly (readonly [string, string])[] = [
  [
    "content-security-policy",
    [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self'",
      "connect-src 'self'",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join("; "),
  ],
  ["cache-control", "no-store"],
  ["cross-origin-opener-policy", "same-origin"],
  ["cross-origin-resource-policy", "same-origin"],
  ["referrer-policy", "no-referrer"],
  ["x-content-type-options", "nosniff"],
  ["x-frame-options", "DENY"],
];

function sendFile(response: ServerResponse, file: PageFile | undefined, method: string): void {
  if (file === undefined) {
    answer(response, 404, "there is nothing");
    return;
  }
  response.setHeader("content-type", file.type);
  response.setHeader("content-length", file.bytes.length);
  response.end(method === "HEAD" ? undefined : file.bytes);
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader("content-type", "text/plain; charset=utf-8");
  // What the request still sends is not waited for.
  response.setHeader("connection", "close");
  response.end(text === "" ? "" : `${text}\n`);
}
