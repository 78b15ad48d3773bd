import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface, type Interface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { nodePlatform } from "../../../src/base/node-platform.ts";
import { socketAddress } from "../../../src/base/socket-address.ts";
import type { CloseCause, EngineEndpoint } from "../../../src/engine/engine.ts";
import { noq } from "../../../src/engine/noq/noq.ts";
import { bindUdp } from "../../../src/net/udp-socket.ts";
import { PythonEnvironment } from "../../support/python-environment.ts";
import { RecordedConnection, readOnly } from "../../support/recorded-connection.ts";
import { testCredentials } from "../../support/test-credentials.ts";

const python = new PythonEnvironment("aioquic", "aioquic>=1.2,<2");
const problem = python.prepare();
const program = fileURLToPath(new URL("peer.py", import.meta.url));

describe("a peer with a raw key", { skip: problem ?? false }, () => {
  it("refuses a dialer that has no key at all", async () => {
    await using listener = await listen();
    await using dialer = new PythonPeer(["dial", `${listener.port}`, "bare"]);
    assertRefused(await dialer.lines());
    assert.deepEqual(listener.connected(), []);
  });

  it("refuses a dialer that has a certificate", async () => {
    await using listener = await listen();
    await using dialer = new PythonPeer(["dial", `${listener.port}`]);
    assertRefused(await dialer.lines());
    assert.deepEqual(listener.connected(), []);
  });

  it("refuses a listener that shows a certificate, before it sends anything of a request", async () => {
    await using listener = new PythonPeer(["serve"]);
    const { port } = JSON.parse(await listener.line()) as { port: number };
    await using dialer = await listen();
    const cause = await dialer.dial(port);
    assert(cause.type === "transport" && cause.origin === "local", JSON.stringify(cause.type));
    assert(cause.code >= 0x100n && cause.code < 0x200n, `${cause.code}`);
  });
});

/** aioquic's view: a TLS alert, and no handshake that was ever complete. */
function assertRefused(lines: readonly { event: string; code?: number }[]): void {
  const events = lines.map(({ event }) => event);
  assert(!events.includes("connected") && !events.includes("served"), events.join());
  const code = lines.find(({ event }) => event === "closed")?.code ?? 0;
  assert(code >= 0x100 && code < 0x200, `${code}`);
}

/** An endpoint of ours on loopback. */
async function listen() {
  const holder: { endpoint?: EngineEndpoint } = {};
  const socket = await bindUdp([socketAddress("127.0.0.1", 0)], {
    datagram: (from, bytes) => holder.endpoint?.receive(from, bytes),
    failed: () => {},
  });
  socket.setRef(true);
  const incoming: RecordedConnection[] = [];
  const endpoint = noq.createEndpoint({
    credentials: testCredentials(1),
    alpns: ["test/1"],
    platform: nodePlatform,
    transmit: (to, bytes, segmentSize) => socket.send(to, bytes, segmentSize),
    handler: {
      incoming: (connection) => {
        const recorded = new RecordedConnection(connection, readOnly);
        connection.handler = recorded;
        incoming.push(recorded);
      },
      failed: () => {},
    },
  });
  holder.endpoint = endpoint;
  return {
    port: socket.localAddresses[0]?.port,
    connected: () => incoming.filter(({ info }) => info !== undefined),
    dial: (port: number): Promise<CloseCause> =>
      new Promise((resolve) => {
        endpoint.connect({
          remote: socketAddress("127.0.0.1", port),
          expected: { type: "raw-key", publicKey: testCredentials(2).publicKey },
          alpns: ["test/1"],
          handler: {
            connected: () => assert.fail("connected to a peer without a key"),
            streamOpened: () => {},
            streamsAvailable: () => {},
            datagram: () => {},
            datagramsWritable: () => {},
            pathsChanged: () => {},
            closed: resolve,
          },
        });
      }),
    async [Symbol.asyncDispose](): Promise<void> {
      endpoint.destroy();
      await socket.close();
    },
  };
}

class PythonPeer {
  readonly #process: ChildProcess;
  readonly #output: Interface;

  constructor(args: readonly string[]) {
    const child = spawn(python.interpreter, [program, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#process = child;
    this.#output = createInterface(child.stdout);
  }

  line(): Promise<string> {
    return new Promise((resolve) => this.#output.once("line", resolve));
  }

  /** All that it says until it ends. */
  async lines(): Promise<{ event: string; code?: number }[]> {
    const lines: { event: string; code?: number }[] = [];
    for await (const line of this.#output) {
      lines.push(JSON.parse(line));
    }
    return lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      const ended = new Promise((resolve) => this.#process.once("exit", resolve));
      this.#process.kill();
      await ended;
    }
  }
}
