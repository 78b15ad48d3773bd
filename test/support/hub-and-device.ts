// A hub that is dialed, and devices that dial it and serve, in a test network.

import type { ServiceImpl } from "@connectrpc/connect";
import {
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  type EndpointOptions,
  type Peer,
  type PeerRouter,
  type PeerRouterOptions,
  type QuicTransport,
  type QuicTransportOptions,
  SecretKey,
} from "../../src/index.ts";
import {
  createTestNetwork,
  type HostOptions,
  type TestHost,
  type TestNetwork,
} from "../../src/testing.ts";
import { EchoService, echoImplementation } from "./echo-service.ts";

export interface PartyOptions {
  readonly host?: HostOptions;
  readonly endpoint?: EndpointOptions;
  readonly router?: PeerRouterOptions;
  readonly implementation?: Partial<ServiceImpl<typeof EchoService>>;
}

export interface DeviceOptions extends PartyOptions {
  readonly transport?: Partial<QuicTransportOptions>;
}

/** An endpoint with a router that serves the echo service. */
export interface Party {
  readonly host: TestHost;
  readonly endpoint: Endpoint;
  readonly router: PeerRouter;
}

/** One with a transport to the hub. */
export interface Device extends Party {
  readonly transport: QuicTransport;
}

export class HubLab {
  readonly network: TestNetwork = createTestNetwork({ seed: 1 });
  /** What endpoints could tell no caller. */
  readonly reports: unknown[] = [];
  readonly #endpoints: Endpoint[] = [];
  readonly #hubKey: SecretKey = SecretKey.fromBytes(new Uint8Array(32).fill(7));
  #hub: Party | undefined;

  /** Runs `work` with a hub. Virtual time passes while something is awaited. */
  static async run(
    hub: PartyOptions | ((lab: HubLab) => PartyOptions),
    work: (lab: HubLab) => Promise<void>,
  ): Promise<void> {
    const lab = new HubLab();
    await lab.network.run(
      async () => {
        try {
          await lab.startHub(typeof hub === "function" ? hub(lab) : hub);
          await work(lab);
        } finally {
          await Promise.all(lab.#endpoints.map((endpoint) => endpoint.close({ timeoutMs: 0 })));
        }
      },
      { limitMs: 14_400_000 },
    );
  }

  get hub(): Party {
    if (this.#hub === undefined) {
      throw new Error("the hub was not started");
    }
    return this.#hub;
  }

  /** Also again, with the same key and where it was before. */
  async startHub(options: PartyOptions = {}): Promise<void> {
    this.#hub = await this.party(
      {
        ...options,
        endpoint: { secretKey: this.#hubKey, bind: "0.0.0.0:4433", ...options.endpoint },
      },
      this.#hub?.host,
    );
  }

  /** One more endpoint with a router, on a host of its own unless there is one. */
  async party(
    options: PartyOptions = {},
    host: TestHost = this.network.host(options.host),
  ): Promise<Party> {
    const endpoint = await Endpoint.bind({
      ...host.options,
      onError: (error) => this.reports.push(error),
      ...options.endpoint,
    });
    this.#endpoints.push(endpoint);
    await endpoint.online();
    const router = createPeerRouter(endpoint, options.router).service(
      EchoService,
      options.implementation ?? echoImplementation,
    );
    return { host, endpoint, router };
  }

  /** One more device, which is to be called by the hub. */
  async device(options: DeviceOptions = {}): Promise<Device> {
    const party = await this.party(options);
    return {
      ...party,
      transport: this.connect(party, { serve: party.router, ...options.transport }),
    };
  }

  /** A transport to the hub. */
  connect({ endpoint }: Party, options: Partial<QuicTransportOptions> = {}): QuicTransport {
    return createQuicTransport({ endpoint, to: this.hub.endpoint.addr(), ...options });
  }

  /** The device as its hub finds it, as soon as it can be called. */
  async peerOf({ endpoint }: Party): Promise<Peer> {
    const { peers } = this.hub.router;
    return peers.get(endpoint.id) ?? (await opened(peers, endpoint.id.toString()));
  }

  /** Resolves when the device cannot be called any more. */
  gone({ endpoint }: Party): Promise<void> {
    const { peers } = this.hub.router;
    return new Promise((resolve) => {
      if (peers.get(endpoint.id) === undefined) {
        resolve();
        return;
      }
      const stop = peers.onClosed(({ id }) => {
        if (id.equals(endpoint.id)) {
          stop();
          resolve();
        }
      });
    });
  }
}

function opened(peers: PeerRouter["peers"], id: string): Promise<Peer> {
  return new Promise((resolve) => {
    const stop = peers.onOpened((peer) => {
      if (peer.id.toString() === id) {
        stop();
        resolve(peer);
      }
    });
  });
}
