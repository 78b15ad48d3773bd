import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import type { DiscoverySource } from "../discovery/discovery.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import { parseTarget } from "../identity/target.ts";
import { Rendezvous } from "../rendezvous/rendezvous.ts";
import type { QuicTransport } from "../rpc/peer-transport.ts";
import { createQuicTransport } from "../rpc/quic-transport.ts";

export interface MeetingPlaceOptions {
  /** Its URL, with `http://` or `https://`; or a ticket or an id, to call it by its key. */
  readonly to: string;
  /** A registry of its own among those of the place. Default "". */
  readonly namespace?: string | undefined;
  /** Shown to the place, which may let in nobody without. Default none. */
  readonly token?: string | undefined;
}

/** Of a message of the place: a page of registrations, each as large as any may be. Bytes. */
const readMaxBytes = 8 * 2 ** 20;
/** How often a connection shows that it is there. Milliseconds. */
const keepAliveIntervalMs = 5_000;

/**
 * A place of rendezvous that a worker uses, by URL or by key. It is made before the endpoint, which finds peers by it; by key
 * it is called over that endpoint, and so from {@link use} on.
 */
export class MeetingPlace implements AsyncDisposable {
  /** The URL, or the id. */
  readonly name: string;
  readonly rendezvous: Rendezvous;
  /** Finds the addresses of peers that are registered there. */
  readonly discovery: DiscoverySource;
  readonly #addr: EndpointAddr | undefined;
  #transport: Transport | undefined;
  #quic: QuicTransport | undefined;

  /** Throws TypeError for another URL, and IdentityError for what is neither a ticket nor an id. */
  constructor({ to, namespace, token }: MeetingPlaceOptions) {
    const target = to.trim();
    let audience: string;
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(target)) {
      const url = parseHttpUrl(target);
      this.name = url.href.replace(/\/$/, "");
      audience = url.origin;
      this.#transport = createConnectTransport({
        baseUrl: this.name,
        readMaxBytes,
        ...(url.protocol === "https:"
          ? { httpVersion: "2", pingIntervalMs: keepAliveIntervalMs }
          : { httpVersion: "1.1" }),
      });
    } else {
      this.#addr = parseTarget(target);
      this.name = this.#addr.id.toString();
      audience = this.name;
    }
    this.rendezvous = new Rendezvous({
      transport: {
        unary: (...call) => this.#called.unary(...call),
        stream: (...call) => this.#called.stream(...call),
      },
      audience,
      ...(namespace === undefined ? {} : { namespace }),
      ...(token === undefined ? {} : { token }),
    });
    const byRendezvous = this.rendezvous.discovery();
    this.discovery = (context) => {
      const source = byRendezvous(context);
      return {
        name: source.name,
        // To find the place by asking it would be to wait for oneself.
        resolve: (id, options) =>
          this.#addr?.id.equals(id) === true || source.resolve === undefined
            ? nothing()
            : source.resolve(id, options),
        close: () => source.close(),
      };
    };
  }

  /** Calls the place over this endpoint, where it is called by key. */
  use(endpoint: Endpoint): void {
    if (this.#addr !== undefined) {
      this.#quic = createQuicTransport({
        endpoint,
        to: this.#addr,
        keepAliveIntervalMs,
        readMaxBytes,
      });
      this.#transport = this.#quic;
    }
  }

  /** Ends the calls by key, and those by URL end with their signals. Idempotent. */
  async close(): Promise<void> {
    await this.#quic?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #called(): Transport {
    if (this.#transport === undefined) {
      throw new ConnectError("the place is not dialed yet", Code.Unavailable);
    }
    return this.#transport;
  }
}

function parseHttpUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    throw new TypeError(
      `a place has a URL with https:// or http://, found ${JSON.stringify(text)}`,
    );
  }
  if (url.search !== "" || url.hash !== "" || url.username !== "" || url.password !== "") {
    throw new TypeError("the URL of a place has no user, no query and no fragment");
  }
  return url;
}

async function* nothing(): AsyncGenerator<never> {}
