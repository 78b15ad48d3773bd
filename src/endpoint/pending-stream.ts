import type { CloseCause, EngineStream, StreamHandler } from "../engine/engine.ts";

/**
 * A stream that the peer opened and nobody has taken yet. Its data waits in the engine; what else happens to it is
 * remembered for whoever takes it.
 */
export class PendingStream implements StreamHandler {
  readonly stream: EngineStream;
  #stoppedWith: bigint | undefined;
  #lost: CloseCause | undefined;

  constructor(stream: EngineStream) {
    this.stream = stream;
    stream.handler = this;
  }

  /** Gives the stream to `handler` and tells it what it has missed. */
  passTo(handler: StreamHandler): void {
    this.stream.handler = handler;
    this.replay();
  }

  /** Tells the stream's present handler what came before it. */
  replay(): void {
    const { handler } = this.stream;
    if (this.#stoppedWith !== undefined) {
      handler.stopped(this.#stoppedWith);
    }
    handler.readable();
    if (this.#lost !== undefined) {
      handler.connectionClosed(this.#lost);
    }
  }

  /** Ends a stream that nobody wants, both ways. */
  refuse(code: bigint): void {
    this.stream.stop(code);
    this.stream.reset(code);
  }

  readable(): void {}
  writable(): void {}
  acknowledged(): void {}

  stopped(code: bigint): void {
    this.#stoppedWith = code;
  }

  connectionClosed(cause: CloseCause): void {
    this.#lost = cause;
  }
}
