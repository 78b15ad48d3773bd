import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Status } from "./gen/google/rpc/status_pb.ts";
import type {
  ClientToServer,
  Metadata,
  ServerToClientSchema,
} from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { IncomingContent } from "./incoming-content.ts";
import type { Revision } from "./negotiation.ts";
import { OutgoingContent } from "./outgoing-content.ts";
import { statusFromError } from "./status.ts";
import type { TunnelLimits } from "./tunnel-limits.ts";

/** What a handler learns of its request. Nothing comes after `ended` but `writable` and `cancelled`. */
export interface RequestEvents {
  /** {@link ServerStream.read} may have something. */
  readable(): void;
  /** {@link ServerStream.full} no longer. */
  writable(): void;
  /** The request is complete; what came before may still be read. */
  ended(): void;
  /** Nobody waits for the answer any more, and none is sent. Once, and nothing comes after it. */
  cancelled(reason: ConnectError): void;
}

export interface ServerStreamContext {
  readonly limits: TunnelLimits;
  /** The stream may have a frame to poll. */
  changed(stream: ServerStream): void;
  /** Frames of the peer are of no interest any more. */
  over(stream: ServerStream): void;
  /** The handler has returned, and the answer is sent. */
  gone(stream: ServerStream): void;
}

type Frame = NonNullable<MessageInitShape<typeof ServerToClientSchema>["frame"]>;

interface Outcome {
  readonly trailers: Metadata | undefined;
  readonly status: Status | undefined;
}

/** One call through a tunnel, at the serving end. */
export class ServerStream {
  readonly id: bigint;
  readonly #context: ServerStreamContext;
  readonly #outgoing: OutgoingContent;
  readonly #incoming: IncomingContent;
  #events: RequestEvents | undefined;
  #requestOver = false;
  /** The peer has broken the protocol. */
  #faulty = false;
  #headers: Metadata | undefined;
  /** The answer is complete, and waits to be sent. */
  #outcome: Outcome | undefined;
  /** There is no answer to send any more. */
  #over = false;
  #released = false;

  constructor(id: bigint, revision: Revision, window: number, context: ServerStreamContext) {
    this.id = id;
    this.#context = context;
    this.#outgoing = new OutgoingContent(revision === 0 ? Number.POSITIVE_INFINITY : window);
    this.#incoming = new IncomingContent({
      windowBytes: revision === 0 ? undefined : context.limits.windowBytes,
      unpacedBytes: context.limits.unpacedBytes,
      fault: Code.InvalidArgument,
    });
  }

  get over(): boolean {
    return this.#over;
  }

  /** Whoever sends should wait for {@link RequestEvents.writable}. */
  get full(): boolean {
    return this.#outgoing.full;
  }

  /** Takes what waits first of the request, in envelopes; undefined when nothing does. */
  read(): Uint8Array | undefined {
    const bytes = this.#incoming.read();
    if (bytes !== undefined) {
      this.#changed();
    }
    return bytes;
  }

  /** Once, before all else. */
  sendHeaders(headers: Metadata): void {
    this.#headers = headers;
    this.#changed();
  }

  /** Sends a message, which is borrowed until it is gone. */
  send(message: Uint8Array): void {
    if (!this.#over && this.#outcome === undefined) {
      this.#outgoing.push(message);
      this.#changed();
    }
  }

  /** Ends the answer, behind the messages that were sent. */
  close(trailers: Metadata | undefined, status: Status | undefined): void {
    if (!this.#over && this.#outcome === undefined) {
      this.#outcome = { trailers, status };
      this.#changed();
    }
  }

  /** Ends the answer at once: messages that still wait are dropped. */
  abort(error: ConnectError): void {
    if (!this.#over) {
      this.#outgoing.clear();
      this.#outcome = { trailers: undefined, status: statusFromError(error) };
      this.#changed();
    }
  }

  /** The handler has returned. */
  released(): void {
    if (!this.#released) {
      this.#released = true;
      if (this.#over) {
        this.#context.gone(this);
      }
    }
  }

  // For the tunnel.

  accepted(events: RequestEvents): void {
    this.#events = events;
  }

  pollFrame(): Frame | undefined {
    if (this.#over) {
      return undefined;
    }
    const headers = this.#headers;
    if (headers !== undefined) {
      this.#headers = undefined;
      return { case: "responseHeaders", value: headers };
    }
    const grant = this.#requestOver ? 0 : this.#incoming.grant();
    if (grant > 0) {
      return { case: "windowUpdate", value: grant };
    }
    const wasFull = this.#outgoing.full;
    const piece = this.#outgoing.next();
    if (piece !== undefined) {
      if (wasFull && !this.#outgoing.full) {
        this.#events?.writable();
      }
      return piece.first
        ? { case: "responseMessage", value: { size: piece.size, data: piece.data } }
        : { case: "moreResponseData", value: piece.data };
    }
    const outcome = this.#outcome;
    if (outcome === undefined || !this.#outgoing.empty) {
      return undefined;
    }
    this.#end();
    const { trailers, status } = outcome;
    return {
      case: "closeStream",
      value: {
        ...(trailers === undefined ? {} : { responseTrailers: trailers }),
        ...(status === undefined ? {} : { status }),
      },
    };
  }

  handleFrame(frame: ClientToServer["frame"]): void {
    if (this.#faulty) {
      return;
    }
    try {
      this.#handle(frame);
    } catch (error) {
      this.#faulty = true;
      const reason = ConnectError.from(error, Code.Internal);
      this.abort(reason);
      this.#events?.cancelled(reason);
    }
  }

  /** The tunnel is gone. */
  lost(error: ConnectError): void {
    if (!this.#over) {
      this.#end();
      if (!this.#faulty) {
        this.#events?.cancelled(error);
      }
    }
  }

  #handle(frame: ClientToServer["frame"]): void {
    switch (frame.case) {
      case "requestMessage":
        this.#throwIfOver();
        this.#incoming.begin(frame.value.size, frame.value.data);
        this.#events?.readable();
        return;
      case "moreRequestData":
        this.#throwIfOver();
        this.#incoming.more(frame.value);
        this.#events?.readable();
        return;
      case "halfClose":
        this.#throwIfOver();
        this.#incoming.end();
        this.#requestOver = true;
        this.#events?.ended();
        return;
      case "cancel":
        this.lost(new ConnectError("the caller gave the call up", Code.Canceled));
        return;
      case "windowUpdate":
        if (!this.#outgoing.grant(frame.value)) {
          throw new ConnectError("the peer's window has become too large", Code.InvalidArgument);
        }
        this.#changed();
        return;
      case "newStream":
      case undefined:
        throw new ConnectError("a frame of an unknown kind came", Code.InvalidArgument);
      default:
        frame satisfies never;
    }
  }

  #throwIfOver(): void {
    if (this.#requestOver) {
      throw new ConnectError("the request went on after its end", Code.InvalidArgument);
    }
  }

  #changed(): void {
    if (!this.#over) {
      this.#context.changed(this);
    }
  }

  #end(): void {
    this.#over = true;
    this.#outgoing.clear();
    this.#context.over(this);
    if (this.#released) {
      this.#context.gone(this);
    }
  }
}
