import assert from "node:assert/strict";
import type { SocketAddress } from "../../src/base/socket-address.ts";
import type {
  ConnectionHandler,
  EngineConnectOptions,
  EngineEndpoint,
  EngineError,
  EngineOptions,
  RawKeyCredentials,
  WebCredentials,
} from "../../src/engine/engine.ts";
import { noq } from "../../src/engine/noq/noq.ts";
import {
  VirtualNetwork,
  type VirtualNetworkOptions,
  type VirtualSocket,
} from "../../src/testing/virtual-network.ts";
import { echo, RecordedConnection, type StreamBehaviour } from "./recorded-connection.ts";
import { testCredentials } from "./test-credentials.ts";

export const testAlpn = "test/1";
export const testServerName = "server.test";

/** What a test may say of an endpoint. */
export interface PeerOptions
  extends Partial<Omit<EngineOptions, "credentials" | "platform" | "handler">> {
  /** Decides the key, and the address where nothing else is said. */
  readonly number: number;
  readonly address?: SocketAddress;
  readonly credentials?: RawKeyCredentials;
  /** Instead of a key. Who dials expects {@link testServerName}. */
  readonly web?: WebCredentials;
  /** What is done with streams that the other side opens. Default: echo. */
  readonly behaviour?: StreamBehaviour;
}

/** An endpoint on a virtual network that remembers what happens to it. */
export class TestPeer {
  readonly endpoint: EngineEndpoint;
  readonly address: SocketAddress;
  readonly credentials: RawKeyCredentials;
  readonly web: WebCredentials | undefined;
  readonly socket: VirtualSocket;
  readonly incoming: RecordedConnection[] = [];
  readonly handlerErrors: unknown[] = [];
  failure: EngineError | undefined;
  readonly #behaviour: StreamBehaviour;

  constructor(network: VirtualNetwork, options: PeerOptions) {
    const { number, address, behaviour = echo, web, ...engineOptions } = options;
    this.address = address ?? { family: 4, host: `10.0.0.${number}`, port: 4_433 };
    this.credentials = engineOptions.credentials ?? testCredentials(number);
    this.web = web;
    this.#behaviour = behaviour;
    this.socket = network.bind(this.address, (from, bytes) => this.endpoint.receive(from, bytes));
    this.endpoint = noq.createEndpoint({
      alpns: [testAlpn],
      platform: network.platform,
      transmit: this.socket.transmit,
      handlerError: (error) => this.handlerErrors.push(error),
      ...engineOptions,
      credentials: web ?? this.credentials,
      handler: {
        incoming: (connection) => {
          const recorded = new RecordedConnection(connection, behaviour);
          connection.handler = recorded;
          this.incoming.push(recorded);
        },
        failed: (error) => {
          this.failure = error;
        },
      },
    });
  }

  /** Dials another peer, and does not wait. */
  dial(to: TestPeer, options: Partial<EngineConnectOptions> = {}): RecordedConnection {
    const connection = this.endpoint.connect({
      remote: to.address,
      expected:
        to.web === undefined
          ? { type: "raw-key", publicKey: to.credentials.publicKey }
          : { type: "web", serverName: testServerName },
      alpns: [testAlpn],
      ...options,
      // Calls come in turns of the event loop, so not before it is replaced.
      handler: notYet,
    });
    const recorded = new RecordedConnection(connection, this.#behaviour);
    connection.handler = recorded;
    return recorded;
  }
}

/** Two peers on a network of their own, and no connection yet. */
export class EnginePair {
  readonly network: VirtualNetwork;
  readonly server: TestPeer;
  readonly client: TestPeer;

  constructor(
    network: VirtualNetworkOptions = {},
    server: Partial<PeerOptions> = {},
    client: Partial<PeerOptions> = {},
  ) {
    this.network = new VirtualNetwork(network);
    this.server = new TestPeer(this.network, { number: 1, ...server });
    this.client = new TestPeer(this.network, { number: 2, alpns: [], ...client });
  }

  /** Dials and waits until both sides know. */
  connect(options: Partial<EngineConnectOptions> = {}): {
    readonly local: RecordedConnection;
    readonly remote: RecordedConnection;
  } {
    const before = this.server.incoming.length;
    const local = this.client.dial(this.server, options);
    this.run(() => this.server.incoming[before]?.info !== undefined);
    const remote = this.server.incoming[before];
    assert(remote !== undefined && local.info !== undefined);
    return { local, remote };
  }

  /** Makes time pass until `done`; fails the test when that never happens. */
  run(done: () => boolean, limitMs?: number): void {
    const isDone = this.network.platform.run(done, limitMs);
    const errors = [...this.server.handlerErrors, ...this.client.handlerErrors].map(String);
    assert(isDone, `not done at ${this.now} ms: ${done} (thrown by handlers: [${errors}])`);
  }

  runFor(durationMs: number): void {
    this.network.platform.runFor(durationMs);
  }

  get now(): number {
    return this.network.platform.now();
  }
}

export const notYet: ConnectionHandler = {
  connected: () => {},
  streamOpened: () => {},
  streamsAvailable: () => {},
  datagram: () => {},
  datagramsWritable: () => {},
  pathsChanged: () => {},
  closed: () => {},
};
