import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Status } from "./gen/google/rpc/status_pb.ts";
import {
  type ClientToServer,
  type NewStream,
  type ServerToClient,
  ServerToClientSchema,
} from "./gen/grpctunnel/v1/tunnel_pb.ts";
import type { Revision } from "./negotiation.ts";
import { type RequestEvents, ServerStream } from "./server-stream.ts";
import { statusFromError } from "./status.ts";
import { maxWaitingRefusals, type TunnelLimits } from "./tunnel-limits.ts";
import { Turns } from "./turns.ts";

export interface ServerCoreOptions {
  /** Revisions that this side takes part in. */
  readonly revisions: readonly Revision[];
  readonly limits: TunnelLimits;
  /** There may be a frame to poll, after there was none. */
  readonly onFrames: () => void;
  /** A stream or its handler has ended: see {@link TunnelServerCore.streams}. */
  readonly onStreamEnd: () => void;
  /** Begins to answer a call. What it throws is the answer. Followed by one {@link ServerStream.released}. */
  readonly accept: (stream: ServerStream, head: NewStream) => RequestEvents;
}

/**
 * The serving end of a tunnel, without I/O. Each frame of the peer goes to {@link handleFrame}, and what {@link pollFrame}
 * returns to the peer, until it returns undefined.
 */
export class TunnelServerCore {
  readonly #options: ServerCoreOptions;
  /** Those whose frames are still of interest. */
  readonly #byId = new Map<bigint, ServerStream>();
  /** Those that count: also handlers that run on, and answers that wait to be sent. */
  readonly #streams = new Set<ServerStream>();
  readonly #turns = new Turns<ServerStream>();
  #refusals: { readonly id: bigint; readonly status: Status }[] = [];
  #lastId = -1n;
  #settingsDue = false;
  #state: "open" | "draining" | "closed" = "open";

  constructor(options: ServerCoreOptions) {
    this.#options = options;
  }

  /** Streams that have not ended, or whose handlers have not. */
  get streams(): number {
    return this.#streams.size;
  }

  /** The other end has announced that it knows settings: they are the first frame. */
  sendSettings(): void {
    this.#settingsDue = true;
    this.#options.onFrames();
  }

  /** From here on, new streams are refused with Unavailable. */
  drain(): void {
    if (this.#state === "open") {
      this.#state = "draining";
    }
  }

  /** Throws ConnectError when the frame makes the tunnel unusable; {@link close} it with that. */
  handleFrame({ streamId, frame }: ClientToServer): void {
    if (this.#state === "closed") {
      return;
    }
    if (frame.case === "newStream") {
      this.#begin(streamId, frame.value);
      return;
    }
    const stream = this.#byId.get(streamId);
    if (stream !== undefined) {
      stream.handleFrame(frame);
    } else if (streamId > this.#lastId) {
      throw broken(`${frame.case ?? "an unknown frame"} came of stream ${streamId}, not begun yet`);
    }
  }

  /** The next frame for the peer; undefined when there is none for now. */
  pollFrame(): ServerToClient | undefined {
    if (this.#state === "closed") {
      return undefined;
    }
    if (this.#settingsDue) {
      this.#settingsDue = false;
      const { revisions, limits } = this.#options;
      const initialWindowSize = revisions.includes(1) ? limits.windowBytes : 0;
      return create(ServerToClientSchema, {
        streamId: -1n,
        frame: {
          case: "settings",
          value: { supportedProtocolRevisions: [...revisions], initialWindowSize },
        },
      });
    }
    const refusal = this.#refusals.shift();
    if (refusal !== undefined) {
      return create(ServerToClientSchema, {
        streamId: refusal.id,
        frame: { case: "closeStream", value: { status: refusal.status } },
      });
    }
    return this.#turns.next((stream) => {
      const frame = stream.pollFrame();
      return frame && create(ServerToClientSchema, { streamId: stream.id, frame });
    });
  }

  /** Tells all handlers that nobody waits for them, for this reason. Nothing leaves any more. Idempotent. */
  close(error: ConnectError): void {
    if (this.#state === "closed") {
      return;
    }
    this.#state = "closed";
    this.#refusals = [];
    for (const stream of this.#streams) {
      stream.lost(error);
    }
    this.#turns.clear();
  }

  #begin(id: bigint, head: NewStream): void {
    if (id <= this.#lastId) {
      throw broken(`stream ${id} began after stream ${this.#lastId}`);
    }
    this.#lastId = id;
    const { limits, revisions } = this.#options;
    const revision = revisions.find((known) => known === head.protocolRevision);
    if (this.#state === "draining") {
      this.#refuse(id, new ConnectError("the tunnel is about to close", Code.Unavailable));
    } else if (revision === undefined) {
      const message = `revision ${head.protocolRevision} is not known here`;
      this.#refuse(id, new ConnectError(message, Code.Unavailable));
    } else if (this.#streams.size >= limits.maxStreams) {
      const message = `more than ${limits.maxStreams} calls at once in one tunnel`;
      this.#refuse(id, new ConnectError(message, Code.ResourceExhausted));
    } else {
      this.#accept(id, head, revision);
    }
  }

  #accept(id: bigint, head: NewStream, revision: Revision): void {
    const stream = new ServerStream(id, revision, head.initialWindowSize, {
      limits: this.#options.limits,
      changed: (changed) => {
        if (this.#state !== "closed") {
          this.#turns.add(changed);
          this.#options.onFrames();
        }
      },
      over: (over) => {
        this.#byId.delete(over.id);
      },
      gone: (gone) => {
        this.#streams.delete(gone);
        this.#options.onStreamEnd();
      },
    });
    this.#byId.set(id, stream);
    this.#streams.add(stream);
    try {
      stream.accepted(this.#options.accept(stream, head));
    } catch (error) {
      this.#byId.delete(id);
      this.#streams.delete(stream);
      this.#refuse(id, ConnectError.from(error, Code.Internal));
    }
  }

  #refuse(id: bigint, error: ConnectError): void {
    if (this.#refusals.length >= maxWaitingRefusals) {
      throw new ConnectError(
        `more than ${maxWaitingRefusals} refused calls were not looked at`,
        Code.ResourceExhausted,
      );
    }
    this.#refusals.push({ id, status: statusFromError(error) });
    this.#options.onFrames();
  }
}

function broken(what: string): ConnectError {
  return new ConnectError(`the tunnel's peer broke the protocol: ${what}`, Code.InvalidArgument);
}
