import {
  create,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryResponse } from "@connectrpc/connect";
import { areUnwatched, CallPlans, type HeadersLike, type ShortProtocol } from "./call-plan.ts";
import type { ResponseHandler } from "./client-call.ts";
import { ConnectUnaryResponse } from "./connect-unary-response.ts";
import { EnvelopeWriter } from "./envelope-writer.ts";
import { GrpcUnaryResponse } from "./grpc-unary-response.ts";
import type { ProtocolTransportOptions } from "./protocol-transport.ts";
import { hasNoSideEffects } from "./side-effects.ts";
import type { UnaryResponseOptions } from "./unary-response.ts";
import type { BeginCall } from "./universal-call.ts";

/**
 * The short way of a unary call: the same on the wire to the byte as connect-es's own transport, with the same outcome, but
 * without what only interceptors could see. It takes a fraction of the time.
 */
export class UnaryCaller {
  readonly #options: ProtocolTransportOptions;
  readonly #begin: BeginCall;
  readonly #plans: CallPlans;
  readonly #format: UnaryFormat;

  constructor(protocol: ShortProtocol, options: ProtocolTransportOptions, begin: BeginCall) {
    this.#options = options;
    this.#begin = begin;
    this.#plans = new CallPlans(protocol, options);
    this.#format = formats[protocol];
  }

  /** Whether calls of the method may go this way: nobody could see the difference. */
  takes(method: DescMethod): boolean {
    const { useHttpGet } = this.#options;
    const getsRequested = useHttpGet === true && this.#format.hasGet && hasNoSideEffects(method);
    return areUnwatched(this.#options) && !getsRequested;
  }

  /** As `Transport.unary`. */
  call(
    method: DescMethod,
    signal: AbortSignal | undefined,
    requestedMs: number | undefined,
    header: HeadersLike | undefined,
    input: MessageInitShape<DescMessage>,
  ): Promise<UnaryResponse> {
    return new Promise((resolve, reject) => {
      const plan = this.#plans.of(method);
      const timeoutMs = plan.timeoutMs(requestedMs);
      const fields = plan.fields(timeoutMs, header);
      const message = create(method.input, input);
      if (signal?.aborted === true) {
        throw ConnectError.from(signal.reason, Code.Canceled);
      }
      const content = this.#format.content(plan.serialize(message));
      const response = this.#format.response({ plan, options: this.#options, resolve, reject });
      this.#begin({ content, signal, timeoutMs, fields, early: plan.early }, response);
    });
  }
}

/** What the protocols do differently. */
interface UnaryFormat {
  /** Whether there are calls by HTTP GET. */
  readonly hasGet: boolean;
  content(message: Uint8Array): Uint8Array;
  response(options: UnaryResponseOptions): ResponseHandler;
}

const envelopes = new EnvelopeWriter();

const formats: Readonly<Record<ShortProtocol, UnaryFormat>> = {
  connect: {
    hasGet: true,
    content: (message) => message,
    response: (options) => new ConnectUnaryResponse(options),
  },
  grpc: {
    hasGet: false,
    content: (message) => envelopes.encode(0, message),
    response: (options) => new GrpcUnaryResponse(options),
  },
};
