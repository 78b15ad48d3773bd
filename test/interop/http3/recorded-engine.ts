// An engine that remembers what QPACK says on each connection, in both directions, as it goes over the wire.

import type {
  ConnectionHandler,
  Engine,
  EngineConnection,
  EngineStream,
} from "../../../src/engine/engine.ts";
import { PrimitiveReader } from "../../../src/http3/qpack/primitive-reader.ts";
import { Qpack } from "../../../src/http3/qpack/qpack-error.ts";

type Direction = "sent" | "received";

/** What was said in one direction. */
export interface QpackUse {
  /** Entries put into the other side's dynamic table (RFC 9204 §4.3). */
  readonly inserts: number;
  /** Messages whose header section refers to the dynamic table: its Required Insert Count is not 0 (RFC 9204 §4.5.1). */
  readonly references: number;
  /** Length of the encoder stream, its type included. */
  readonly encoderStreamBytes: number;
}

export class RecordedEngine implements Engine {
  readonly name: string;
  readonly connections: RecordedWire[] = [];
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.name = `${engine.name}, recorded`;
    this.#engine = engine;
  }

  createEndpoint(
    options: Parameters<Engine["createEndpoint"]>[0],
  ): ReturnType<Engine["createEndpoint"]> {
    const { handler } = options;
    const endpoint = this.#engine.createEndpoint({
      ...options,
      handler: {
        incoming: (connection) => handler.incoming(this.#record(connection)),
        failed: (error) => handler.failed(error),
      },
    });
    return withMethods(endpoint, {
      connect: (dial) => {
        const wire = new RecordedWire();
        this.connections.push(wire);
        return wire.connection(endpoint.connect({ ...dial, handler: wire.handler(dial.handler) }));
      },
    });
  }

  #record(connection: EngineConnection): EngineConnection {
    const wire = new RecordedWire();
    this.connections.push(wire);
    return wire.connection(connection);
  }
}

/** The streams of a connection, as far as QPACK concerns them. */
export class RecordedWire {
  readonly #streams: {
    readonly sent: Uint8Array[];
    readonly received: Uint8Array[];
    readonly stream: EngineStream;
  }[] = [];

  use(direction: Direction): QpackUse {
    const initiator = direction === "sent" ? "local" : "peer";
    let inserts = 0;
    let references = 0;
    let encoderStreamBytes = 0;
    for (const { stream, ...bytes } of this.#streams) {
      const content = Buffer.concat(bytes[direction]);
      if (stream.direction === "bidirectional") {
        references += refersToTable(content) ? 1 : 0;
      } else if (stream.initiator === initiator && content[0] === 0x02) {
        inserts += countInserts(content.subarray(1));
        encoderStreamBytes += content.length;
      }
    }
    return { inserts, references, encoderStreamBytes };
  }

  connection(connection: EngineConnection): EngineConnection {
    return new Proxy(
      withMethods(connection, {
        openStream: (direction) => {
          const stream = connection.openStream(direction);
          return stream === undefined ? undefined : this.#tap(stream);
        },
      }),
      {
        set: (_, key, value) =>
          Reflect.set(connection, key, key === "handler" ? this.handler(value) : value),
      },
    );
  }

  handler(handler: ConnectionHandler): ConnectionHandler {
    return withMethods(handler, {
      streamOpened: (stream) => handler.streamOpened(this.#tap(stream)),
    });
  }

  #tap(stream: EngineStream): EngineStream {
    const sent = new Head(stream);
    const received = new Head(stream);
    this.#streams.push({ sent: sent.parts, received: received.parts, stream });
    const read = stream.read.bind(stream);
    const write = stream.write.bind(stream);
    stream.read = (maxBytes) => {
      const bytes = read(maxBytes);
      received.add(bytes ?? new Uint8Array(0));
      return bytes;
    };
    stream.write = (bytes, fin) => {
      const taken = write(bytes, fin);
      sent.add(bytes.subarray(0, taken));
      return taken;
    };
    return stream;
  }
}

/** What a stream began with; of one that goes one way, all. */
class Head {
  readonly parts: Uint8Array[] = [];
  #room: number;

  constructor({ direction }: EngineStream) {
    this.#room = direction === "bidirectional" ? 64 : Number.POSITIVE_INFINITY;
  }

  add(bytes: Uint8Array): void {
    const kept = bytes.slice(0, Math.min(bytes.length, this.#room));
    if (kept.length > 0) {
      this.#room -= kept.length;
      this.parts.push(kept);
    }
  }
}

/** Whether a message begins with a HEADERS frame whose section starts with another count than 0. */
function refersToTable(message: Buffer): boolean {
  const lengthBytes = 1 << ((message[1] ?? 0) >> 6);
  return message[0] === 0x01 && (message[1 + lengthBytes] ?? 0) !== 0;
}

function countInserts(instructions: Uint8Array): number {
  const reader = new PrimitiveReader(instructions, Qpack.ENCODER_STREAM_ERROR);
  let inserts = 0;
  while (reader.remaining > 0) {
    const first = reader.peekU8();
    if (first >= 0x80) {
      reader.prefixedInteger(6);
      reader.stringLiteral(7, Number.POSITIVE_INFINITY);
      inserts += 1;
    } else if (first >= 0x40) {
      reader.stringLiteral(5, Number.POSITIVE_INFINITY);
      reader.stringLiteral(7, Number.POSITIVE_INFINITY);
      inserts += 1;
    } else if (first >= 0x20) {
      reader.prefixedInteger(5);
    } else {
      reader.prefixedInteger(5);
      inserts += 1;
    }
  }
  return inserts;
}

/** `target` with some of its methods replaced. */
function withMethods<T extends object>(target: T, methods: Partial<T>): T {
  return new Proxy(target, {
    get: (_, key) => {
      const value: unknown = Reflect.get(methods, key) ?? Reflect.get(target, key);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
