import type { RelayVersion } from "../relay-frame.ts";
import { relaySubprotocols, relayVersionOf } from "../relay-subprotocol.ts";

/** What of an HTTP request a relay looks at. Names of headers in lower case. */
export interface RelayHttpRequest {
  readonly method: string;
  /** With the query. */
  readonly target: string;
  header(name: string): string | undefined;
}

export interface RelayHttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A request for a WebSocket that can be granted. */
export interface RelayUpgrade {
  readonly subprotocol: string;
  readonly version: RelayVersion;
  readonly token: string | undefined;
}

export interface AnswerOptions {
  /** What `/metrics` says. Default: there is no such page. */
  readonly metrics?: (() => string) | undefined;
  /** Answers the captive-portal check and nothing else: for the plain port beside one with TLS. */
  readonly probeOnly?: boolean;
}

/** Answers all requests but those for a WebSocket, as iroh-relay does. */
export function answerRelayRequest(
  request: RelayHttpRequest,
  options: AnswerOptions = {},
): RelayHttpResponse {
  const { path } = splitTarget(request.target);
  const page = request.method === "GET" ? pageAt(path, request, options) : undefined;
  return respond(page ?? notFound);
}

/** What is to be done with a request for a WebSocket: grant it, or send this answer. */
export function checkRelayUpgrade(request: RelayHttpRequest): RelayUpgrade | RelayHttpResponse {
  const { path, query } = splitTarget(request.target);
  if (request.method !== "GET" || path !== "/relay") {
    return respond(notFound);
  }
  for (const [name, value, problem] of requiredHeaders) {
    const found = request.header(name);
    if (found === undefined) {
      return respond({ status: 400, body: `missing header: ${name}` });
    }
    if (value !== undefined && found !== value) {
      const body = `invalid header value for ${name}: ${problem}`;
      const isVersion = name === "sec-websocket-version";
      return respond({ status: 400, body, ...(isVersion ? { headers: { [name]: value } } : {}) });
    }
  }
  const offered = request.header("sec-websocket-protocol") ?? "";
  const names = offered.split(",").map((name) => name.trim());
  const subprotocol = relaySubprotocols.find((name) => names.includes(name));
  const version = subprotocol === undefined ? undefined : relayVersionOf(subprotocol);
  if (subprotocol === undefined || version === undefined) {
    const known = relaySubprotocols.join(", ");
    const body = `unsupported relay version: we support ${known} but you only provide ${offered.slice(0, 100)}`;
    return respond({
      status: 400,
      body: `invalid header value for sec-websocket-protocol: ${body}`,
    });
  }
  const token = bearerToken(request.header("authorization")) ?? query.get("token") ?? undefined;
  return { subprotocol, version, token };
}

interface Page {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

function pageAt(path: string, request: RelayHttpRequest, options: AnswerOptions): Page | undefined {
  if (path === "/generate_204") {
    const challenge = request.header("x-iroh-challenge") ?? "";
    const answered = /^[A-Za-z0-9._-]{1,63}$/.test(challenge);
    return {
      status: 204,
      headers: answered ? { "x-iroh-response": `response ${challenge}` } : {},
    };
  }
  if (options.probeOnly === true) {
    return undefined;
  }
  switch (path) {
    case "/":
    case "/index.html":
      return { status: 200, headers: { "content-type": "text/html; charset=utf-8" }, body: index };
    case "/ping":
      return { status: 200, headers: { "access-control-allow-origin": "*" } };
    case "/robots.txt":
      return { status: 200, body: "User-agent: *\nDisallow: /\n" };
    case "/healthz":
      return {
        status: 200,
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ status: "ok" }),
      };
    case "/metrics":
      return options.metrics === undefined ? undefined : metricsPage(options.metrics());
    case "/relay":
      return { status: 400, body: "missing header: upgrade" };
    default:
      return undefined;
  }
}

function metricsPage(body: string): Page {
  const type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
  return { status: 200, headers: { "content-type": type }, body };
}

function respond({ status, headers = {}, body = "" }: Page): RelayHttpResponse {
  // No length where there cannot be content (RFC 9110 §8.6).
  const length =
    status === 204 ? {} : { "content-length": `${new TextEncoder().encode(body).length}` };
  return { status, headers: { ...securityHeaders, ...headers, ...length }, body };
}

function splitTarget(target: string): { path: string; query: URLSearchParams } {
  const [path = "", ...rest] = target.split("?");
  return { path, query: new URLSearchParams(rest.join("?")) };
}

function bearerToken(authorization: string | undefined): string | undefined {
  return /^bearer +(.*)$/i.exec(authorization ?? "")?.[1]?.trim();
}

const notFound: Page = { status: 404, body: "Not Found" };

/** In the order in which they are missed, with the value that is wanted, and what is said of another. */
const requiredHeaders: readonly (readonly [name: string, value?: string, problem?: string])[] = [
  ["upgrade", "websocket", "value must be websocket"],
  ["sec-websocket-key"],
  ["sec-websocket-version", "13", "unsupported websocket version, only supporting 13"],
  ["sec-websocket-protocol"],
];

const securityHeaders = {
  "strict-transport-security": "max-age=63072000; includeSubDomains",
  "content-security-policy":
    "default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'self'",
};

const index = `<!doctype html>
<title>Relay</title>
<p>This is a relay: it passes ciphertext between peers that cannot reach each other directly.
`;
