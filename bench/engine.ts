// The QUIC engine alone, without HTTP/3 above it: two processes over UDP on loopback.
//
//   node --import tsx bench/engine.ts [pattern]     only cases whose name matches

import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { nodePlatform } from "../src/base/node-platform.ts";
import type { SocketAddress } from "../src/base/socket-address.ts";
import type {
  ConnectionHandler,
  EndpointHandler,
  EngineConnection,
  EngineEndpoint,
  EngineStream,
  StreamHandler,
  TransportOptions,
} from "../src/engine/engine.ts";
import { noq } from "../src/engine/noq/noq.ts";
import { bindUdp } from "../src/net/udp-socket.ts";
import { testCredentials } from "../test/support/test-credentials.ts";
import { quantile } from "./cases.ts";

const alpn = "bench/1";
const small = new Uint8Array(100);
const chunk = new Uint8Array(65_536);
const bulkBytes = 200_000_000;
const echoMs = 2_000;

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

interface Peer {
  readonly endpoint: EngineEndpoint;
  readonly address: SocketAddress;
}

async function openPeer(number: number, handler: EndpointHandler): Promise<Peer> {
  const holder: { endpoint?: EngineEndpoint } = {};
  const socket = await bindUdp([{ family: 4, host: "127.0.0.1", port: 0 }], {
    datagram: (from, bytes) => holder.endpoint?.receive(from, bytes),
    failed: (error) => {
      throw error;
    },
  });
  socket.setRef(true);
  const endpoint = noq.createEndpoint({
    credentials: testCredentials(number),
    alpns: [alpn],
    transport: { maxMtu: 60_000, streamReceiveWindow: 8_000_000, idleTimeoutMs: 600_000 },
    platform: nodePlatform,
    transmit: (to, bytes, segmentSize) => socket.send(to, bytes, segmentSize),
    handlerError: (error) => {
      throw error;
    },
    handler,
  });
  holder.endpoint = endpoint;
  const [address] = socket.localAddresses;
  if (address === undefined) {
    throw new Error("not bound");
  }
  return { endpoint, address };
}

/** Sends back what came on bidirectional streams; counts what comes on the others, and sends the number. */
async function serve(): Promise<void> {
  const { address } = await openPeer(1, {
    incoming: (connection) => {
      connection.handler = { ...ignoreConnection, streamOpened: answer };
    },
    failed: (error) => {
      throw error;
    },
  });
  process.send?.(address);
}

function answer(stream: EngineStream): void {
  const isEcho = stream.direction === "bidirectional";
  let rest: Uint8Array[] = [];
  stream.handler = {
    ...ignoreStream,
    readable: () => {
      for (let bytes = stream.read(); bytes !== undefined; bytes = stream.read()) {
        rest.push(bytes);
        if (!isEcho) {
          rest = [];
        }
      }
      if (stream.receiveState === "finished" && isEcho) {
        const [first] = rest;
        stream.write(rest.length === 1 && first !== undefined ? first : Buffer.concat(rest), true);
      }
    },
  };
}

class Bench {
  readonly #client: Peer;
  readonly #server: SocketAddress;

  constructor(client: Peer, server: SocketAddress) {
    this.#client = client;
    this.#server = server;
  }

  connect(transport: Partial<TransportOptions> = {}): Promise<EngineConnection> {
    return new Promise((resolve, reject) => {
      const connection = this.#client.endpoint.connect({
        remote: this.#server,
        expected: { type: "raw-key", publicKey: testCredentials(1).publicKey },
        alpns: [alpn],
        transport,
        handler: {
          ...ignoreConnection,
          connected: () => resolve(connection),
          closed: (cause) => reject(new Error(cause.type)),
        },
      });
    });
  }

  async handshakes(): Promise<string> {
    const times: number[] = [];
    for (let index = 0; index < 100; index += 1) {
      const start = performance.now();
      const connection = await this.connect();
      times.push(performance.now() - start);
      connection.close(0n, "");
    }
    times.sort((a, b) => a - b);
    return `median ${quantile(times, 0.5).toFixed(2)} ms, p99 ${quantile(times, 0.99).toFixed(2)} ms`;
  }

  async echoes(concurrency: number): Promise<string> {
    const connection = await this.connect();
    const times: number[] = [];
    for (const durationMs of [echoMs / 4, echoMs]) {
      times.length = 0;
      const start = performance.now();
      const callInARow = async (): Promise<void> => {
        for (let before = performance.now(); before < start + durationMs; ) {
          await echo(connection);
          const after = performance.now();
          times.push(after - before);
          before = after;
        }
      };
      await Promise.all(Array.from({ length: concurrency }, callInARow));
    }
    connection.close(0n, "");
    times.sort((a, b) => a - b);
    const [median, p99] = [0.5, 0.99].map((part) => (quantile(times, part) * 1_000).toFixed(0));
    return `${((times.length * 1_000) / echoMs).toFixed(0)} calls/s, median ${median} us, p99 ${p99} us`;
  }

  /** What connections cost on which nothing is going on. */
  async echoesBesideIdle(count: number): Promise<string> {
    const transport = { keepAliveIntervalMs: 0, idleTimeoutMs: 600_000 };
    const idle: EngineConnection[] = [];
    while (idle.length < count) {
      idle.push(await this.connect(transport));
    }
    const result = await this.echoes(1);
    for (const connection of idle) {
      connection.close(0n, "");
    }
    return result;
  }

  async bulk(mtu: number): Promise<string> {
    // The core finds its way from here; see the note on initialMtu in TransportOptions.
    const initialMtu = Math.min(mtu, 16_000);
    const connection = await this.connect({ initialMtu, maxMtu: mtu, sendWindow: 64_000_000 });
    const start = performance.now();
    await send(connection, bulkBytes);
    const seconds = (performance.now() - start) / 1_000;
    const { mtu: found, packetsLost } = connection.stats();
    connection.close(0n, "");
    return `${(bulkBytes / 1e6 / seconds).toFixed(0)} MB/s (mtu ${found}, ${packetsLost} packets lost)`;
  }
}

function echo(connection: EngineConnection): Promise<void> {
  return new Promise((resolve) => {
    const stream = connection.openStream("bidirectional");
    if (stream === undefined) {
      throw new Error("no stream");
    }
    stream.handler = {
      ...ignoreStream,
      readable: () => {
        while (stream.read() !== undefined) {}
        if (stream.receiveState === "finished") {
          resolve();
        }
      },
    };
    stream.write(small, true);
  });
}

function send(connection: EngineConnection, bytes: number): Promise<void> {
  return new Promise((resolve) => {
    const stream = connection.openStream("unidirectional");
    let left = bytes;
    const go = (): void => {
      while (left > 0 && stream !== undefined) {
        const piece = chunk.subarray(0, Math.min(left, chunk.length));
        const taken = stream.write(piece);
        left -= taken;
        if (taken < piece.length) {
          return;
        }
      }
      stream?.finish();
    };
    if (stream !== undefined) {
      stream.handler = { ...ignoreStream, writable: go, acknowledged: resolve };
    }
    go();
  });
}

async function main(pattern: RegExp): Promise<void> {
  const child = fork(fileURLToPath(import.meta.url), ["serve"]);
  const server = await firstMessage(child);
  const client = await openPeer(2, { incoming: () => {}, failed: () => {} });
  const bench = new Bench(client, server);
  const cases: Record<string, () => Promise<string>> = {
    handshake: () => bench.handshakes(),
    "echo of 100 B, one at a time": () => bench.echoes(1),
    "echo of 100 B, 32 at a time": () => bench.echoes(32),
    "echo, 2000 idle connections": () => bench.echoesBesideIdle(2_000),
    "bulk, datagrams of 1350 B": () => bench.bulk(1_350),
    "bulk, datagrams of 9000 B": () => bench.bulk(9_000),
    "bulk, datagrams of 60000 B": () => bench.bulk(60_000),
  };
  for (const [name, run] of Object.entries(cases)) {
    if (pattern.test(name)) {
      console.log(`${name.padEnd(30)} ${await run()}`);
    }
  }
  console.log(
    `node ${process.version}, core memory ${client.endpoint.stats().memoryBytes >> 20} MiB`,
  );
  child.kill();
  process.exit(0);
}

function firstMessage(child: ChildProcess): Promise<SocketAddress> {
  return new Promise((resolve) =>
    child.once("message", (message) => resolve(message as SocketAddress)),
  );
}

await (process.argv[2] === "serve" ? serve() : main(new RegExp(process.argv[2] ?? "")));
