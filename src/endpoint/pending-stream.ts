import type { CloseCause, EngineStream, StreamHandler } from "../engine/engine.ts";

import type { ReceiveStream } from "./receive-stream.ts";

/**
 * A stream that the peer opened and nobody has taken yet. Its data waits in the engine, and in the receiving half when
 * the connection ends before; what else happens to it is remembered for whoever takes it.
 */
export class PendingStream implements StreamHandler {
  readonly stream: EngineStream;
  readonly receive: ReceiveStream;
  #stoppedWith: bigint | undefined;
  #lost: CloseCause | undefined;

  constructor(stream: EngineStream, receive: ReceiveStream) {
    this.stream = stream;
    this.receive = receive;
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
    this.receive.keepRest(cause);
  }
}
