import {
  type CloseCause,
  type ConnectedInfo,
  type ConnectionHandler,
  type EngineConnection,
  EngineError,
  type EngineStream,
  type StreamDirection,
  type StreamHandler,
} from "../../src/engine/engine.ts";

/** What a peer does with a stream. It may replace the methods of the recorded stream. */
export type StreamBehaviour = (stream: RecordedStream) => void;

/** Reads what comes, and remembers all that happens. */
export class RecordedStream implements StreamHandler {
  readonly stream: EngineStream;
  readonly chunks: Uint8Array[] = [];
  receivedBytes = 0;
  /** False: data stays where it is until `drain` is called. */
  reads = true;
  /** False: data is counted and thrown away. */
  keeps = true;
  writableCalls = 0;
  stoppedWith: bigint | undefined;
  isAcknowledged = false;
  closedWith: CloseCause | undefined;
  onWritable: () => void = () => {};
  onEnd: () => void = () => {};
  #isEnded = false;

  constructor(stream: EngineStream) {
    this.stream = stream;
    stream.handler = this;
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  /** The receiving half is over. */
  get isEnded(): boolean {
    return this.stream.receiveState !== "open";
  }

  /** Reads up to `maxBytes` in all; tells how much that was. */
  drain(maxBytes: number = Number.POSITIVE_INFINITY): number {
    let total = 0;
    while (total < maxBytes) {
      const chunk = this.stream.read(Math.min(maxBytes - total, 65_536));
      if (chunk === undefined) {
        break;
      }
      total += chunk.length;
      this.receivedBytes += chunk.length;
      if (this.keeps) {
        this.chunks.push(chunk);
      }
    }
    if (this.isEnded && !this.#isEnded) {
      this.#isEnded = true;
      this.onEnd();
    }
    return total;
  }

  readable(): void {
    if (this.reads) {
      this.drain();
    }
  }

  writable(): void {
    this.writableCalls += 1;
    this.onWritable();
  }

  stopped(code: bigint): void {
    this.stoppedWith = code;
  }

  acknowledged(): void {
    this.isAcknowledged = true;
  }

  connectionClosed(cause: CloseCause): void {
    this.closedWith = cause;
  }
}

/** Remembers all that happens to a connection, and checks that calls come in the promised order. */
export class RecordedConnection implements ConnectionHandler {
  connection: EngineConnection;
  info: ConnectedInfo | undefined;
  cause: CloseCause | undefined;
  readonly streams: RecordedStream[] = [];
  readonly datagrams: Uint8Array[] = [];
  readonly available: StreamDirection[] = [];
  datagramsWritableCalls = 0;
  pathsChangedCalls = 0;
  candidatesChanges = 0;
  onConnected: () => void = () => {};
  onAvailable: () => void = () => {};
  behaviour: StreamBehaviour;

  constructor(connection: EngineConnection, behaviour: StreamBehaviour) {
    this.connection = connection;
    this.behaviour = behaviour;
  }

  /** Opens a stream; throws when the peer allows none. */
  open(direction: StreamDirection = "bidirectional"): RecordedStream {
    const stream = this.connection.openStream(direction);
    if (stream === undefined) {
      throw new Error("cannot open a stream: the peer allows no more");
    }
    return new RecordedStream(stream);
  }

  /** Sends `text` on a new stream, and nothing after it. */
  send(text: string, direction: StreamDirection = "bidirectional"): RecordedStream {
    const recorded = this.open(direction);
    recorded.stream.write(Buffer.from(text), true);
    return recorded;
  }

  connected(info: ConnectedInfo): void {
    this.#expectAlive("connected");
    if (this.info !== undefined) {
      throw new Error("connected was called twice");
    }
    this.info = info;
    this.onConnected();
  }

  streamOpened(stream: EngineStream): void {
    this.#expectConnected("streamOpened");
    const recorded = new RecordedStream(stream);
    this.streams.push(recorded);
    this.behaviour(recorded);
  }

  streamsAvailable(direction: StreamDirection): void {
    this.#expectConnected("streamsAvailable");
    this.available.push(direction);
    this.onAvailable();
  }

  datagram(bytes: Uint8Array): void {
    this.#expectConnected("datagram");
    this.datagrams.push(bytes);
  }

  datagramsWritable(): void {
    this.#expectConnected("datagramsWritable");
    this.datagramsWritableCalls += 1;
  }

  candidatesChanged(): void {
    this.candidatesChanges += 1;
  }

  pathsChanged(): void {
    this.#expectConnected("pathsChanged");
    this.pathsChangedCalls += 1;
  }

  closed(cause: CloseCause): void {
    this.#expectAlive("closed");
    this.cause = cause;
  }

  #expectConnected(call: string): void {
    this.#expectAlive(call);
    if (this.info === undefined) {
      throw new Error(`${call} came before connected`);
    }
  }

  #expectAlive(call: string): void {
    if (this.cause !== undefined) {
      throw new Error(`${call} came after closed`);
    }
  }
}

/** Sends back what came, once all of it came. */
export const echo: StreamBehaviour = (recorded) => {
  recorded.onEnd = () => {
    if (recorded.stream.direction === "bidirectional") {
      writeAll(recorded, Buffer.concat(recorded.chunks));
    }
  };
};

/** Lets nothing happen but what `RecordedStream` does by itself. */
export const readOnly: StreamBehaviour = () => {};

/** Leaves all data where it is. */
export const ignore: StreamBehaviour = (recorded) => {
  recorded.reads = false;
};

/** Writes as fast as the stream takes it, and finishes. Gives up when the peer stops the stream. */
export function writeAll(recorded: RecordedStream, bytes: Uint8Array): void {
  let rest = bytes;
  const go = (): void => {
    try {
      rest = rest.subarray(recorded.stream.write(rest, true));
    } catch (error) {
      if (error instanceof EngineError && error.code === "stream-ended") {
        return;
      }
      throw error;
    }
    if (rest.length > 0) {
      recorded.onWritable = go;
    }
  };
  go();
}
