import { cors } from "@connectrpc/connect";
import type { MessageHandler, RequestStream, SendHeadersOptions } from "../http3/request-stream.ts";
import { inRange, isList } from "./check-options.ts";
import { type FieldSection, fieldValue } from "./fields.ts";

/**
 * Pages of which other origins may call (the Fetch standard's CORS protocol). What browsers need to speak Connect and
 * gRPC-Web is allowed by itself; headers of one's own are named here.
 */
export interface CorsOptions {
  /** As `Origin` says them, `https://app.example`, without a path or a default port; "*" for all. */
  readonly origins: "*" | readonly string[];
  /** Request headers that pages may set besides those of the protocols. */
  readonly allowedHeaders?: readonly string[];
  /** Response headers that pages may read besides those of the protocols. */
  readonly exposedHeaders?: readonly string[];
  /** Whether pages may send cookies and the like. Not with "*". Default false. */
  readonly credentials?: boolean;
  /** How long browsers remember the answer. Seconds, default 7200, which is as long as they do. */
  readonly maxAgeSeconds?: number;
}

/** Answers browsers that ask what their pages may do, and tells them with each response. */
export class Cors {
  readonly #options: CorsOptions;
  readonly #preflight: FieldSection;
  readonly #exposed: FieldSection[number];

  /** Throws TypeError or RangeError for options that cannot be. */
  constructor(options: CorsOptions) {
    const { origins, allowedHeaders = [], exposedHeaders = [], maxAgeSeconds = 7_200 } = options;
    if (origins !== "*") {
      checkEach("cors.origins", origins, isOrigin, 'origin, such as "https://app.example"');
    } else if (options.credentials) {
      throw new TypeError("option cors.credentials: browsers take them for named origins alone");
    }
    checkEach("cors.allowedHeaders", allowedHeaders, isFieldName, "name of a header");
    checkEach("cors.exposedHeaders", exposedHeaders, isFieldName, "name of a header");
    inRange("cors.maxAgeSeconds", maxAgeSeconds, 0, 2 ** 31 - 1);
    this.#options = options;
    this.#preflight = [
      ["access-control-allow-methods", cors.allowedMethods.join(", ")],
      ["access-control-allow-headers", [...cors.allowedHeaders, ...allowedHeaders].join(", ")],
      ["access-control-max-age", String(maxAgeSeconds)],
    ];
    this.#exposed = [
      "access-control-expose-headers",
      [...cors.exposedHeaders, ...exposedHeaders].join(", "),
    ];
  }

  /** The handler that answers a preflight request, or undefined for any other. */
  answerPreflight(stream: RequestStream, fields: FieldSection): MessageHandler | undefined {
    const answer = this.preflight({
      method: fieldValue(fields, ":method"),
      origin: fieldValue(fields, "origin"),
      requestMethod: fieldValue(fields, "access-control-request-method"),
    });
    return (
      answer &&
      new Preflight(() => stream.sendHeaders([[":status", "204"], ...answer], { end: true }))
    );
  }

  /** The stream on which a request is answered. */
  wrap(stream: RequestStream, fields: FieldSection): RequestStream {
    return new CorsStream(stream, this.response(fieldValue(fields, "origin")));
  }

  /** What the answer to a preflight request says, whose status is 204; undefined for any other request. */
  preflight(request: PreflightHead): FieldSection | undefined {
    const { method, origin, requestMethod } = request;
    if (method !== "OPTIONS" || origin === undefined || requestMethod === undefined) {
      return undefined;
    }
    return this.#allow(origin, this.#preflight);
  }

  /** What any other response says. */
  response(origin: string | undefined): FieldSection {
    return this.#allow(origin, [this.#exposed]);
  }

  /** `others`: what pages of a welcome origin are told besides. Caches have to know that it depends on the origin. */
  #allow(origin: string | undefined, others: FieldSection): FieldSection {
    const { origins, credentials = false } = this.#options;
    const vary: FieldSection[number] = ["vary", "origin"];
    if (origin === undefined || (origins !== "*" && !origins.includes(origin))) {
      return [vary];
    }
    const allow: FieldSection[number] = [
      "access-control-allow-origin",
      origins === "*" ? "*" : origin,
    ];
    return credentials
      ? [vary, allow, ["access-control-allow-credentials", "true"], ...others]
      : [vary, allow, ...others];
  }
}

/** Of a request that may ask what a page may do. */
interface PreflightHead {
  readonly method: string | undefined;
  readonly origin: string | undefined;
  /** `access-control-request-method`. */
  readonly requestMethod: string | undefined;
}

/** A request without content that has its answer once it is whole. */
class Preflight implements MessageHandler {
  readonly #answer: () => void;

  constructor(answer: () => void) {
    this.#answer = answer;
  }

  headers(): void {}
  informational(): void {}
  data(): void {}
  trailers(): void {}
  end(): void {
    this.#answer();
  }
  failed(): void {}
  writable(): void {}
  stopped(): void {}
}

/** Adds fields to the final header section. */
class CorsStream implements RequestStream {
  readonly #stream: RequestStream;
  readonly #fields: FieldSection;

  constructor(stream: RequestStream, fields: FieldSection) {
    this.#stream = stream;
    this.#fields = fields;
  }

  get handler(): MessageHandler {
    return this.#stream.handler;
  }

  set handler(handler: MessageHandler) {
    this.#stream.handler = handler;
  }

  get id(): number {
    return this.#stream.id;
  }

  get copiesData(): boolean {
    return this.#stream.copiesData;
  }

  sendHeaders(fields: FieldSection, options?: SendHeadersOptions): void {
    this.#stream.sendHeaders([...fields, ...this.#fields], options);
  }

  sendData(bytes: Uint8Array, options?: { end?: boolean }): boolean {
    return this.#stream.sendData(bytes, options);
  }

  sendTrailers(fields: FieldSection): void {
    this.#stream.sendTrailers(fields);
  }

  end(): void {
    this.#stream.end();
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  cancel(code: bigint): void {
    this.#stream.cancel(code);
  }

  stopReceiving(code: bigint): void {
    this.#stream.stopReceiving(code);
  }
}

/** Throws TypeError. */
function checkEach(
  name: string,
  list: readonly unknown[],
  fits: (text: string) => boolean,
  what: string,
): void {
  isList(name, list ?? null);
  for (const item of list) {
    if (typeof item !== "string" || !fits(item)) {
      throw new TypeError(`option ${name}: ${JSON.stringify(item)} is no ${what}`);
    }
  }
}

/** Browser extensions and shells of applications have schemes of their own, whose `URL.origin` is opaque. */
function isOrigin(text: string): boolean {
  if (!URL.canParse(text)) {
    return false;
  }
  const { protocol, host } = new URL(text);
  // A star stands for nothing in an origin.
  return host !== "" && !host.includes("*") && text === `${protocol}//${host}`;
}

/** A token (RFC 9110 §5.6.2). */
function isFieldName(text: string): boolean {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(text);
}
