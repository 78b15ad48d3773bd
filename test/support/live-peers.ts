import assert from "node:assert/strict";
import { nodePlatform } from "../../src/base/node-platform.ts";
import type { SocketAddress } from "../../src/base/socket-address.ts";
import type {
  ConnectionHandler,
  Engine,
  EngineConnectOptions,
  EngineEndpoint,
  EngineOptions,
  WebCredentials,
} from "../../src/engine/engine.ts";
import { WebCertificate } from "../../src/identity/web-certificate.ts";
import { LiveNetwork } from "./live-network.ts";
import { echo, RecordedConnection, type StreamBehaviour } from "./recorded-connection.ts";
import { TestAuthority, type TestCertificate } from "./test-pki.ts";

export const liveAlpn = "live/1";
export const liveServerName = "server.test";

/** What a test may say of an endpoint. */
export interface LivePeerOptions
  extends Partial<Omit<EngineOptions, "credentials" | "handler" | "transmit">> {
  readonly credentials?: WebCredentials;
  /** What is done with streams that the other side opens. Default: echo. */
  readonly behaviour?: StreamBehaviour;
}

/** An endpoint with web credentials in real time, that remembers what happens to it. */
export class LivePeer {
  readonly endpoint: EngineEndpoint;
  readonly address: SocketAddress;
  readonly incoming: RecordedConnection[] = [];
  readonly handlerErrors: unknown[] = [];
  readonly #behaviour: StreamBehaviour;

  constructor(
    network: LiveNetwork,
    engine: Engine,
    address: SocketAddress,
    options: LivePeerOptions & { readonly credentials: WebCredentials },
  ) {
    const { behaviour = echo, ...engineOptions } = options;
    this.address = address;
    this.#behaviour = behaviour;
    const transmit = network.bind(address, (from, bytes) => this.endpoint.receive(from, bytes));
    this.endpoint = engine.createEndpoint({
      alpns: [liveAlpn],
      platform: nodePlatform,
      handlerError: (error) => this.handlerErrors.push(error),
      ...engineOptions,
      transmit,
      handler: {
        incoming: (connection) => {
          const recorded = new RecordedConnection(connection, behaviour);
          connection.handler = recorded;
          this.incoming.push(recorded);
        },
        failed: (error) => this.handlerErrors.push(error),
      },
    });
  }

  /** Dials another peer, and does not wait. */
  dial(to: LivePeer, options: Partial<EngineConnectOptions> = {}): RecordedConnection {
    const connection = this.endpoint.connect({
      remote: to.address,
      expected: { type: "web", serverName: liveServerName },
      alpns: [liveAlpn],
      ...options,
      // Calls come in turns of the event loop, so not before it is replaced.
      handler: notYet,
    });
    const recorded = new RecordedConnection(connection, this.#behaviour);
    connection.handler = recorded;
    return recorded;
  }
}

/** Two peers of one engine or two. Ends with `using`. */
export class LivePair {
  readonly network: LiveNetwork = new LiveNetwork();
  readonly server: LivePeer;
  readonly client: LivePeer;
  readonly #makeClient: (host: string) => LivePeer;
  readonly #more: LivePeer[] = [];

  constructor(
    engines: { readonly client: Engine; readonly server: Engine },
    pki: LivePki,
    server: LivePeerOptions = {},
    client: LivePeerOptions = {},
  ) {
    this.server = new LivePeer(
      this.network,
      engines.server,
      { family: 4, host: "10.0.0.1", port: 443 },
      { credentials: { type: "web", certificate: pki.server }, ...server },
    );
    this.#makeClient = (host) =>
      new LivePeer(
        this.network,
        engines.client,
        { family: 4, host, port: 4_433 },
        {
          credentials: { type: "web", serverAuthorities: [pki.authority] },
          alpns: [],
          ...client,
        },
      );
    this.client = this.#makeClient("10.0.0.2");
  }

  /** One like `client`, that knows nothing of what went before. */
  anotherClient(): LivePeer {
    const client = this.#makeClient("10.0.0.3");
    this.#more.push(client);
    return client;
  }

  /** Dials and waits until both sides know. */
  async connect(options: Partial<EngineConnectOptions> = {}): Promise<{
    readonly local: RecordedConnection;
    readonly remote: RecordedConnection;
  }> {
    const before = this.server.incoming.length;
    const local = this.client.dial(this.server, options);
    await this.until(() => this.server.incoming[before]?.info !== undefined);
    const remote = this.server.incoming[before];
    assert(remote !== undefined && local.info !== undefined);
    return { local, remote };
  }

  /** Lets the event loop turn until `done`. */
  async until(done: () => boolean): Promise<void> {
    const limit = performance.now() + 60_000;
    while (!done()) {
      const errors = [...this.server.handlerErrors, ...this.client.handlerErrors].map(String);
      assert(performance.now() < limit, `not done: ${done} (thrown by handlers: [${errors}])`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  [Symbol.dispose](): void {
    for (const client of [this.client, ...this.#more]) {
      client.endpoint.destroy();
    }
    this.server.endpoint.destroy();
  }
}

/** Certificates for {@link LivePair}. */
export interface LivePki {
  readonly issuer: TestAuthority;
  /** DER. */
  readonly authority: Uint8Array;
  readonly server: WebCertificate;
}

export async function createLivePki(): Promise<LivePki> {
  const issuer = await TestAuthority.create();
  const server = certifiedKey(await issuer.server([liveServerName, "127.0.0.1"]));
  return { issuer, authority: derOf(issuer), server };
}

export function certifiedKey({ chainPem, keyPem }: TestCertificate): WebCertificate {
  return WebCertificate.fromPem({ cert: chainPem, key: keyPem });
}

/** What a verifier is given. */
export function derOf({ certPem }: TestAuthority): Uint8Array {
  return Buffer.from(certPem.replace(/-----[^-]*-----/g, ""), "base64");
}

const notYet: ConnectionHandler = {
  connected: () => {},
  streamOpened: () => {},
  streamsAvailable: () => {},
  datagram: () => {},
  datagramsWritable: () => {},
  pathsChanged: () => {},
  closed: () => {},
};
