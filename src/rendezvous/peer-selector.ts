import type { Selector } from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { checkLabels, checkName, checkService, type PeerRecord, readId } from "./registration.ts";
import { RendezvousError } from "./rendezvous-error.ts";

/** Ids that one selector may name. */
export const maxSelectedIds = 256;

/** Which peers of a namespace: those that fit all of it. */
export interface PeerSelector {
  /** Undefined: whatever they serve. */
  readonly service: string | undefined;
  readonly labels: readonly (readonly [key: string, value: string])[];
  /** Hexadecimal. Undefined: all. */
  readonly ids: ReadonlySet<string> | undefined;
}

/** Throws {@link RendezvousError} `malformed` or `too-large`. */
export function readSelector(selector: Selector | undefined): {
  readonly namespace: string;
  readonly selector: PeerSelector;
} {
  const { namespace = "", service = "", labels = {}, endpointIds = [] } = selector ?? {};
  checkName("namespace", namespace);
  if (service !== "") {
    checkService(service);
  }
  checkLabels(labels);
  if (endpointIds.length > maxSelectedIds) {
    throw new RendezvousError(
      "too-large",
      `invalid selector: it names ${endpointIds.length} peers, and at most ${maxSelectedIds} may be`,
    );
  }
  return {
    namespace,
    selector: {
      service: service === "" ? undefined : service,
      labels: Object.entries(labels),
      ids:
        endpointIds.length === 0
          ? undefined
          : new Set(endpointIds.map((bytes) => readId(bytes).toString())),
    },
  };
}

/** The same for selectors that say the same. Undefined for those that name ids: hardly two are the same. */
export function selectorKey({ service, labels, ids }: PeerSelector): string | undefined {
  return ids === undefined
    ? JSON.stringify([service, ...labels.map(([key, value]) => `${key}\0${value}`).sort()])
    : undefined;
}

export function fits({ service, labels, ids }: PeerSelector, record: PeerRecord): boolean {
  return (
    (service === undefined || record.services.includes(service)) &&
    (ids === undefined || ids.has(record.id.toString())) &&
    labels.every(
      ([key, value]) => Object.hasOwn(record.labels, key) && record.labels[key] === value,
    )
  );
}
