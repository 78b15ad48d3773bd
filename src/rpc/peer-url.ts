import type { EndpointId } from "../identity/endpoint-id.ts";

/** What stands in front of the paths of a peer's methods. The name is the one that iroh has peers show in TLS. */
export function peerBaseUrl(id: EndpointId): string {
  return `https://${id.toBase32()}.iroh.invalid`;
}
