import { cors } from "@connectrpc/connect";
import type { MessageHandler, RequestStream, SendHeadersOptions } from "../http3/request-stream.ts";
import { isList } from "./check-options.ts";
import { type FieldSection, fieldValue } from "./fields.ts";

/**
 * Pages of which other origins may call (the Fetch standard's CORS protocol). What browsers need to speak Connect and
 * gRPC-Web is allowed by itself; headers of one's own are named here.
 */
export interface CorsOptions {
  /** As `Origin` says them, `https://app.example`; "*" for all. */
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

  /** Throws TypeError for options that cannot be. */
  constructor(options: CorsOptions) {
    const { origins, allowedHeaders = [], exposedHeaders = [], maxAgeSeconds = 7_200 } = options;
    if (origins !== "*") {
      isList("cors.origins", origins);
      for (const origin of origins) {
        if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
          throw new TypeError(
            `option cors.origins: ${JSON.stringify(origin)} is no origin, such as "https://app.example"`,
          );
        }
      }
    } else if (options.credentials === true) {
      throw new TypeError("option cors.credentials: browsers take them for named origins alone");
    }
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
    if (
      fieldValue(fields, ":method") !== "OPTIONS" ||
      fieldValue(fields, "origin") === undefined ||
      fieldValue(fields, "access-control-request-method") === undefined
    ) {
      return undefined;
    }
    const allowed = this.#allow(fields);
    const answer = (): void => {
      const section: FieldSection = [[":status", "204"], ...allowed];
      const welcome = allowed.length > 1;
      stream.sendHeaders(welcome ? [...section, ...this.#preflight] : section, { end: true });
    };
    return new Preflight(answer);
  }

  /** The stream on which a request is answered. */
  wrap(stream: RequestStream, fields: FieldSection): RequestStream {
    const allowed = this.#allow(fields);
    return new CorsStream(stream, allowed.length > 1 ? [...allowed, this.#exposed] : allowed);
  }

  /** What a response says to a page of the request's origin. Caches have to know that it depends on that. */
  #allow(fields: FieldSection): FieldSection {
    const { origins, credentials = false } = this.#options;
    const vary: FieldSection[number] = ["vary", "origin"];
    const origin = fieldValue(fields, "origin");
    if (origin === undefined || (origins !== "*" && !origins.includes(origin))) {
      return [vary];
    }
    const allow: FieldSection[number] = [
      "access-control-allow-origin",
      origins === "*" ? "*" : origin,
    ];
    return credentials
      ? [vary, allow, ["access-control-allow-credentials", "true"]]
      : [vary, allow];
  }
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
