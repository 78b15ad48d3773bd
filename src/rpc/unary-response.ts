import type {
  DescMessage,
  DescMethod,
  DescMethodUnary,
  DescService,
  MessageShape,
} from "@bufbuild/protobuf";
import type { UnaryResponse } from "@connectrpc/connect";
import type { CallPlan } from "./call-plan.ts";
import { type FieldSection, headersFromFields } from "./fields.ts";
import type { ProtocolTransportOptions } from "./protocol-transport.ts";

/** What the reader of a response needs. */
export interface UnaryResponseOptions {
  readonly plan: CallPlan;
  readonly options: ProtocolTransportOptions;
  resolve(response: UnaryResponse): void;
  reject(error: unknown): void;
}

type Metadata = readonly [header: Headers, trailer: Headers];

/** Headers and trailers are made when someone asks for them, which nobody does for most calls. */
export function unaryResponse(
  method: DescMethod,
  message: MessageShape<DescMessage>,
  metadata: () => Metadata,
): UnaryResponse {
  // Whoever copies the response, as with a spread, gets headers and trailers too.
  const response = new ShortUnaryResponse(method as DescMethodUnary, message);
  Object.defineProperty(response, metadataOf, { value: { made: undefined, make: metadata } });
  Object.defineProperty(response, "header", headerProperty);
  Object.defineProperty(response, "trailer", trailerProperty);
  return response as ShortUnaryResponse & Pick<UnaryResponse, "header" | "trailer">;
}

// The accessors of all responses are the same. Each with getters of its own would be an object of a shape of its own, and
// shapes live until the next full garbage collection, with all that their getters hold.

const headerProperty: PropertyDescriptor & ThisType<ShortUnaryResponse> = {
  enumerable: true,
  get() {
    return made(this[metadataOf])[0];
  },
};

const trailerProperty: PropertyDescriptor & ThisType<ShortUnaryResponse> = {
  enumerable: true,
  get() {
    return made(this[metadataOf])[1];
  },
};

/** Whoever wraps a response, as a proxy does, passes this on, which a private field would not be. */
const metadataOf = Symbol("connect-quic metadata");

interface Making {
  made: Metadata | undefined;
  readonly make: () => Metadata;
}

function made(making: Making): Metadata {
  making.made ??= making.make();
  return making.made;
}

class ShortUnaryResponse implements Omit<UnaryResponse, "header" | "trailer"> {
  readonly stream = false as const;
  readonly service: DescService;
  readonly method: DescMethodUnary;
  readonly message: MessageShape<DescMessage>;
  declare readonly [metadataOf]: Making;

  constructor(method: DescMethodUnary, message: MessageShape<DescMessage>) {
    this.service = method.parent;
    this.method = method;
    this.message = message;
  }
}

/** HTTP/3 has let nothing through that `Headers` could refuse. */
export function headersOf(fields: FieldSection): Headers {
  return headersFromFields(fields) ?? new Headers();
}
