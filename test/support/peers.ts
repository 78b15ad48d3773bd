// Peers of this process that call each other over UDP on the loopback interface.

import { type Client, createClient, type ServiceImpl } from "@connectrpc/connect";
import {
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  type EndpointOptions,
  type PeerRouter,
  type PeerRouterOptions,
  type QuicTransport,
  type QuicTransportOptions,
} from "../../src/index.ts";
import { EchoService, echoImplementation } from "./echo-service.ts";

export interface PeersOptions {
  readonly server?: EndpointOptions;
  readonly client?: EndpointOptions;
  readonly router?: PeerRouterOptions;
  readonly implementation?: Partial<ServiceImpl<typeof EchoService>>;
  readonly transport?: Partial<QuicTransportOptions>;
}

export const loopback = "127.0.0.1:0";

/** One that serves the echo service, and one that calls it. */
export class Peers implements AsyncDisposable {
  readonly server: Endpoint;
  readonly client: Endpoint;
  readonly router: PeerRouter;
  readonly transport: QuicTransport;
  readonly echo: Client<typeof EchoService>;
  /** Errors that could be told to no caller, on the server. */
  readonly reports: unknown[] = [];

  static async start(options: PeersOptions = {}): Promise<Peers> {
    const reports: unknown[] = [];
    const [server, client] = await Promise.all([
      Endpoint.bind({
        bind: loopback,
        onError: (error) => reports.push(error),
        ...options.server,
      }),
      Endpoint.bind({ bind: loopback, ...options.client }),
    ]);
    // What a test waits for may be neither a call nor anything else that keeps the process alive.
    client.hold();
    return new Peers(server, client, options, reports);
  }

  private constructor(
    server: Endpoint,
    client: Endpoint,
    options: PeersOptions,
    reports: unknown[],
  ) {
    this.server = server;
    this.client = client;
    this.reports = reports;
    this.router = createPeerRouter(server, options.router).service(
      EchoService,
      options.implementation ?? echoImplementation,
    );
    this.transport = this.connect(options.transport);
    this.echo = createClient(EchoService, this.transport);
  }

  /** One more transport to the server. */
  connect(options: Partial<QuicTransportOptions> = {}): QuicTransport {
    return createQuicTransport({ endpoint: this.client, to: this.server.ticket(), ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client.close({ timeoutMs: 0 });
    await this.router.close({ graceMs: 0 });
    await this.server.close({ timeoutMs: 0 });
  }
}
