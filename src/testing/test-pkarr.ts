import type { DiscoverySource } from "../discovery/discovery.ts";
import { DiscoveryError } from "../discovery/discovery-error.ts";
import { dnsDiscovery } from "../discovery/dns-discovery.ts";
import { formatEndpointInfo } from "../discovery/endpoint-info.ts";
import { readEndpointRecord } from "../discovery/endpoint-record.ts";
import {
  encodePkarrPayload,
  isNewer,
  type PkarrPacket,
  parsePkarrPayload,
} from "../discovery/pkarr-packet.ts";
import { pkarrPublisher } from "../discovery/pkarr-publisher.ts";
import { pkarrResolver } from "../discovery/pkarr-resolver.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { IdentityError } from "../identity/identity-error.ts";
import type { HttpRequest, HttpResponse } from "../net/network.ts";
import type { TestHost } from "./test-host.ts";

const httpsPort = 443;

/**
 * A place where peers publish and find each other by id, over HTTP and DNS, as an iroh-dns-server is. Made by
 * `TestNetwork.pkarr`.
 */
export class TestPkarr {
  /** The machine that answers HTTP; DNS answers as long as the asking host reaches the internet. */
  readonly host: TestHost;
  /** Where records are, for `pkarrPublisher` and `pkarrResolver`. */
  readonly url: string;
  /** For `dnsDiscovery`. */
  readonly origin: string;
  readonly #stored = new Map<string, PkarrPacket>();

  /** @internal */
  constructor(host: TestHost) {
    this.host = host;
    this.url = `https://${host.name}/pkarr`;
    this.origin = `${host.name}.`;
    host.streams.listen(httpsPort, { request: (url, request) => this.#answer(url, request) });
  }

  /** For `Endpoint.bind({ discovery: pkarr.sources })`: publishes the home relay, and finds others over HTTP and DNS. */
  get sources(): DiscoverySource[] {
    return [
      pkarrPublisher({ relay: this.url }),
      pkarrResolver({ relay: this.url }),
      dnsDiscovery({ origin: this.origin }),
    ];
  }

  /** Whether there is a record of `id`. */
  has(id: EndpointId): boolean {
    return this.#stored.has(id.toZ32());
  }

  /** The TXT records at a name below `origin`, undefined for another name. @internal */
  resolveTxt(name: string): Uint8Array[] | undefined {
    const [label, z32 = "", ...zone] = name.replace(/\.$/, "").split(".");
    if (label !== "_iroh" || `${zone.join(".")}.` !== this.origin) {
      return undefined;
    }
    const packet = this.#stored.get(z32);
    const strings = packet === undefined ? [] : formatEndpointInfo(readEndpointRecord(packet));
    return strings.map((text) => new TextEncoder().encode(text));
  }

  #answer(url: URL, { method, body }: Pick<HttpRequest, "method" | "body">): HttpResponse {
    const [, path, z32 = ""] = url.pathname.split("/");
    if (path !== "pkarr" || method === "POST") {
      return response(404);
    }
    if (method === "PUT") {
      return response(this.#store(z32, body ?? new Uint8Array(0)) ? 204 : 400);
    }
    const packet = this.#stored.get(z32);
    return packet === undefined ? response(404) : response(200, encodePkarrPayload(packet));
  }

  /** Of each key the newest. False: it is invalid. */
  #store(z32: string, payload: Uint8Array): boolean {
    try {
      const packet = parsePkarrPayload(EndpointId.fromZ32(z32), payload);
      const stored = this.#stored.get(z32);
      if (stored === undefined || isNewer(packet, stored)) {
        this.#stored.set(z32, packet);
      }
      return true;
    } catch (error) {
      if (error instanceof DiscoveryError || error instanceof IdentityError) {
        return false;
      }
      throw error;
    }
  }
}

function response(status: number, body: Uint8Array = new Uint8Array(0)): HttpResponse {
  return { status, headers: {}, body };
}
