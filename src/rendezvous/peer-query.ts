import type { EndpointId } from "../identity/endpoint-id.ts";
import { parseTarget, type Target } from "../identity/target.ts";

/** Which peers of a namespace: those that fit all of it. */
export interface PeerQuery {
  /** The name of a service with its package, or the service itself, that they serve. Default: whatever they serve. */
  readonly service?: string | { readonly typeName: string };
  /** Labels that they have, with these values. Default none. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Who they are, up to 256. Default: whoever they are. */
  readonly ids?: readonly Target[];
}

/** A query as messages have it. Throws IdentityError for what is no id. */
export function selectorOf(
  namespace: string,
  { service = "", labels = {}, ids = [] }: PeerQuery,
): {
  readonly namespace: string;
  readonly service: string;
  readonly labels: Record<string, string>;
  readonly endpointIds: Uint8Array[];
} {
  return {
    namespace,
    service: typeof service === "string" ? service : service.typeName,
    labels: { ...labels },
    endpointIds: ids.map((id) => idOf(id).bytes),
  };
}

function idOf(target: Target): EndpointId {
  return parseTarget(target).id;
}
