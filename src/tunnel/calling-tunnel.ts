import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { deferred } from "../base/deferred.ts";
import type { Platform } from "../base/platform.ts";
import { inRange, longestTimerMs } from "../rpc/check-options.ts";
import { TunnelClientCore } from "./client-core.ts";
import { FrameSource } from "./frame-source.ts";
import type { ClientToServer, ServerToClient } from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { type Announced, knownRevisions } from "./negotiation.ts";
import { OpeningWatch } from "./opening-watch.ts";
import { callThrough } from "./tunnel-call.ts";
import { lastWordsMs, resolveLimits } from "./tunnel-limits.ts";
import {
  type CloseTunnelOptions,
  defaultOpenTimeoutMs,
  type TunnelOptions,
} from "./tunnel-options.ts";

/**
 * The calling end of a tunnel, on the two halves of the call that carries it: {@link frames} go out, and what comes in is
 * given to {@link run}.
 */
export class CallingTunnel {
  readonly frames: FrameSource<ClientToServer>;
  readonly closed: Promise<void>;
  readonly #closed = deferred<void>();
  readonly #idle = deferred<void>();
  readonly #platform: Platform;
  readonly #core: TunnelClientCore;
  readonly #opening: OpeningWatch;
  /** Set when no more calls are taken. */
  #cause: ConnectError | undefined;
  #over = false;

  constructor(options: TunnelOptions, platform: Platform) {
    this.#platform = platform;
    this.closed = this.#closed.promise;
    this.#core = new TunnelClientCore({
      revisions: knownRevisions({ flowControl: options.flowControl ?? true }),
      limits: resolveLimits(options.limits),
      onFrames: () => this.frames.wake(),
      onStreamEnd: () => this.#streamEnded(),
    });
    this.frames = new FrameSource(
      () => this.#core.pollFrame(),
      () => this.#left(),
    );
    const { openTimeoutMs = defaultOpenTimeoutMs } = options;
    inRange("openTimeoutMs", openTimeoutMs, 1, longestTimerMs);
    this.#opening = new OpeningWatch(platform, openTimeoutMs, (error) => this.fail(error));
  }

  /** Rejects with the cause when the tunnel closes before it is open. */
  get opened(): Promise<void> {
    return this.#opening.opened;
  }

  get closeCause(): ConnectError | undefined {
    return this.#cause;
  }

  /** Sends a frame at once that says nothing. */
  greet(): void {
    this.#core.greet();
  }

  /** The headers of the other end are here. */
  negotiated(announced: Announced): void {
    this.#core.negotiated(announced);
    if (!announced.settings) {
      this.#opening.unannounced();
    }
  }

  /** Sends a request through the tunnel. */
  readonly call: UniversalClientFn = (request) =>
    this.#cause === undefined ? callThrough(this.#core, request) : Promise.reject(this.#cause);

  /** Takes frames until there are no more; the tunnel is closed then. */
  async run(frames: AsyncIterable<ServerToClient>): Promise<void> {
    try {
      for await (const frame of frames) {
        if (this.#over) {
          break;
        }
        this.#core.handleFrame(frame);
        this.#opening.open();
      }
      this.#end(new ConnectError("the peer has closed the tunnel", Code.Unavailable));
    } catch (error) {
      this.fail(ConnectError.from(error, Code.Unavailable));
    }
  }

  /** The tunnel is unusable, or not wanted any more. Idempotent. */
  fail(error: ConnectError): void {
    this.frames.fail(error);
    this.#end(this.#opening.isOpen ? tunnelLost(error) : error);
  }

  /** Resolves when no call runs any more, or the time is up; from here on none is taken. Ends the frames. */
  async drain({ graceMs = 0 }: CloseTunnelOptions): Promise<void> {
    const closed = new ConnectError("the tunnel was closed", Code.Canceled);
    this.#cause ??= closed;
    if (this.#core.streams > 0 && graceMs > 0 && !this.#over) {
      const timer = this.#platform.setTimer(graceMs, () => this.#idle.resolve());
      await this.#idle.promise;
      this.#platform.clearTimer(timer);
    }
    this.#end(closed);
  }

  #streamEnded(): void {
    if (this.#cause !== undefined && this.#core.streams === 0) {
      this.#idle.resolve();
    }
  }

  /** Nobody wants frames any more: the call is over. Why is to be heard from its other half. */
  #left(): void {
    this.#platform.setTimer(lastWordsMs, () => {
      this.fail(new ConnectError("its call has ended", Code.Unavailable));
    });
  }

  #end(error: ConnectError): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    this.#cause ??= error;
    this.#opening.failed(error);
    this.#core.close(error);
    this.#idle.resolve();
    this.frames.end();
    this.#closed.resolve();
  }
}

function tunnelLost(cause: ConnectError): ConnectError {
  const message = `the tunnel is lost: ${cause.rawMessage}`;
  return new ConnectError(message, Code.Unavailable, undefined, undefined, cause);
}
