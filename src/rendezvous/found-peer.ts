import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { RegisteredPeer } from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { isGenuine, type PeerRecord, readRegistration } from "./registration.ts";
import { RendezvousError } from "./rendezvous-error.ts";

/** A peer that is registered, as a place tells it. */
export class FoundPeer {
  readonly id: EndpointId;
  /** Where it is reached: a target for `createQuicTransport`. */
  readonly addr: EndpointAddr;
  readonly namespace: string;
  readonly services: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** When it came, by the clock of the place. Milliseconds since 1970. */
  readonly registeredAtMs: number;
  /** When it has signed this. Microseconds since 1970. */
  readonly signedUs: bigint;
  readonly #record: PeerRecord;
  #isGenuine: boolean | undefined;

  constructor(record: PeerRecord, registeredAtMs: number) {
    this.id = record.id;
    this.addr = record.addr;
    this.namespace = record.namespace;
    this.services = record.services;
    this.labels = record.labels;
    this.signedUs = record.signedUs;
    this.registeredAtMs = registeredAtMs;
    this.#record = record;
  }

  /**
   * Whether the peer has signed all of that itself. A place that is honest tells nothing else; whoever believes it can leave
   * this, which takes 0.2 ms the first time: who dials the peer talks to it, or to nobody.
   */
  isGenuine(): boolean {
    this.#isGenuine ??= isGenuine(this.#record);
    return this.#isGenuine;
  }
}

/** Undefined for what is no registration in this namespace. */
export function foundPeer(
  peer: RegisteredPeer | undefined,
  namespace: string,
): FoundPeer | undefined {
  try {
    const record = readRegistration(peer?.registration);
    return record.namespace === namespace
      ? new FoundPeer(record, Number(peer?.registeredAtMs ?? 0n))
      : undefined;
  } catch (error) {
    if (error instanceof RendezvousError) {
      return undefined;
    }
    throw error;
  }
}
