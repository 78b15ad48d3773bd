import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { nodePlatform } from "../base/node-platform.ts";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type { KeptFile } from "./benchmarks.ts";
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
/** Until a browser has said what it wants. Milliseconds. */
const headersTimeoutMs = 60_000;
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
    // A file may take its time; a request that is refused is not waited for.
    const server = createServer({ requestTimeout: 0, headersTimeout: headersTimeoutMs });
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
    const handle = (path: string, request: IncomingMessage, response: ServerResponse): void => {
      const [, number] = /^\/files\/([0-9]{1,15})$/.exec(path) ?? [];
      if (number !== undefined && request.method === "POST") {
        void takeFile(request, response, (content) => worker.bringFile(Number(number), content));
      } else if (number !== undefined) {
        giveFile(response, worker.keptFile(Number(number)), request.method);
      } else if (request.method === "POST") {
        calls(request, response);
      } else {
        sendPart(response, files.get(path), request.method);
      }
    };
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
          handle(verdict.path, request, response);
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

/** A part of the page. */
function sendPart(
  response: ServerResponse,
  file: PageFile | undefined,
  method: string | undefined,
): void {
  if (file === undefined) {
    answer(response, 404, "there is nothing");
    return;
  }
  response.setHeader("content-type", file.type);
  response.setHeader("content-length", file.bytes.length);
  response.end(method === "HEAD" ? undefined : file.bytes);
}

/** Answers when the file has gone to the peer. One that is not wanted any more is cut off. Never rejects. */
async function takeFile(
  request: IncomingMessage,
  response: ServerResponse,
  bring: (content: AsyncIterable<Uint8Array>) => Promise<void> | undefined,
): Promise<void> {
  const sent = bring(contentOf(request));
  if (sent === undefined) {
    answer(response, 404, "no file is expected by this number");
    return;
  }
  await sent;
  answer(response, 200, "");
}

/** Throws a ConnectError where the page stops. */
async function* contentOf(request: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    yield* request;
  } catch {
    throw new ConnectError("the page has stopped to send the file", Code.Unavailable);
  }
}

/** To be saved, never to be shown: whatever it is, it came from a peer. */
function giveFile(
  response: ServerResponse,
  file: KeptFile | undefined,
  method: string | undefined,
): void {
  if (file === undefined) {
    answer(response, 404, "this file is not kept");
    return;
  }
  const name = encodeURIComponent(file.name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  response.setHeader("content-type", "application/octet-stream");
  response.setHeader("content-disposition", `attachment; filename*=UTF-8''${name}`);
  response.setHeader("content-length", file.size);
  for (const part of method === "HEAD" ? [] : file.parts) {
    response.write(part);
  }
  response.end();
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.setHeader("content-type", "text/plain; charset=utf-8");
  // What the request still sends is not waited for.
  response.setHeader("connection", "close");
  response.end(text === "" ? "" : `${text}\n`);
}
