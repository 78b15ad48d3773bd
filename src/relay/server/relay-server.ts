import { nodePlatform } from "../../base/node-platform.ts";
import type { Platform } from "../../base/platform.ts";
import {
  formatSocketAddress,
  type SocketAddress,
  socketAddress,
} from "../../base/socket-address.ts";
import { AddressService } from "../../endpoint/address-service.ts";
import { EndpointError } from "../../endpoint/endpoint-error.ts";
import type { EndpointId } from "../../identity/endpoint-id.ts";
import { parseRelayUrl, type RelayUrl } from "../../identity/relay-url.ts";
import { WebCertificate } from "../../identity/web-certificate.ts";
import { RelayError } from "../relay-error.ts";
import type { AuthorizeRelayClient } from "./relay-access.ts";
import { type CloseRelayOptions, RelayCore } from "./relay-core.ts";
import type { RelayLimits } from "./relay-limits.ts";
import {
  type ListenAddress,
  type RelayCertificate,
  RelayListener,
  type RelayListenerOptions,
  readingCertificate,
} from "./relay-listener.ts";
import type { RelayMetrics } from "./relay-metrics.ts";

export interface RelayServerOptions {
  readonly listen: ListenAddress;
  /** Default: plain HTTP, for tests and behind a proxy. */
  readonly tls?: RelayCertificate | undefined;
  /** Beside TLS: a plain port for the check whether a captive portal stands in between, and nothing else. */
  readonly plain?: ListenAddress | undefined;
  /** Where `/metrics` is: `"here"` among the other pages, or on an address of its own. Default: nowhere. */
  readonly metrics?: "here" | ListenAddress | undefined;
  /**
   * Where clients that ask learn from where their packets come, over UDP (QUIC address discovery), which helps them to reach
   * each other directly. Clients ask port 7842 unless they are told otherwise. The host is an IP address. Needs TLS. Default:
   * nowhere.
   */
  readonly quic?: ListenAddress | undefined;
  /** Who may use the relay. Default: everybody. */
  readonly authorize?: AuthorizeRelayClient | undefined;
  readonly limits?: Partial<RelayLimits> | undefined;
  readonly platform?: Platform | undefined;
}

/**
 * A relay for peers that cannot reach each other directly, of iroh's protocol: clients of iroh 1.x can use it as well as
 * ours. It passes ciphertext on and knows ids, addresses and amounts.
 *
 * ```ts
 * await using relay = await RelayServer.start({ listen: { port: 3340 } });
 * console.log(relay.url);
 * ```
 */
export class RelayServer implements AsyncDisposable {
  readonly #core: RelayCore;
  readonly #listeners: Listeners;
  readonly #addresses: AddressService | undefined;
  /** Where the relay listens. */
  readonly address: SocketAddress;
  /** Where `/metrics` is, if it has an address of its own. */
  readonly metricsAddress: SocketAddress | undefined;
  /** Where the plain port is, if there is one. */
  readonly plainAddress: SocketAddress | undefined;
  /** Where clients learn their addresses, if they do. */
  readonly quicAddress: SocketAddress | undefined;
  /** What clients on this machine dial. From elsewhere the host is another. */
  readonly url: RelayUrl;

  /**
   * Listens. Throws {@link RelayError} `cannot-start`, RangeError for a limit that is none, TypeError for `quic` without
   * `tls`.
   */
  static async start(options: RelayServerOptions): Promise<RelayServer> {
    const { authorize, limits, platform = nodePlatform } = options;
    if (options.quic !== undefined && options.tls === undefined) {
      throw new TypeError("cannot tell addresses over QUIC: that needs a certificate");
    }
    const core = new RelayCore({ platform, authorize, limits });
    const counted = { metrics: (): string => core.metrics.toOpenMetrics() };
    const pages = options.metrics === "here" ? counted : {};
    const listeners: RelayListener[] = [];
    const listen = async (at: ListenAddress, how: Omit<RelayListenerOptions, "core">) => {
      const listener = new RelayListener({ ...how, core });
      await listener.listen(at);
      listeners.push(listener);
      return listener;
    };
    let addresses: AddressService | undefined;
    try {
      const { metrics, plain, quic, tls } = options;
      if (quic !== undefined && tls !== undefined) {
        addresses = await serveAddresses(quic, tls, { core, platform });
      }
      const servers = {
        main: await listen(options.listen, { tls, pages, relay: true }),
        plain: plain && (await listen(plain, { pages: { probeOnly: true } })),
        metrics:
          metrics === undefined || metrics === "here"
            ? undefined
            : await listen(metrics, { pages: counted }),
      };
      return new RelayServer(core, servers, addresses);
    } catch (error) {
      await Promise.all([...listeners, addresses].map((listener) => listener?.close()));
      throw error;
    }
  }

  private constructor(
    core: RelayCore,
    listeners: Listeners,
    addresses: AddressService | undefined,
  ) {
    const { main, metrics, plain } = listeners;
    this.#core = core;
    this.#listeners = listeners;
    this.#addresses = addresses;
    this.quicAddress = addresses?.localAddresses[0];
    this.address = main.address;
    this.plainAddress = plain?.address;
    this.metricsAddress = metrics?.address;
    this.url = parseRelayUrl(`${main.secure ? "https" : "http"}://${dialable(main.address)}`);
  }

  /** What it has done so far. */
  get metrics(): RelayMetrics {
    return this.#core.metrics;
  }

  /** Ids that are connected. */
  get clients(): number {
    return this.#core.clients;
  }

  /**
   * Uses another certificate for connections from now on. Throws {@link RelayError} `cannot-start`; the old one stays; TypeError where
   * there is no TLS.
   */
  setCertificate(certificate: RelayCertificate): void {
    this.#listeners.main.setCertificate(certificate);
    this.#addresses?.setCertificate(readingCertificate(() => WebCertificate.fromPem(certificate)));
  }

  /** Ends the connections of an id. False: there are none. */
  disconnect(id: EndpointId): boolean {
    return this.#core.disconnect(id);
  }

  /**
   * Stops listening, tells clients when to come back if `restartInMs` says so, and ends all connections. Resolves when all
   * is gone, which takes 2 s where a client does not answer. Idempotent.
   */
  async close(options?: CloseRelayOptions): Promise<void> {
    const { main, metrics, plain } = this.#listeners;
    const listeners = [main, metrics, plain];
    for (const listener of listeners) {
      listener?.stop();
    }
    await this.#core.close(options);
    await Promise.all([...listeners, this.#addresses].map((listener) => listener?.close()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

interface Listeners {
  readonly main: RelayListener;
  readonly plain: RelayListener | undefined;
  readonly metrics: RelayListener | undefined;
}

/** `localhost` in place of "any address". */
function dialable(address: SocketAddress): string {
  const any = address.host === "::" || address.host === "0.0.0.0";
  return any ? `localhost:${address.port}` : formatSocketAddress(address);
}

async function serveAddresses(
  { host, port }: ListenAddress,
  certificate: RelayCertificate,
  { core, platform }: { readonly core: RelayCore; readonly platform: Platform },
): Promise<AddressService> {
  const bind = host === undefined ? ["0.0.0.0", "::"] : [host];
  try {
    return await AddressService.start({
      bind: bind.map((each) => formatSocketAddress(socketAddress(each, port))),
      certificate: readingCertificate(() => WebCertificate.fromPem(certificate)),
      platform,
      connected: () => {
        core.metrics.addressConnections += 1;
      },
      closed: () => {
        core.metrics.addressConnectionsClosed += 1;
      },
      // The relay itself goes on; clients have other ways to learn their addresses.
      onError: () => {},
    });
  } catch (error) {
    if (error instanceof EndpointError) {
      throw new RelayError("cannot-start", error.message, { cause: error });
    }
    throw error;
  }
}
