import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import { deferred } from "../base/deferred.ts";
import type { Platform } from "../base/platform.ts";
import { inRange, longestTimerMs } from "../rpc/check-options.ts";
import { ReceiveBudget } from "../rpc/receive-budget.ts";
import { FrameSource } from "./frame-source.ts";
import type { ClientToServer, NewStream, ServerToClient } from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { InheritedValues } from "./inherited-values.ts";
import { headersFromMetadata } from "./metadata.ts";
import { type Announced, knownRevisions } from "./negotiation.ts";
import { OpeningWatch } from "./opening-watch.ts";
import { ServedCall } from "./served-call.ts";
import { TunnelServerCore } from "./server-core.ts";
import type { RequestEvents, ServerStream } from "./server-stream.ts";
import { type TunnelOfCall, tunnelKey } from "./tunnel-key.ts";
import { lastWordsMs, resolveLimits } from "./tunnel-limits.ts";
import {
  type CloseTunnelOptions,
  defaultOpenTimeoutMs,
  type TunnelOptions,
} from "./tunnel-options.ts";
import type { TunnelRoutes } from "./tunnel-routes.ts";

/** What a tunnel server has to know once the tunnel is open. */
export interface Opening {
  readonly announced: Announced;
  readonly tunnel: TunnelOfCall;
  /** What is known of who calls: values of the call that opened the tunnel, or of who has answered that. */
  readonly values: ContextValues | undefined;
}

/**
 * The serving end of a tunnel, on the two halves of the call that carries it: {@link frames} go out, and what comes in is
 * given to {@link run}, once {@link negotiated} was called.
 */
export class ServingTunnel {
  readonly frames: FrameSource<ServerToClient>;
  readonly closed: Promise<void>;
  readonly #closed = deferred<void>();
  readonly #idle = deferred<void>();
  readonly #routes: TunnelRoutes;
  readonly #platform: Platform;
  readonly #budget: ReceiveBudget;
  readonly #core: TunnelServerCore;
  readonly #watch: OpeningWatch;
  #opening: Opening | undefined;
  #draining = false;
  #cause: ConnectError | undefined;

  constructor(routes: TunnelRoutes, options: TunnelOptions, platform: Platform) {
    this.#routes = routes;
    this.#platform = platform;
    this.closed = this.#closed.promise;
    const limits = resolveLimits(options.limits);
    this.#budget = new ReceiveBudget(limits.receiveBudgetBytes);
    this.#core = new TunnelServerCore({
      revisions: knownRevisions({ flowControl: options.flowControl ?? true }),
      limits,
      onFrames: () => this.frames.wake(),
      onStreamEnd: () => this.#streamEnded(),
      accept: (stream, head) => this.#accept(stream, head),
    });
    this.frames = new FrameSource(
      () => this.#core.pollFrame(),
      () => this.#left(),
    );
    const { openTimeoutMs = defaultOpenTimeoutMs } = options;
    inRange("openTimeoutMs", openTimeoutMs, 1, longestTimerMs);
    this.#watch = new OpeningWatch(platform, openTimeoutMs, (error) => this.fail(error));
  }

  /** Rejects with the cause when the tunnel closes before it is open. */
  get opened(): Promise<void> {
    return this.#watch.opened;
  }

  /** Why the tunnel is closed; undefined as long as it is not. */
  get closeCause(): ConnectError | undefined {
    return this.#cause;
  }

  /** The headers of the other end are here. */
  negotiated(opening: Opening): void {
    this.#opening = opening;
    if (opening.announced.settings) {
      this.#core.sendSettings();
      this.#watch.open();
    } else {
      this.#watch.unannounced();
    }
  }

  /** Takes frames until there are no more; the tunnel is closed then. */
  async run(frames: AsyncIterable<ClientToServer>): Promise<void> {
    try {
      for await (const frame of frames) {
        if (this.#cause !== undefined) {
          break;
        }
        this.#watch.open();
        this.#core.handleFrame(frame);
      }
      this.#end(new ConnectError("the peer has closed the tunnel", Code.Unavailable));
    } catch (error) {
      this.fail(ConnectError.from(error, Code.Unavailable));
    }
  }

  /** The tunnel is unusable, or not wanted any more. Idempotent. */
  fail(error: ConnectError): void {
    this.frames.fail(error);
    this.#end(error);
  }

  /** Resolves when no call runs any more, or the time is up; new ones are refused meanwhile. Ends the frames. */
  async drain({ graceMs = 0 }: CloseTunnelOptions): Promise<void> {
    this.#draining = true;
    this.#core.drain();
    if (this.#core.streams > 0 && graceMs > 0 && this.#cause === undefined) {
      const timer = this.#platform.setTimer(graceMs, () => this.#idle.resolve());
      await this.#idle.promise;
      this.#platform.clearTimer(timer);
    }
    this.#end(new ConnectError("the tunnel was closed", Code.Unavailable));
  }

  #accept(stream: ServerStream, { methodName, requestHeaders }: NewStream): RequestEvents {
    const opening = this.#opening;
    if (opening === undefined) {
      throw new ConnectError("the tunnel is not open yet", Code.Unavailable);
    }
    const handler = this.#routes.find(methodName);
    const encoding = opening.announced.binary;
    const header = headersFromMetadata(requestHeaders, encoding);
    if (header === undefined) {
      throw new ConnectError("the headers of the request cannot be", Code.InvalidArgument);
    }
    const values = new InheritedValues(opening.values).set(tunnelKey, opening.tunnel);
    const call = new ServedCall(stream, {
      handler,
      header,
      values,
      encoding,
      platform: this.#platform,
      budget: this.#budget,
    });
    // Not from within: the request's first frames are to be there, and nothing that a handler does is to come between.
    queueMicrotask(() => void call.run());
    return call;
  }

  #streamEnded(): void {
    if (this.#draining && this.#core.streams === 0) {
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
    if (this.#cause === undefined) {
      this.#cause = error;
      this.#watch.failed(error);
      this.#idle.resolve();
      this.#core.close(error);
      this.frames.end();
      this.#closed.resolve();
    }
  }
}
