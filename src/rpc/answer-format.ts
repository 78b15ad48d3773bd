import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { createEndStreamSerialization } from "@connectrpc/connect/protocol-connect";
import { validateTrailer } from "@connectrpc/connect/protocol-grpc";
import type { CallPlan } from "./call-plan.ts";
import type { MessageFormat } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";
import type { ProtocolTransportOptions } from "./protocol-transport.ts";
import type { BegunResponse } from "./universal-call.ts";

type Message = MessageShape<DescMessage>;
export type Requests = MessageWriter<MessageInitShape<DescMessage>>;

export interface AnswerParts {
  readonly plan: CallPlan;
  readonly options: ProtocolTransportOptions;
  readonly response: BegunResponse;
  /** Undefined for requests that were sent at once. */
  readonly requests: Requests | undefined;
  readonly compression: Compression | undefined;
}

/** How the messages of a response are read, and what else comes with them. */
abstract class AnswerFormat implements MessageFormat<Message> {
  readonly readMaxBytes: number;
  readonly compression: Compression | null;
  protected readonly parts: AnswerParts;

  constructor(parts: AnswerParts) {
    this.readMaxBytes = parts.options.readMaxBytes;
    this.compression = parts.compression ?? null;
    this.parts = parts;
  }

  throwIfUnwanted(): void {
    this.parts.response.body.throwIfUnwanted();
  }

  parse(data: Uint8Array): Message {
    return this.parts.plan.parse(data);
  }

  over(): void {
    this.checkEnd();
    this.parts.requests?.leave();
  }

  failed(reason: unknown): ConnectError {
    const { response, requests } = this.parts;
    const error = leaveBecause(reason, requests);
    response.body.cancelSoon(error);
    return error;
  }

  /** The content is over. Throws when it should not be, or when the trailers say that the call has failed. */
  protected abstract checkEnd(): void;
}

/** Messages, and one envelope at their end with trailers or an error. */
export class ConnectAnswer extends AnswerFormat {
  /** From the envelope at the end. */
  readonly trailer: Headers = new Headers();
  #ended = false;

  override parse(data: Uint8Array): Message {
    const message = super.parse(data);
    if (this.#ended) {
      throw violation("received extra message after EndStreamResponse");
    }
    return message;
  }

  endOfStream(data: Uint8Array): void {
    const { options, response } = this.parts;
    const { metadata, error } = createEndStreamSerialization(options.jsonOptions).parse(data);
    if (this.#ended) {
      throw violation("received extra EndStreamResponse");
    }
    this.#ended = true;
    if (error !== undefined) {
      response.header.forEach((value, name) => {
        error.metadata.append(name, value);
      });
      throw error;
    }
    metadata.forEach((value, name) => {
      this.trailer.set(name, value);
    });
  }

  protected checkEnd(): void {
    if (!this.#ended) {
      throw violation("missing EndStreamResponse");
    }
  }
}

/** Messages, and trailers that say how the call has ended. */
export class GrpcAnswer extends AnswerFormat {
  readonly #foundStatus: boolean;

  /** @param foundStatus is true when the header section says how the call has ended, and no trailers are needed */
  constructor(parts: AnswerParts, foundStatus: boolean) {
    super(parts);
    this.#foundStatus = foundStatus;
  }

  protected checkEnd(): void {
    if (!this.#foundStatus) {
      const { trailer, header } = this.parts.response;
      validateTrailer(trailer, header);
    }
  }
}

/** Leaves the source of the requests, which can see why nobody asks it for more. */
export function leaveBecause(reason: unknown, requests: Requests | undefined): ConnectError {
  const error = ConnectError.from(reason);
  requests?.leave({ error });
  return error;
}

function violation(what: string): ConnectError {
  return new ConnectError(`protocol error: ${what}`, Code.InvalidArgument);
}
