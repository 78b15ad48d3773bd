// Between `Headers`, which Connect works with, and field sections, which HTTP/3 sends (RFC 9114 §4.2, §4.3).

import type { RequestStream } from "../http3/request-stream.ts";

export type FieldSection = Parameters<RequestStream["sendHeaders"]>[0];

/** What a request says besides its content. */
export interface RequestHead {
  readonly method: string;
  readonly authority: string;
  /** With the query. */
  readonly path: string;
  readonly header: Headers;
}

/** The header section of a request to an absolute `https` URL. */
export function requestFields(method: string, url: string, header: Headers): FieldSection {
  const { authority, path } = splitUrl(url);
  return [
    [":method", method],
    [":scheme", "https"],
    [":authority", authority],
    [":path", path],
    ...fieldsFromHeaders(header),
  ];
}

/** The header section of a response. */
export function responseFields(status: number, header: Headers | undefined): FieldSection {
  const fields: FieldSection[number][] = [[":status", String(status)]];
  return header === undefined ? fields : [...fields, ...fieldsFromHeaders(header)];
}

/** The fields that HTTP/3 may carry: without what concerns a single connection (RFC 9114 §4.2). */
export function fieldsFromHeaders(header: Headers): FieldSection {
  const fields: FieldSection[number][] = [];
  for (const [name, value] of header) {
    if (!connectionFields.has(name) && (name !== "te" || value === "trailers")) {
      fields.push([name, value]);
    }
  }
  return fields;
}

/** Reads a request's header section; undefined when it is none that a Connect handler could be given. */
export function parseRequestHead(fields: FieldSection): RequestHead | undefined {
  const method = pseudoField(fields, ":method");
  const authority = pseudoField(fields, ":authority") ?? "";
  const path = pseudoField(fields, ":path");
  const header = headersFromFields(fields);
  if (method === undefined || path === undefined || header === undefined) {
    return undefined;
  }
  // Handlers parse the URL that these two make, so it has to be one.
  if (!path.startsWith("/") || !isAuthority(authority)) {
    return undefined;
  }
  return { method, authority, path, header };
}

/** Whether a request's `:authority` is a host that a URL can have. */
export function isAuthority(authority: string): boolean {
  if (authority === lastGoodAuthority) {
    return true;
  }
  const good = authorityPattern.test(authority) && URL.canParse(origin + authority);
  if (good) {
    lastGoodAuthority = authority;
  }
  return good;
}

/** All calls to one peer name the same one. */
let lastGoodAuthority = "";

/** The status of a response's header section, or undefined when there is none. */
export function parseStatus(fields: FieldSection): number | undefined {
  const status = pseudoField(fields, ":status");
  return status !== undefined && /^[1-9][0-9]{2}$/.test(status) ? Number(status) : undefined;
}

/** What a response's header section says; undefined when it is none. */
export function parseResponseHead(
  fields: FieldSection,
): { readonly status: number; readonly header: Headers } | undefined {
  const status = parseStatus(fields);
  const header = headersFromFields(fields);
  return status === undefined || header === undefined ? undefined : { status, header };
}

/**
 * All fields but the pseudo-header ones; undefined when one of them could not be in `Headers`. A cookie that came in
 * pieces is one again (RFC 9114 §4.2.1).
 */
export function headersFromFields(
  fields: FieldSection,
  into: Headers = new Headers(),
): Headers | undefined {
  let cookie: string | undefined;
  try {
    for (const [name, value] of fields) {
      if (name === "cookie") {
        cookie = cookie === undefined ? value : `${cookie}; ${value}`;
      } else if (!name.startsWith(":")) {
        into.append(name, value);
      }
    }
    if (cookie !== undefined) {
      into.append("cookie", cookie);
    }
    return into;
  } catch {
    return undefined;
  }
}

/** The value of the first field of that name, pseudo-header ones included. */
export function fieldValue(fields: FieldSection, wanted: string): string | undefined {
  return fields.find(([name]) => name === wanted)?.[1];
}

function pseudoField(fields: FieldSection, wanted: string): string | undefined {
  for (const [name, value] of fields) {
    if (name === wanted) {
      return value;
    }
    if (!name.startsWith(":")) {
      break;
    }
  }
  return undefined;
}

function splitUrl(url: string): { authority: string; path: string } {
  if (url.startsWith(origin)) {
    const slash = url.indexOf("/", origin.length);
    if (slash > 0 && !url.includes("#")) {
      return { authority: url.slice(origin.length, slash), path: url.slice(slash) };
    }
  }
  // Something other than createMethodUrl made it: an interceptor.
  const { host, pathname, search } = new URL(url);
  return { authority: host, path: pathname + search };
}

const origin = "https://";

/** A name or an IP address, and perhaps a port; not every text of this form is a host. */
const authorityPattern = /^(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

const connectionFields = new Set([
  "connection",
  "host",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);
