import { X509Certificate } from "node:crypto";
import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { concatBytes } from "../base/bytes.ts";
import { onAbort } from "../base/on-abort.ts";
import type { HttpRequest, HttpResponse } from "./network.ts";

/** Redirects that are followed for one request. */
const maxRedirects = 5;
/** Connections that are kept open, idle, for the next request to the same server. */
const maxIdlePerServer = 2;
/** And for so long: one that has been idle may lead through a network that is gone, and nobody would tell. Milliseconds. */
const maxIdleMs = 1_000;

// Of a request under way, a timeout here only says that it takes long; ending it is its signal's.
const keepAlive = { keepAlive: true, maxFreeSockets: maxIdlePerServer, timeout: maxIdleMs };
const agents = { "http:": new HttpAgent(keepAlive), "https:": new HttpsAgent(keepAlive) };

/**
 * One HTTP request, with Node's own client. Redirects are followed, but never from https to http, and credentials stay
 * with the origin that they were for. Connections are used again. A request alone does not keep the process alive.
 *
 * Rejects with the signal's reason, with Node's error when there is no answer, and with an Error when the answer is
 * longer than `maxBytes` or leads nowhere.
 */
export async function nodeRequest(url: URL, request: HttpRequest): Promise<HttpResponse> {
  let at = url;
  let asked = request;
  for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
    asked.signal.throwIfAborted();
    const response = await exchange(at, asked, { retry: asked.method !== "POST" });
    const { location } = response.headers;
    if (
      request.followRedirects === false ||
      !redirectStatuses.has(response.status) ||
      location === undefined
    ) {
      return response;
    }
    const to = redirectTarget(at, location);
    asked = redirected(asked, response.status, { sameOrigin: to.origin === at.origin });
    at = to;
  }
  throw new Error(`cannot ${request.method} ${url.href}: more than ${maxRedirects} redirects`);
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

function redirectTarget(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (to === undefined || (to.protocol !== from.protocol && to.protocol !== "https:")) {
    throw new Error(`cannot follow ${from.href} to ${JSON.stringify(location.slice(0, 80))}`);
  }
  return to;
}

/** The request to the next server (RFC 9110 §15.4). */
function redirected(
  request: HttpRequest,
  status: number,
  { sameOrigin }: { readonly sameOrigin: boolean },
): HttpRequest {
  const { method, headers = {}, body, ...limits } = request;
  const becomesGet = status === 303 || (status <= 302 && method === "POST");
  const kept = Object.entries(headers).filter(
    ([name]) =>
      (sameOrigin || !/^(authorization|cookie)$/i.test(name)) &&
      (!becomesGet || !/^content-/i.test(name)),
  );
  return {
    ...limits,
    method: becomesGet ? "GET" : method,
    headers: Object.fromEntries(kept),
    ...(becomesGet || body === undefined ? {} : { body }),
  };
}

function exchange(
  url: URL,
  request: HttpRequest,
  { retry }: { readonly retry: boolean },
): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const { signal, body } = request;
    const outgoing = open(url, request);
    const stopListening = onAbort(signal, () => outgoing.destroy());
    const fail = (error: Error): void => {
      stopListening();
      outgoing.destroy();
      if (signal.aborted) {
        reject(signal.reason);
      } else if (retry && outgoing.reusedSocket && "code" in error && error.code === "ECONNRESET") {
        // The server closed the connection while the request was on its way.
        exchange(url, request, { retry: false }).then(resolve, reject);
      } else {
        reject(error);
      }
    };
    outgoing.on("error", fail);
    outgoing.on("socket", (socket) => socket.unref());
    outgoing.on("response", (incoming) => {
      readBody(incoming, request.maxBytes, (outcome) => {
        if (outcome instanceof Error) {
          fail(outcome);
          return;
        }
        stopListening();
        resolve({
          status: incoming.statusCode ?? 0,
          headers: joinedHeaders(incoming),
          body: outcome,
        });
      });
    });
    outgoing.end(body);
  });
}

/** Throws TypeError for a URL that is none of HTTP, and Node's error for an authority that is no certificate. */
function open(url: URL, { method, headers, authorities }: HttpRequest): ClientRequest {
  if (url.protocol === "http:") {
    return httpRequest(url, { agent: agents["http:"], method, headers });
  }
  if (url.protocol !== "https:") {
    throw new TypeError(`cannot ${method} ${url.href}: not an http or https URL`);
  }
  // A name that ends with a dot is complete, which is for resolvers alone.
  const servername = url.hostname.endsWith(".") ? url.hostname.slice(0, -1) : undefined;
  return httpsRequest(url, {
    agent: agents["https:"],
    method,
    headers,
    ...(servername === undefined ? {} : { servername }),
    ...(authorities === undefined
      ? {}
      : { ca: authorities.map((der) => new X509Certificate(der).toString()) }),
  });
}

/** Calls `done` once, with the body or with why there is none. */
function readBody(
  incoming: IncomingMessage,
  maxBytes: number,
  done: (outcome: Uint8Array | Error) => void,
): void {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let isDone = false;
  const finish = (outcome: Uint8Array | Error): void => {
    if (!isDone) {
      isDone = true;
      done(outcome);
    }
  };
  incoming.on("data", (piece: Buffer) => {
    length += piece.length;
    if (length > maxBytes) {
      finish(new Error(`the answer is longer than ${maxBytes} bytes, which is the limit`));
    } else {
      pieces.push(piece);
    }
  });
  incoming.on("end", () => finish(concatBytes(pieces)));
  incoming.on("error", finish);
  incoming.on("close", () => finish(new Error("the server closed before its answer was complete")));
}

function joinedHeaders({ headers }: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(", ") : (value ?? ""),
    ]),
  );
}
