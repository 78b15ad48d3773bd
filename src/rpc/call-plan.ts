import type { DescMessage, DescMethod, MessageShape } from "@bufbuild/protobuf";
import { createMethodSerializationLookup, createMethodUrl } from "@connectrpc/connect/protocol";
import { requestHeaderWithCompression as connectHeader } from "@connectrpc/connect/protocol-connect";
import { requestHeaderWithCompression as grpcHeader } from "@connectrpc/connect/protocol-grpc";
import { type FieldSection, requestFields } from "./fields.ts";
import type { Protocol, ProtocolTransportOptions } from "./protocol-transport.ts";
import { mayGoEarly } from "./side-effects.ts";
import { reduceTimeout } from "./timeout-field.ts";

export type HeadersLike = ConstructorParameters<typeof Headers>[0];

/** The protocols that have a short way. */
export type ShortProtocol = Exclude<Protocol, "grpc-web">;

/** Whether calls with these options may go the short way, as far as the options say: nobody could see the difference. */
export function areUnwatched({ interceptors, sendCompression }: ProtocolTransportOptions): boolean {
  return interceptors.length === 0 && sendCompression === null;
}

/** What is the same for all calls of a method that go the short way. */
export class CallPlan {
  readonly method: DescMethod;
  /** See `CallRequest`. */
  readonly early: boolean;
  readonly serialize: (message: unknown) => Uint8Array;
  readonly parse: (content: Uint8Array) => MessageShape<DescMessage>;
  readonly #protocol: ShortProtocol;
  readonly #options: ProtocolTransportOptions;
  readonly #url: string;
  /** Header sections of calls that have no headers of their own, by their timeout. */
  readonly #sections = new Map<number | undefined, FieldSection>();

  constructor(method: DescMethod, protocol: ShortProtocol, options: ProtocolTransportOptions) {
    const { baseUrl, binaryOptions, jsonOptions, useBinaryFormat } = options;
    const lookup = createMethodSerializationLookup(method, binaryOptions, jsonOptions, options);
    const input = lookup.getI(useBinaryFormat);
    this.method = method;
    this.early = mayGoEarly(method);
    this.serialize = (message) => input.serialize(message as MessageShape<DescMessage>);
    this.parse = lookup.getO(useBinaryFormat).parse;
    this.#protocol = protocol;
    this.#options = options;
    this.#url = createMethodUrl(baseUrl, method);
  }

  /** The time that a call has, where it asks for `timeoutMs`. Undefined is no limit. */
  timeoutMs(timeoutMs: number | undefined): number | undefined {
    const limitMs = timeoutMs ?? this.#options.defaultTimeoutMs;
    return limitMs !== undefined && limitMs > 0 ? limitMs : undefined;
  }

  /** The header section of a call, as `fields` of a `CallRequest` makes it. */
  fields(
    timeoutMs: number | undefined,
    header: HeadersLike | undefined,
  ): (waitedMs: number) => FieldSection {
    const fields = this.#section(timeoutMs, header);
    return (waitedMs) =>
      waitedMs > 0 && timeoutMs !== undefined
        ? fields.map((field) => reduceTimeout(field, waitedMs))
        : fields;
  }

  #section(timeoutMs: number | undefined, header: HeadersLike | undefined): FieldSection {
    const known = header === undefined ? this.#sections.get(timeoutMs) : undefined;
    if (known !== undefined) {
      return known;
    }
    const fields = requestFields("POST", this.#url, this.#header(timeoutMs, header));
    if (header === undefined && this.#sections.size < maxSections) {
      // Whoever meets a frozen one again need not look at it again.
      this.#sections.set(timeoutMs, Object.freeze(fields));
    }
    return fields;
  }

  #header(timeoutMs: number | undefined, header: HeadersLike | undefined): Headers {
    const { methodKind } = this.method;
    const { useBinaryFormat: binary, acceptCompression: accepted } = this.#options;
    return this.#protocol === "grpc"
      ? grpcHeader(binary, timeoutMs, header, accepted, null)
      : connectHeader(methodKind, binary, timeoutMs, header, accepted, null, true);
  }
}

/** Header sections that are kept for a method: most programs have one or two timeouts for it. */
const maxSections = 8;

/** The plans of a transport's calls. */
export class CallPlans {
  readonly #protocol: ShortProtocol;
  readonly #options: ProtocolTransportOptions;
  readonly #plans = new WeakMap<DescMethod, CallPlan>();

  constructor(protocol: ShortProtocol, options: ProtocolTransportOptions) {
    this.#protocol = protocol;
    this.#options = options;
  }

  of(method: DescMethod): CallPlan {
    let plan = this.#plans.get(method);
    if (plan === undefined) {
      plan = new CallPlan(method, this.#protocol, this.#options);
      this.#plans.set(method, plan);
    }
    return plan;
  }
}
