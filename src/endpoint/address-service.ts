import type { Platform } from "../base/platform.ts";
import type { SocketAddress } from "../base/socket-address.ts";
import type { CertifiedKey, TransportOptions } from "../engine/engine.ts";
import { addressDiscoveryAlpn } from "./address-discovery.ts";
import { untilConnected } from "./until-connected.ts";
import { WebListener } from "./web-listener.ts";

export interface AddressServiceOptions {
  /** `ip:port` or `[ip6]:port`, at most one a family. */
  readonly bind: string | readonly string[];
  readonly certificate: CertifiedKey;
  readonly platform: Platform;
  /** A connection is there. */
  readonly connected?: () => void;
  /** And is over. */
  readonly closed?: () => void;
  /** Gets what is wrong with the service as a whole. */
  readonly onError: (error: unknown) => void;
}

/** Nothing but the address is to be had here. Clients ping every 25 s and give us up after 35. */
const transport: Partial<TransportOptions> = {
  maxBidirectionalStreams: 0,
  maxUnidirectionalStreams: 0,
  streamReceiveWindow: 1_200,
  receiveWindow: 1_200,
  datagramReceiveBuffer: 0,
  loopbackMtu: 0,
  maxMtu: 0,
  idleTimeoutMs: 35_000,
  tellAddress: true,
};

/**
 * Tells whoever connects from where its packets come: the serving side of QUIC address discovery, as iroh's relays have it
 * (draft-ietf-quic-address-discovery, iroh-relay, src/quic.rs). For {@link AddressDiscovery} and for clients of iroh.
 */
export class AddressService implements AsyncDisposable {
  readonly #listener: WebListener;

  /** Rejects with `EndpointError` "bind-failed" when an address cannot be had. */
  static async start(options: AddressServiceOptions): Promise<AddressService> {
    const { bind, certificate, platform, connected, closed, onError } = options;
    const listener = await WebListener.bind({
      bind,
      certificate,
      platform,
      onError,
      alpns: [addressDiscoveryAlpn],
      transport,
      onConnection: ({ engine }) => {
        connected?.();
        engine.handler = untilConnected(
          () => {},
          () => closed?.(),
        );
      },
    });
    return new AddressService(listener);
  }

  private constructor(listener: WebListener) {
    this.#listener = listener;
  }

  get localAddresses(): readonly SocketAddress[] {
    return this.#listener.localAddresses;
  }

  /** Shows another certificate to those who come from now on. */
  setCertificate(certificate: CertifiedKey): void {
    this.#listener.setCertificate(certificate);
  }

  /** Connections end without a word; clients ask others then. Never rejects. Idempotent. */
  async close(): Promise<void> {
    await this.#listener.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
