import { Duplex } from "node:stream";
import type { CloseCause, EngineStream } from "../engine/engine.ts";
import { connectionLost } from "../http3/connection-lost.ts";
import { isOver } from "../http3/engine-stream-port.ts";
import { H3, H3Error } from "../http3/h3-error.ts";

/** How a QUIC stream ended that should have lived as long as what runs on it. */
export type StreamFault =
  | { readonly type: "connection"; readonly cause: CloseCause }
  /** The peer gave it up, or reads no further, with this code. */
  | { readonly type: "stream"; readonly code: bigint };

type Done = (error?: Error | null) => void;

/**
 * A bidirectional QUIC stream as Node's streams have it. What is not read stays with the connection and stops the peer;
 * a write is done when the connection has taken it. Destroying it gives up both halves.
 */
export class StreamDuplex extends Duplex {
  readonly #stream: EngineStream;
  #fault: StreamFault | undefined;
  /** Node waits for bytes. */
  #wanted = false;
  #unwritten: { rest: readonly Uint8Array[]; readonly done: Done } | undefined;

  constructor(stream: EngineStream) {
    super({ readableHighWaterMark: highWaterMark, writableHighWaterMark: highWaterMark });
    this.#stream = stream;
    stream.handler = {
      readable: () => this.#fill(),
      resetUnread: (code) => this.#failed({ type: "stream", code }),
      writable: () => this.#flush(),
      stopped: (code) => this.#failed({ type: "stream", code }),
      acknowledged: () => {},
      connectionClosed: (cause) => {
        // What had arrived counts, and the engine forgets it after this call.
        this.#wanted = true;
        this.#fill({ atOnce: true });
        this.#failed({ type: "connection", cause });
      },
    };
  }

  /** What ended it, if that was not this side. */
  get fault(): StreamFault | undefined {
    return this.#fault;
  }

  override _read(): void {
    this.#wanted = true;
    this.#fill();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: Done): void {
    this.#unwritten = { rest: [chunk], done };
    this.#flush();
  }

  override _writev(chunks: readonly { readonly chunk: Uint8Array }[], done: Done): void {
    this.#unwritten = { rest: chunks.map(({ chunk }) => chunk), done };
    this.#flush();
  }

  override _final(done: Done): void {
    this.#stream.finish();
    done();
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#unwritten = undefined;
    this.#stream.reset(givenUp);
    this.#stream.stop(givenUp);
    done(error);
  }

  #fill({ atOnce }: { readonly atOnce: boolean } = { atOnce: false }): void {
    const stream = this.#stream;
    while (this.#wanted && !this.destroyed && !this.readableEnded) {
      const bytes = stream.read();
      if (bytes === undefined) {
        break;
      }
      this.#wanted = this.push(bytes) || atOnce;
    }
    if (!this.#wanted || this.destroyed) {
      return;
    }
    if (stream.receiveState === "finished") {
      this.#wanted = false;
      this.push(null);
    } else if (stream.receiveState === "reset") {
      this.#failed({ type: "stream", code: stream.resetCode ?? 0n });
    }
  }

  #flush(): void {
    const unwritten = this.#unwritten;
    if (unwritten === undefined) {
      return;
    }
    let rest = unwritten.rest;
    try {
      for (let [first] = rest; first !== undefined; [first] = rest) {
        const taken = this.#stream.write(first);
        if (taken < first.length) {
          unwritten.rest = [first.subarray(taken), ...rest.slice(1)];
          return;
        }
        rest = rest.slice(1);
      }
    } catch (error) {
      if (!isOver(error)) {
        throw error;
      }
      // An event tells of it, or will tell.
    }
    this.#unwritten = undefined;
    unwritten.done();
  }

  #failed(fault: StreamFault): void {
    this.#fault ??= fault;
    // Not with an error: whoever owns it asks for the fault.
    this.destroy();
  }
}

/** The code that iroh's streams are dropped with. */
const givenUp = 0n;

/** Bytes that wait on each side of it outside of the connection. */
const highWaterMark = 65_536;

/**
 * Why all requests of a session end, if they do: the connection did, or HTTP/2 on its stream. `cause` is that of the
 * connection, `givenUp` says who gave up which stream.
 */
export function sessionEnd(
  session: { readonly destroyed: boolean },
  { fault }: StreamDuplex,
  cause: CloseCause | undefined,
  givenUp: string,
): H3Error | undefined {
  if (fault?.type === "stream") {
    return http2Ended(`${givenUp} with code 0x${fault.code.toString(16)}`);
  }
  const lost = cause ?? fault?.cause;
  if (lost !== undefined) {
    return connectionLost(lost, undefined, false);
  }
  return session.destroyed ? http2Ended("HTTP/2 has ended") : undefined;
}

/** HTTP/2 on a stream is over, though the connection may live. */
function http2Ended(message: string): H3Error {
  return new H3Error(H3.INTERNAL_ERROR, message, { scope: "connection", origin: "peer" });
}
