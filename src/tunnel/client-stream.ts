import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Status } from "./gen/google/rpc/status_pb.ts";
import type {
  ClientToServerSchema,
  Metadata,
  ServerToClient,
} from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { IncomingContent } from "./incoming-content.ts";
import type { BinaryEncoding, Revision } from "./negotiation.ts";
import { OutgoingContent } from "./outgoing-content.ts";
import type { TunnelLimits } from "./tunnel-limits.ts";

/** What a call learns of its response. Nothing comes after `closed` or `failed`, and one of the two always does. */
export interface ResponseEvents {
  /** Once at most. */
  headers(metadata: Metadata): void;
  /** {@link ClientStream.read} may have something. */
  readable(): void;
  /** {@link ClientStream.full} no longer. */
  writable(): void;
  /** The peer has told the outcome; what it sent before may still be read. */
  closed(trailers: Metadata | undefined, status: Status | undefined): void;
  /** The call ended in another way; what came before may still be read. */
  failed(error: ConnectError): void;
}

/** What is called. */
export interface RequestHead {
  /** Such as `/package.Service/Method`. */
  readonly methodName: string;
  /** What it throws ends the call. */
  headers(encoding: BinaryEncoding): Metadata;
}

export interface ClientStreamContext {
  readonly limits: TunnelLimits;
  /** The stream may have a frame to poll. */
  changed(stream: ClientStream): void;
  /** Nothing of the stream is wanted any more, but for frames that it still has. */
  ended(stream: ClientStream): void;
}

type Frame = NonNullable<MessageInitShape<typeof ClientToServerSchema>["frame"]>;

/** What the two ends have agreed on. */
export interface Beginning {
  readonly revision: Revision;
  /** What may be sent at first. Bytes. */
  readonly window: number;
  readonly encoding: BinaryEncoding;
}

/** One call through a tunnel, at the calling end. */
export class ClientStream {
  readonly #head: RequestHead;
  readonly #events: ResponseEvents;
  readonly #context: ClientStreamContext;
  /** Without a window until the stream begins. */
  readonly #outgoing = new OutgoingContent(0);
  #incoming: IncomingContent | undefined;
  #id: bigint | undefined;
  #headersSeen = false;
  #request: "open" | "ending" | "ended" = "open";
  /** The peer does not know yet that the call is given up. */
  #cancelDue = false;
  #over = false;

  constructor(head: RequestHead, events: ResponseEvents, context: ClientStreamContext) {
    this.#head = head;
    this.#events = events;
    this.#context = context;
  }

  /** Undefined until the stream has begun. */
  get id(): bigint | undefined {
    return this.#id;
  }

  get over(): boolean {
    return this.#over;
  }

  /** Whoever sends should wait for {@link ResponseEvents.writable}. */
  get full(): boolean {
    return this.#outgoing.full;
  }

  /** Sends a message, which is borrowed until it is gone. */
  send(message: Uint8Array): void {
    if (!this.#over && this.#request === "open") {
      this.#outgoing.push(message);
      this.#context.changed(this);
    }
  }

  /** No more messages will come. */
  end(): void {
    if (!this.#over && this.#request === "open") {
      this.#request = "ending";
      this.#context.changed(this);
    }
  }

  /** Takes what waits first of the response, in envelopes; undefined when nothing does. */
  read(): Uint8Array | undefined {
    const bytes = this.#incoming?.read();
    if (bytes !== undefined && !this.#over) {
      this.#context.changed(this);
    }
    return bytes;
  }

  /** Gives the call up: the peer is told, and nothing more is. Idempotent. */
  cancel(): void {
    if (!this.#over) {
      this.#end();
      if (this.#id !== undefined) {
        this.#cancelDue = true;
        this.#context.changed(this);
      }
    }
  }

  // For the tunnel.

  /** The first frame; undefined when there cannot be one, and then the stream has failed. */
  begin(id: bigint, { revision, window, encoding }: Beginning): Frame | undefined {
    const { limits } = this.#context;
    let headers: Metadata;
    try {
      headers = this.#head.headers(encoding);
    } catch (error) {
      this.lost(ConnectError.from(error, Code.Internal));
      return undefined;
    }
    const windowBytes = revision === 0 ? undefined : limits.windowBytes;
    this.#id = id;
    this.#outgoing.grant(window);
    this.#incoming = new IncomingContent({
      windowBytes,
      unpacedBytes: limits.unpacedBytes,
      fault: Code.Internal,
    });
    return {
      case: "newStream",
      value: {
        methodName: this.#head.methodName,
        requestHeaders: headers,
        initialWindowSize: windowBytes ?? 0,
        protocolRevision: revision,
      },
    };
  }

  pollFrame(): Frame | undefined {
    if (this.#over) {
      const due = this.#cancelDue;
      this.#cancelDue = false;
      return due ? { case: "cancel", value: create(EmptySchema) } : undefined;
    }
    const grant = this.#incoming?.grant() ?? 0;
    if (grant > 0) {
      return { case: "windowUpdate", value: grant };
    }
    const wasFull = this.#outgoing.full;
    const piece = this.#outgoing.next();
    if (piece !== undefined) {
      if (wasFull && !this.#outgoing.full) {
        this.#events.writable();
      }
      return piece.first
        ? { case: "requestMessage", value: { size: piece.size, data: piece.data } }
        : { case: "moreRequestData", value: piece.data };
    }
    if (this.#request === "ending" && this.#outgoing.empty) {
      this.#request = "ended";
      return { case: "halfClose", value: create(EmptySchema) };
    }
    return undefined;
  }

  handleFrame(frame: ServerToClient["frame"]): void {
    try {
      this.#handle(frame);
    } catch (error) {
      this.cancel();
      this.#events.failed(ConnectError.from(error, Code.Internal));
    }
  }

  /** The call cannot go on, and the peer need not be told. */
  lost(error: ConnectError): void {
    if (!this.#over) {
      this.#end();
      this.#events.failed(error);
    }
  }

  #handle(frame: ServerToClient["frame"]): void {
    switch (frame.case) {
      case "responseHeaders":
        if (this.#headersSeen) {
          throw new ConnectError("the headers of a response came twice", Code.Internal);
        }
        this.#headersSeen = true;
        this.#events.headers(frame.value);
        return;
      case "responseMessage":
        this.#incoming?.begin(frame.value.size, frame.value.data);
        this.#events.readable();
        return;
      case "moreResponseData":
        this.#incoming?.more(frame.value);
        this.#events.readable();
        return;
      case "windowUpdate":
        if (!this.#outgoing.grant(frame.value)) {
          throw new ConnectError("the peer's window has become too large", Code.Internal);
        }
        this.#context.changed(this);
        return;
      case "closeStream": {
        const { responseTrailers, status } = frame.value;
        if (status === undefined || status.code === 0) {
          this.#incoming?.end();
        }
        this.#end();
        this.#events.closed(responseTrailers, status);
        return;
      }
      case "settings":
        throw new ConnectError("settings came for a single stream", Code.Internal);
      case undefined:
        throw new ConnectError("a frame of an unknown kind came", Code.Internal);
      default:
        frame satisfies never;
    }
  }

  #end(): void {
    this.#over = true;
    this.#outgoing.clear();
    this.#context.ended(this);
  }
}
