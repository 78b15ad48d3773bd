import type {
  DiscoveryNetwork,
  DiscoveryRequest,
  DiscoveryResponse,
} from "../../src/discovery/discovery-network.ts";
import { formatEndpointInfo } from "../../src/discovery/endpoint-info.ts";
import { readEndpointRecord } from "../../src/discovery/endpoint-record.ts";
import {
  encodePkarrPayload,
  isNewer,
  type PkarrPacket,
  parsePkarrPayload,
} from "../../src/discovery/pkarr-packet.ts";
import { EndpointId } from "../../src/identity/endpoint-id.ts";

/**
 * A pkarr relay and its DNS in memory that do as iroh-dns-server does: of each key the newest packet, whatever its date.
 * Answers within the same turn.
 */
export class MemoryPkarr implements DiscoveryNetwork {
  readonly #stored = new Map<string, PkarrPacket>();
  /** Method and path of every request, and names looked up. */
  readonly log: string[] = [];
  /** In place of an answer. */
  next: ((url: URL, request: DiscoveryRequest) => Promise<DiscoveryResponse>) | undefined;

  readonly openMulticast = (): Promise<never> => Promise.reject(new Error("no multicast"));
  readonly bindSocket = (): Promise<never> => Promise.reject(new Error("no sockets"));
  readonly resolveHost = (): Promise<never> => Promise.reject(new Error("no hosts"));

  async request(url: URL, request: DiscoveryRequest): Promise<DiscoveryResponse> {
    this.log.push(`${request.method} ${url.pathname}`);
    if (this.next !== undefined) {
      return await this.next(url, request);
    }
    const z32 = url.pathname.split("/").at(-1) ?? "";
    if (request.method === "PUT") {
      this.store(parsePkarrPayload(EndpointId.fromZ32(z32), request.body ?? new Uint8Array(0)));
      return response(204);
    }
    const packet = this.#stored.get(z32);
    return packet === undefined ? response(404) : response(200, encodePkarrPayload(packet));
  }

  readonly resolveTxt = async (name: string): Promise<readonly Uint8Array[]> => {
    this.log.push(`TXT ${name}`);
    const [, z32 = ""] = name.split(".");
    const packet = this.#stored.get(z32);
    return packet === undefined ? [] : txtRecords(packet);
  };

  store(packet: PkarrPacket): void {
    const key = packet.id.toZ32();
    const stored = this.#stored.get(key);
    if (stored === undefined || isNewer(packet, stored)) {
      this.#stored.set(key, packet);
    }
  }

  stored(id: EndpointId): PkarrPacket | undefined {
    return this.#stored.get(id.toZ32());
  }
}

export function response(
  status: number,
  body: Uint8Array = new Uint8Array(0),
  headers: Readonly<Record<string, string>> = {},
): DiscoveryResponse {
  return { status, headers, body };
}

function txtRecords(packet: PkarrPacket): Uint8Array[] {
  const encoder = new TextEncoder();
  return formatEndpointInfo(readEndpointRecord(packet)).map((text) => encoder.encode(text));
}
