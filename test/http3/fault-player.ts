import { type Deferred, deferred } from "../../src/base/deferred.ts";
import type {
  CloseCause,
  ConnectionHandler,
  EngineConnection,
  EngineStream,
  StreamHandler,
} from "../../src/engine/engine.ts";
import { H3 } from "../../src/http3/h3-error.ts";
import type { Fault } from "../support/http3-faults.ts";

/** How the other side took a fault. */
export type Outcome =
  | { readonly type: "closed"; readonly cause: CloseCause }
  /** The stream of the fault was reset, or we were asked to stop. */
  | { readonly type: "stream"; readonly code: bigint }
  /** A server answered as if nothing were wrong. */
  | { readonly type: "answered" };

/**
 * Does on a connection what a fault consists of, stream by stream, and knows nothing of HTTP/3. Sets the connection's
 * handler; a server's player waits for the request to answer.
 */
export class FaultPlayer {
  readonly connection: EngineConnection;
  readonly closed: Promise<CloseCause>;
  readonly #fault: Fault;
  readonly #closed: Deferred<CloseCause> = deferred();
  readonly #request: Deferred<WatchedStream> = deferred();

  constructor(connection: EngineConnection, fault: Fault) {
    this.connection = connection;
    this.#fault = fault;
    this.closed = this.#closed.promise;
    connection.handler = this.#handler();
  }

  /** Resolves with how it ended. */
  async play(): Promise<Outcome> {
    const { acts, role, scope } = this.#fault;
    const closed = this.closed.then((cause): Outcome => ({ type: "closed", cause }));
    const streams = new Map<string, WatchedStream>();
    if (role === "client") {
      streams.set("bidi", await this.#request.promise);
    }
    for (const { on, bytes, close } of acts) {
      const watched =
        streams.get(on) ?? this.open(on === "bidi" ? "bidirectional" : "unidirectional");
      streams.set(on, watched);
      watched.write(bytes);
      if (close === "fin") {
        watched.stream.finish();
      } else if (close === "reset") {
        // A reset does not wait for what was written before it.
        await this.#delivered();
        watched.stream.reset(H3.NO_ERROR);
      }
    }
    const stream = streams.get("bidi");
    return scope === "connection" || stream === undefined
      ? await closed
      : await Promise.race([closed, stream.outcome]);
  }

  open(direction: "bidirectional" | "unidirectional"): WatchedStream {
    const stream = this.connection.openStream(direction);
    if (stream === undefined) {
      throw new Error("the peer allows no more streams");
    }
    return new WatchedStream(stream);
  }

  async #delivered(): Promise<void> {
    while (this.connection.stats().bytesUnacknowledged > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #handler(): ConnectionHandler {
    return {
      connected: () => {},
      streamOpened: (stream) => {
        const watched = new WatchedStream(stream);
        if (stream.direction === "bidirectional") {
          this.#request.resolve(watched);
        }
      },
      streamsAvailable: () => {},
      datagram: () => {},
      datagramsWritable: () => {},
      pathsChanged: () => {},
      closed: (cause) => this.#closed.resolve(cause),
    };
  }
}

/** A stream that is read to its end, whatever comes. */
class WatchedStream implements StreamHandler {
  readonly stream: EngineStream;
  readonly outcome: Promise<Outcome>;
  readonly #outcome: Deferred<Outcome> = deferred();

  constructor(stream: EngineStream) {
    this.stream = stream;
    this.outcome = this.#outcome.promise;
    stream.handler = this;
    if (stream.direction === "bidirectional" || stream.initiator === "peer") {
      this.readable();
    }
  }

  /** Faults are small: windows take them whole. */
  write(bytes: Uint8Array): void {
    if (this.stream.write(bytes) < bytes.length) {
      throw new Error("a fault was larger than the window");
    }
  }

  readable(): void {
    while (this.stream.read() !== undefined) {
      // Of no interest.
    }
    if (this.stream.receiveState === "reset") {
      this.#outcome.resolve({ type: "stream", code: this.stream.resetCode ?? -1n });
    } else if (this.stream.receiveState === "finished" && this.stream.initiator === "local") {
      this.#outcome.resolve({ type: "answered" });
    }
  }

  writable(): void {}

  stopped(code: bigint): void {
    this.#outcome.resolve({ type: "stream", code });
  }

  acknowledged(): void {}

  connectionClosed(): void {}
}
