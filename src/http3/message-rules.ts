// What a field section must look like (RFC 9114 §4.2, §4.3). All faults are H3_MESSAGE_ERROR on the stream (§4.1.2).

import { H3, H3Error, streamError } from "./h3-error.ts";
import type { FieldSection } from "./qpack/field.ts";

export interface RequestHead {
  readonly method: string;
  /** Undefined when the message does not say. Infinity above 2^53-1. */
  readonly contentLength: number | undefined;
}

export interface ResponseHead {
  /** 100..999 */
  readonly status: number;
  readonly contentLength: number | undefined;
}

/** Checks the header section of a request; a frozen one only once. Throws H3Error (stream, H3_MESSAGE_ERROR). */
export function checkRequestHead(fields: FieldSection): RequestHead {
  return onceIfFrozen(requestHeads, fields, readRequestHead);
}

/** Checks the header section of a response, interim or final. Throws as {@link checkRequestHead}. */
export function checkResponseHead(fields: FieldSection): ResponseHead {
  return onceIfFrozen(responseHeads, fields, readResponseHead);
}

function readRequestHead(fields: FieldSection): RequestHead {
  let method: string | undefined;
  let scheme: string | undefined;
  let authority: string | undefined;
  let path: string | undefined;
  let host: string | undefined;
  let contentLength: string | undefined;
  let pseudo = true;
  for (const [name, value] of fields) {
    if (isPseudo(name)) {
      checkPseudo(name, value, pseudo);
      switch (name) {
        case ":method":
          method = once(name, method, value);
          break;
        case ":scheme":
          scheme = once(name, scheme, value);
          break;
        case ":authority":
          authority = once(name, authority, value);
          break;
        case ":path":
          path = once(name, path, value);
          break;
        default:
          throw malformed(`${show(name)} is no pseudo-header field of a request`, "4.3.1");
      }
      continue;
    }
    pseudo = false;
    checkField(name, value);
    switch (name) {
      case "host":
        host = once(name, host, value);
        break;
      case "content-length":
        contentLength = same(name, contentLength, value);
        break;
      case "te":
        if (value.toLowerCase() !== "trailers") {
          throw malformed(`te is ${show(value)}, only "trailers" is allowed`, "4.2");
        }
        break;
    }
  }
  if (method === undefined || !token.test(method)) {
    throw malformed(`:method is ${show(method)}`, "4.3.1");
  }
  if (method === "CONNECT") {
    checkConnect(scheme, path, authority);
  } else {
    checkTarget({ method, scheme, authority, path, host });
  }
  return { method, contentLength: parseContentLength(contentLength) };
}

function readResponseHead(fields: FieldSection): ResponseHead {
  let status: string | undefined;
  let contentLength: string | undefined;
  let pseudo = true;
  for (const [name, value] of fields) {
    if (isPseudo(name)) {
      checkPseudo(name, value, pseudo);
      if (name !== ":status") {
        throw malformed(`${show(name)} is no pseudo-header field of a response`, "4.3.2");
      }
      status = once(name, status, value);
      continue;
    }
    pseudo = false;
    checkField(name, value);
    if (name === "te") {
      throw malformed("te is for requests only", "4.2");
    }
    if (name === "content-length") {
      contentLength = same(name, contentLength, value);
    }
  }
  if (status === undefined || !/^[1-9][0-9]{2}$/.test(status)) {
    throw malformed(`:status is ${show(status)}`, "4.3.2");
  }
  if (status === "101") {
    throw malformed("status 101 does not exist in HTTP/3", "4.5");
  }
  return { status: Number(status), contentLength: parseContentLength(contentLength) };
}

/** Checks a trailer section. Throws H3Error (stream, H3_MESSAGE_ERROR). */
export function checkTrailers(fields: FieldSection): void {
  for (const [name, value] of fields) {
    if (isPseudo(name)) {
      throw malformed(`pseudo-header field ${show(name)} in a trailer section`, "4.3");
    }
    checkField(name, value);
    if (name === "te") {
      throw malformed("te in a trailer section", "4.2");
    }
  }
}

/** What is malformed in something that we are to send is a mistake of the caller: a TypeError. */
export function callerMistake<T>(check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof H3Error) {
      throw new TypeError(`cannot send ${error.message}`, { cause: error });
    }
    throw error;
  }
}

/** An H3Error (stream, H3_MESSAGE_ERROR) that cites a section of RFC 9114. */
export function malformed(problem: string, section: string): H3Error {
  return streamError(H3.MESSAGE_ERROR, `malformed message: ${problem} (RFC 9114 §${section})`);
}

interface Target {
  readonly method: string;
  readonly scheme: string | undefined;
  readonly authority: string | undefined;
  readonly path: string | undefined;
  readonly host: string | undefined;
}

/** RFC 9114 §4.3.1. */
function checkTarget({ method, scheme, authority, path, host }: Target): void {
  if (scheme === undefined || !/^[A-Za-z][A-Za-z0-9+.-]*$/.test(scheme)) {
    throw malformed(`:scheme is ${show(scheme)}`, "4.3.1");
  }
  if (path === undefined) {
    throw malformed(":path is missing", "4.3.1");
  }
  if (authority !== undefined && host !== undefined && authority !== host) {
    throw malformed(`:authority is ${show(authority)}, host is ${show(host)}`, "4.3.1");
  }
  const web = /^https?$/i.test(scheme);
  if (authority === "" || host === "" || (web && (authority ?? host) === undefined)) {
    throw malformed("neither :authority nor host says something", "4.3.1");
  }
  if (web && (authority ?? host)?.includes("@") === true) {
    throw malformed(":authority holds user information", "4.3.1");
  }
  if (web && !path.startsWith("/") && !(path === "*" && method === "OPTIONS")) {
    throw malformed(`:path is ${show(path)}`, "4.3.1");
  }
}

/** RFC 9114 §4.4. */
function checkConnect(
  scheme: string | undefined,
  path: string | undefined,
  authority: string | undefined,
): void {
  if (scheme !== undefined || path !== undefined) {
    throw malformed("a CONNECT request has :scheme or :path", "4.4");
  }
  if (authority === undefined || authority === "") {
    throw malformed("a CONNECT request has no :authority", "4.4");
  }
}

function isPseudo(name: string): boolean {
  return name.charCodeAt(0) === 0x3a;
}

function checkPseudo(name: string, value: string, allowedHere: boolean): void {
  if (!allowedHere) {
    throw malformed(`pseudo-header field ${show(name)} after a field`, "4.3");
  }
  if (!visible.test(value)) {
    throw malformed(`pseudo-header field ${show(name)} is ${show(value)}`, "4.3");
  }
}

function checkField(name: string, value: string): void {
  if (!goodNames.has(name)) {
    checkName(name);
  }
  if (forbiddenInValue.test(value)) {
    throw malformed(`the value of ${name} holds a control character`, "10.3");
  }
}

function checkName(name: string): void {
  if (!fieldName.test(name)) {
    throw malformed(`${show(name)} is no field name`, "4.2");
  }
  if (connectionSpecific.has(name)) {
    throw malformed(`field ${name} is connection-specific`, "4.2");
  }
  if (goodNames.size < maxGoodNames && name.length <= 64) {
    goodNames.add(name);
  }
}

/** Calls repeat the same few heads: one that cannot change need not be read again. */
function onceIfFrozen<T>(
  known: WeakMap<FieldSection, T>,
  fields: FieldSection,
  read: (fields: FieldSection) => T,
): T {
  if (!Object.isFrozen(fields)) {
    return read(fields);
  }
  let head = known.get(fields);
  if (head === undefined) {
    head = read(fields);
    known.set(fields, head);
  }
  return head;
}

function once(name: string, before: string | undefined, value: string): string {
  if (before !== undefined) {
    throw malformed(`${name} occurs twice`, "4.3");
  }
  return value;
}

function same(name: string, before: string | undefined, value: string): string {
  if (before !== undefined && before !== value) {
    throw malformed(`${name} is ${show(before)} and ${show(value)}`, "4.1.2");
  }
  return value;
}

function parseContentLength(value: string | undefined): number | undefined {
  if (value === undefined) {
    return undefined;
  }
  if (!/^[0-9]+$/.test(value)) {
    throw malformed(`content-length is ${show(value)}`, "4.1.2");
  }
  const length = Number(value);
  return Number.isSafeInteger(length) ? length : Number.POSITIVE_INFINITY;
}

/** What a peer sent, short and without control characters. */
function show(text: string | undefined): string {
  return text === undefined ? "missing" : JSON.stringify(text.slice(0, 64));
}

/** RFC 9110 §5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** A token in lower case (RFC 9114 §4.2). */
const fieldName = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/;
const visible = /^[\x21-\x7e]*$/;
/** What field-content (RFC 9110 §5.5) leaves out, apart from white space at the ends. */
const forbiddenInValue = /[^\t\x20-\x7e\x80-\xff]/;
/** RFC 9114 §4.2, RFC 9110 §7.6.1. */
const connectionSpecific = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);
const requestHeads: WeakMap<FieldSection, RequestHead> = new WeakMap();
const responseHeads: WeakMap<FieldSection, ResponseHead> = new WeakMap();
/** Names that were found in order: most fields have one of a few. What peers make up fills it once, and no further. */
const goodNames: Set<string> = new Set();
const maxGoodNames = 512;
