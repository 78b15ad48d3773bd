import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type Beginning,
  ClientStream,
  type RequestHead,
  type ResponseEvents,
} from "./client-stream.ts";
import {
  type ClientToServer,
  ClientToServerSchema,
  type ServerToClient,
} from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { type Announced, chooseRevision, type Revision } from "./negotiation.ts";
import type { TunnelLimits } from "./tunnel-limits.ts";
import { Turns } from "./turns.ts";

export interface ClientCoreOptions {
  /** Revisions that this side takes part in. */
  readonly revisions: readonly Revision[];
  readonly limits: TunnelLimits;
  /** There may be a frame to poll, after there was none. */
  readonly onFrames: () => void;
  /** A stream has ended: see {@link TunnelClientCore.streams}. */
  readonly onStreamEnd: () => void;
}

type State =
  | { readonly type: "opening" }
  | { readonly type: "awaiting-settings"; readonly announced: Announced }
  | ({ readonly type: "open" } & Beginning)
  | { readonly type: "closed"; readonly error: ConnectError };

/**
 * The calling end of a tunnel, without I/O. First {@link negotiated} with what the other end announced; then each frame of
 * the peer to {@link handleFrame}, and what {@link pollFrame} returns to the peer, until it returns undefined. Streams may
 * be opened from the beginning, and wait.
 */
export class TunnelClientCore {
  readonly #options: ClientCoreOptions;
  readonly #streams = new Map<bigint, ClientStream>();
  /** Streams without an id. Ids are given in the order in which streams reach the wire. */
  readonly #unsent = new Set<ClientStream>();
  readonly #turns = new Turns<ClientStream>();
  #lastId = 0n;
  #greetingDue = false;
  #state: State = { type: "opening" };

  constructor(options: ClientCoreOptions) {
    this.#options = options;
  }

  /** Streams that have not ended. */
  get streams(): number {
    return this.#streams.size + this.#unsent.size;
  }

  /** Begins a call. Throws why the tunnel is closed when it is. */
  open(head: RequestHead, events: ResponseEvents): ClientStream {
    if (this.#state.type === "closed") {
      throw this.#state.error;
    }
    const stream = new ClientStream(head, events, {
      changed: (changed) => this.#hasFrames(changed),
      ended: (ended) => this.#ended(ended),
      limits: this.#options.limits,
    });
    this.#unsent.add(stream);
    this.#hasFrames(stream);
    return stream;
  }

  /**
   * A frame is to leave at once, although there is nothing to say. It belongs to no stream, which every tunnel server
   * passes over as a late one.
   */
  greet(): void {
    this.#greetingDue = true;
    this.#options.onFrames();
  }

  /** The headers are here with which the other end opened the tunnel, or accepted it. */
  negotiated(announced: Announced): void {
    if (this.#state.type === "opening") {
      if (announced.settings) {
        this.#state = { type: "awaiting-settings", announced };
      } else {
        this.#begin({
          revision: 0,
          window: Number.POSITIVE_INFINITY,
          encoding: announced.binary,
        });
      }
    }
  }

  /** Throws ConnectError when the frame makes the tunnel unusable; {@link close} it with that. */
  handleFrame({ streamId, frame }: ServerToClient): void {
    switch (this.#state.type) {
      case "closed":
        return;
      case "opening":
        throw broken("a frame came before the headers");
      case "awaiting-settings": {
        if (streamId !== -1n || frame.case !== "settings") {
          throw broken(`the first frame was no settings, but ${describe(streamId, frame.case)}`);
        }
        const { supportedProtocolRevisions: offered, initialWindowSize } = frame.value;
        const revision = chooseRevision(offered, this.#options.revisions);
        if (revision === undefined) {
          throw broken(`the peer knows the revisions ${offered.slice(0, 10).join(", ")} alone`);
        }
        const window = revision === 0 ? Number.POSITIVE_INFINITY : initialWindowSize;
        this.#begin({ revision, window, encoding: this.#state.announced.binary });
        return;
      }
      case "open": {
        const stream = this.#streams.get(streamId);
        if (stream !== undefined) {
          stream.handleFrame(frame);
        } else if (streamId > this.#lastId || streamId < 1n) {
          throw broken(`${describe(streamId, frame.case)} came, and there was no such stream`);
        }
        return;
      }
      default:
        this.#state satisfies never;
    }
  }

  /** The next frame for the peer; undefined when there is none for now. */
  pollFrame(): ClientToServer | undefined {
    const state = this.#state;
    if (this.#greetingDue && state.type !== "closed") {
      this.#greetingDue = false;
      return create(ClientToServerSchema, {
        streamId: -1n,
        frame: { case: "windowUpdate", value: 0 },
      });
    }
    if (state.type !== "open") {
      return undefined;
    }
    return this.#turns.next((stream) => {
      let id = stream.id;
      if (id === undefined) {
        this.#unsent.delete(stream);
        id = this.#lastId + 1n;
        const frame = stream.over ? undefined : stream.begin(id, state);
        if (frame === undefined) {
          return undefined;
        }
        this.#lastId = id;
        this.#streams.set(id, stream);
        return create(ClientToServerSchema, { streamId: id, frame });
      }
      const frame = stream.pollFrame();
      return frame && create(ClientToServerSchema, { streamId: id, frame });
    });
  }

  /** Ends all streams with `error`, which later calls get as well. Nothing leaves any more. Idempotent. */
  close(error: ConnectError): void {
    if (this.#state.type === "closed") {
      return;
    }
    this.#state = { type: "closed", error };
    this.#turns.clear();
    for (const stream of [...this.#unsent, ...this.#streams.values()]) {
      stream.lost(error);
    }
    this.#turns.clear();
  }

  #begin(beginning: Beginning): void {
    this.#state = { type: "open", ...beginning };
    this.#options.onFrames();
  }

  #hasFrames(stream: ClientStream): void {
    if (this.#state.type !== "closed") {
      this.#turns.add(stream);
      this.#options.onFrames();
    }
  }

  #ended(stream: ClientStream): void {
    this.#unsent.delete(stream);
    if (stream.id !== undefined) {
      this.#streams.delete(stream.id);
    }
    this.#options.onStreamEnd();
  }
}

function broken(what: string): ConnectError {
  return new ConnectError(`the tunnel's peer broke the protocol: ${what}`, Code.Internal);
}

function describe(streamId: bigint, frame: string | undefined): string {
  return `${frame ?? "an unknown frame"} of stream ${streamId}`;
}
