// A TCP proxy on loopback that keeps all that goes through it, as somebody on the way would.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** What one side of a connection has sent. */
class Recording {
  readonly #chunks: Buffer[] = [];

  add(chunk: Buffer): void {
    this.#chunks.push(Buffer.from(chunk));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }
}

export class RecordingProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #recordings: Recording[] = [];

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(target: {
    readonly host: string;
    readonly port: number;
  }): Promise<RecordingProxy> {
    const server = createServer();
    const proxy = new RecordingProxy(server);
    server.on("connection", (near) => {
      const far = connect(target);
      proxy.#join(near, far);
      proxy.#join(far, near);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** Each direction of each connection: the bytes on the wire. */
  get streams(): Buffer[] {
    return this.#recordings.map(({ bytes }) => bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(from: Socket, to: Socket): void {
    const recording = new Recording();
    this.#recordings.push(recording);
    this.#sockets.add(from);
    from.on("data", (chunk) => {
      recording.add(chunk);
      to.write(chunk);
    });
    from.on("error", () => {});
    from.on("close", () => {
      this.#sockets.delete(from);
      to.destroy();
    });
  }
}

/**
 * The messages of one direction of a WebSocket (RFC 6455 §5.2), without the masks that clients put over them. What comes
 * before, the HTTP header, is left out; a frame that is cut at the end too.
 */
export function webSocketMessages(stream: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  const header = stream.indexOf("\r\n\r\n");
  for (let at = header + 4; header >= 0 && at + 2 <= stream.length; ) {
    const second = stream.readUInt8(at + 1);
    const short = second & 0x7f;
    const [length, extra] =
      short < 126
        ? [short, 0]
        : short === 126
          ? [stream.readUInt16BE(at + 2), 2]
          : [Number(stream.readBigUInt64BE(at + 2)), 8];
    const maskLength = (second & 0x80) === 0 ? 0 : 4;
    const start = at + 2 + extra + maskLength;
    if (start + length > stream.length) {
      break;
    }
    const payload = Buffer.from(stream.subarray(start, start + length));
    const mask = stream.subarray(start - maskLength, start);
    if (maskLength > 0) {
      for (let index = 0; index < length; index += 1) {
        payload[index] = (payload[index] ?? 0) ^ (mask[index & 3] ?? 0);
      }
    }
    messages.push(payload);
    at = start + length;
  }
  return messages;
}
