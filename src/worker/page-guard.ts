/** Who may use a worker's page. */
export interface PageAccess {
  /** Host names, besides `localhost` and IP addresses, by which the page is reached; small letters, without port. */
  readonly hosts: readonly string[];
  /** What a browser or a program has to show; undefined lets in whoever reaches the port. */
  readonly token: PageToken | undefined;
}

/** Compares in a time that says nothing of the secret. */
export interface PageToken {
  /** Is this the token? */
  isToken(text: string): boolean;
  /** Is this the cookie's value? */
  isCookie(text: string): boolean;
  /** What a browser gets that has shown the token. */
  readonly cookie: string;
  /** Of its own for each page of a host, because hosts share their cookies between ports. */
  readonly cookieName: string;
}

/** Of a request, as Node.js has it: names of headers in small letters. */
export interface PageRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export type PageVerdict =
  | { readonly type: "allowed"; readonly path: string }
  /** The token was in the URL: the browser is to keep the cookie, and to go where there is no token. */
  | { readonly type: "signed-in"; readonly setCookie: string; readonly location: string }
  | { readonly type: "refused"; readonly status: 400 | 401 | 403 | 405; readonly reason: string };

/**
 * Judges a request to a worker's page.
 *
 * Another site's script can make a browser ask us anything. It never gets through: a name of its own that leads here (DNS
 * rebinding) is not a host of ours, and a request from its pages says where it comes from, by `Origin` or `Sec-Fetch-Site`
 * (Fetch, and Fetch Metadata), which scripts cannot change. To open the page by a link is all that it can do.
 */
export function judgePageRequest(request: PageRequest, access: PageAccess): PageVerdict {
  const { method, headers } = request;
  const host = one(headers.host);
  if (host === undefined || !isOurs(host, access.hosts)) {
    return refused(403, `this page is not at ${JSON.stringify(host ?? "")}: see --page-host`);
  }
  const url = parseUrl(request.url);
  if (url === undefined) {
    return refused(400, "the request has no path");
  }
  if (method !== "GET" && method !== "HEAD" && method !== "POST") {
    return refused(405, "there is nothing but GET and POST");
  }
  const isCall = method === "POST";
  const site = one(headers["sec-fetch-site"]);
  const opensPage =
    !isCall && url.pathname === "/" && one(headers["sec-fetch-mode"]) === "navigate";
  if (site !== undefined && site !== "same-origin" && site !== "none" && !opensPage) {
    return refused(403, "this is not for pages of other sites");
  }
  const origin = one(headers.origin);
  if (origin !== undefined && !isOrigin(origin, host)) {
    return refused(403, "this is not for pages of other sites");
  }
  return judgeToken(request, url, access.token);
}

function judgeToken(
  { method, headers }: PageRequest,
  url: URL,
  token: PageToken | undefined,
): PageVerdict {
  const path = url.pathname;
  const shown = url.searchParams.get("token");
  if (token === undefined) {
    return { type: "allowed", path };
  }
  if (method === "GET" && path === "/" && shown !== null) {
    return token.isToken(shown)
      ? {
          type: "signed-in",
          setCookie: `${token.cookieName}=${token.cookie}; Path=/; HttpOnly; SameSite=Strict`,
          location: "/",
        }
      : refused(401, "the token in the URL is wrong");
  }
  const bearer = /^Bearer ([\x21-\x7e]+)$/i.exec(one(headers.authorization) ?? "")?.[1];
  if (bearer !== undefined ? token.isToken(bearer) : hasCookie(headers.cookie, token)) {
    return { type: "allowed", path };
  }
  return refused(401, "open the page by the URL with a token that the worker has printed");
}

/** IP addresses cannot be rebound: to be asked by one, a browser has to be told it. */
function isOurs(host: string, names: readonly string[]): boolean {
  const [, name = ""] = /^(\[[0-9a-f:.]+\]|[^:]*)(?::[0-9]{1,5})?$/i.exec(host) ?? [];
  const small = name.toLowerCase();
  return (
    small === "localhost" ||
    /^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/.test(small) ||
    small.startsWith("[") ||
    names.includes(small)
  );
}

/** The origin of the page itself; by HTTPS where something in front of us does that. */
function isOrigin(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}

function hasCookie(header: PageRequest["headers"][string], token: PageToken): boolean {
  return (one(header) ?? "")
    .split(";")
    .map((pair) => pair.trim().split("="))
    .some(
      ([name, value]) => name === token.cookieName && value !== undefined && token.isCookie(value),
    );
}

/** A header that was sent twice is none. */
function one(header: PageRequest["headers"][string]): string | undefined {
  return typeof header === "string" ? header : undefined;
}

function parseUrl(text: string): URL | undefined {
  try {
    return text.startsWith("/") && !text.startsWith("//")
      ? new URL(text, "http://page")
      : undefined;
  } catch {
    return undefined;
  }
}

function refused(status: 400 | 401 | 403 | 405, reason: string): PageVerdict {
  return { type: "refused", status, reason };
}
