// Our QUIC engine alone, a stream in place of each call: the limit of what can be built on it.

import { nodePlatform } from "../../src/base/node-platform.ts";
import { formatSocketAddress, parseSocketAddress } from "../../src/base/socket-address.ts";
import { BoundEngine, type BoundEngineHandler } from "../../src/endpoint/bound-engine.ts";
import type {
  ConnectionHandler,
  EngineConnection,
  EngineStream,
  StreamHandler,
} from "../../src/engine/engine.ts";
import { testCredentials } from "../../test/support/test-credentials.ts";
import { type Caller, type Conditions, type Contestant, expectBytes } from "../contestant.ts";
import { transportOptions } from "./connect-quic.ts";
import { EngineWriter } from "./engine-writer.ts";
import { encodeTotal, encodeWish, parseTotal, parseWish, type Wish } from "./stream-service.ts";

const alpn = "bench/1";
const serverKey = testCredentials(1);
const clientKey = testCredentials(2);

const ignoreStream: StreamHandler = {
  readable: () => {},
  writable: () => {},
  stopped: () => {},
  acknowledged: () => {},
  connectionClosed: () => {},
};

const ignoreConnection: ConnectionHandler = {
  connected: () => {},
  streamOpened: () => {},
  streamsAvailable: () => {},
  datagram: () => {},
  datagramsWritable: () => {},
  pathsChanged: () => {},
  closed: () => {},
};

export const bareEngine: Contestant = {
  title: "connect-quic's engine, bare streams",
  carries: "bytes",
  async serve(conditions) {
    const bound = await bind(serverKey, conditions, (connection) => {
      connection.handler = { ...ignoreConnection, streamOpened: serveStream };
    });
    bound.hold.take();
    const [address] = bound.localAddresses;
    if (address === undefined) {
      throw new Error("not bound");
    }
    return { address: formatSocketAddress(address), close: () => bound.destroy() };
  },
  async open(address, conditions) {
    const bound = await bind(clientKey, conditions, () => {});
    bound.hold.take();
    const remote = parseSocketAddress(address);
    return {
      connect: () =>
        new Promise((resolve, reject) => {
          const { connection, over } = bound.dial([remote], {
            expected: { type: "raw-key", publicKey: serverKey.publicKey },
            alpns: [alpn],
            handler: {
              ...ignoreConnection,
              connected: () => {
                over();
                resolve(engineCaller(connection));
              },
              closed: (cause) => reject(new Error(`the connection ended: ${cause.type}`)),
            },
          });
        }),
      close: () => bound.destroy(),
    };
  },
};

function bind(
  credentials: typeof serverKey,
  conditions: Conditions,
  incoming: BoundEngineHandler["incoming"],
): Promise<BoundEngine> {
  const fail = (error: unknown): never => {
    throw error;
  };
  return BoundEngine.bind(
    {
      credentials,
      alpns: [alpn],
      bind: "127.0.0.1:0",
      transport: transportOptions(conditions),
      platform: nodePlatform,
    },
    { incoming, failed: fail, handlerError: fail },
  );
}

/** Does what the first bytes of a stream ask for. */
function serveStream(stream: EngineStream): void {
  const out = new EngineWriter(stream);
  let wish: Wish | undefined;
  let total = 0;
  stream.handler = {
    ...ignoreStream,
    writable: () => out.resume(),
    readable: () => {
      for (let bytes = stream.read(); bytes !== undefined; bytes = stream.read()) {
        if (wish === undefined) {
          // As short as the beginning is, it comes whole.
          const found = parseWish(bytes);
          wish = found?.wish;
          bytes = found?.rest ?? bytes;
        }
        total += bytes.length;
        if (wish?.type === "echo" && bytes.length > 0) {
          out.push(bytes);
        }
      }
      if (stream.receiveState !== "finished") {
        out.resume();
      } else if (wish?.type === "download") {
        out.repeat(wish.count, new Uint8Array(wish.size));
      } else if (wish?.type === "upload") {
        out.push(encodeTotal(total));
        out.end();
      } else {
        out.end();
      }
    },
  };
}

function engineCaller(connection: EngineConnection): Caller {
  /** Resolves with what came back. `feed` writes what follows the wish. */
  const play = (
    wish: Wish,
    feed: (out: EngineWriter) => void,
    onBytes: (bytes: Uint8Array) => void,
  ): Promise<void> =>
    new Promise((resolve, reject) => {
      const stream = connection.openStream("bidirectional");
      if (stream === undefined) {
        throw new Error("no more streams");
      }
      const out = new EngineWriter(stream);
      stream.handler = {
        ...ignoreStream,
        writable: () => out.resume(),
        connectionClosed: () => reject(new Error("the connection was closed")),
        readable: () => {
          for (let bytes = stream.read(); bytes !== undefined; bytes = stream.read()) {
            onBytes(bytes);
          }
          if (stream.receiveState === "finished") {
            resolve();
          }
        },
      };
      out.push(encodeWish(wish));
      feed(out);
    });
  const count = async (wish: Wish, expected: number, feed: (out: EngineWriter) => void) => {
    let total = 0;
    await play(wish, feed, (bytes) => {
      total += bytes.length;
    });
    expectBytes(total, expected);
  };
  return {
    echo: (payload) =>
      count({ type: "echo" }, payload.length, (out) => {
        out.push(payload);
        out.end();
      }),
    download: (messages, size) =>
      count({ type: "download", count: messages, size }, messages * size, (out) => out.end()),
    async upload(messages, payload) {
      const answer: Uint8Array[] = [];
      await play(
        { type: "upload" },
        (out) => out.repeat(messages, payload),
        (bytes) => answer.push(bytes),
      );
      expectBytes(parseTotal(Buffer.concat(answer)), messages * payload.length);
    },
    chat: (messages, payload) =>
      count({ type: "echo" }, messages * payload.length, (out) => out.repeat(messages, payload)),
    hold: (payload) =>
      new Promise((resolve, reject) => {
        let left = payload.length;
        play(
          { type: "echo" },
          (out) => {
            out.push(payload);
            out.resume();
          },
          (bytes) => {
            left -= bytes.length;
            if (left === 0) {
              resolve();
            }
          },
        ).catch(reject);
      }),
    close: async () => connection.close(0n, ""),
  };
}
