// What a peer says of itself, and signs.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { IdentityError } from "../identity/identity-error.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import {
  formatTransportAddr,
  parseTransportAddr,
  type TransportAddr,
} from "../identity/transport-addr.ts";
import { verify } from "../identity/verify.ts";
import {
  RegistrationSchema,
  type SignedRegistration,
  SignedRegistrationSchema,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { RendezvousError } from "./rendezvous-error.ts";

/** How large a registration can be: the same for all places, so that a peer can register anywhere. Texts count in UTF-8. */
export const registrationLimits = {
  /** All of it, in the Protobuf encoding. Bytes. */
  maxBytes: 16_384,
  maxNameBytes: 128,
  maxAudienceBytes: 256,
  maxServices: 64,
  maxServiceBytes: 256,
  maxLabels: 32,
  maxLabelKeyBytes: 64,
  maxLabelValueBytes: 256,
  maxAddrs: 30,
  maxAddrBytes: 512,
} as const;

/** What a peer says of itself. */
export interface RegistrationInit {
  readonly addr: EndpointAddr;
  readonly namespace: string;
  readonly audience: string;
  /** Microseconds since 1970. */
  readonly signedUs: bigint;
  readonly services: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** A registration that has been read: all of it is what it may be. Whether the peer has signed it, `isGenuine` tells. */
export interface PeerRecord extends RegistrationInit {
  readonly id: EndpointId;
  /** As it came, for others to check. */
  readonly signed: SignedRegistration;
}

/** Signs. Throws {@link RendezvousError} `malformed` or `too-large` for what no place would take. */
export function signRegistration(key: SecretKey, init: RegistrationInit): PeerRecord {
  const registration = toBinary(
    RegistrationSchema,
    create(RegistrationSchema, {
      endpointId: key.publicKey.bytes,
      namespace: init.namespace,
      audience: init.audience,
      signedAtUs: init.signedUs,
      services: [...init.services],
      labels: { ...init.labels },
      addrs: init.addr.addrs.slice(0, registrationLimits.maxAddrs).map(formatTransportAddr),
    }),
  );
  const signature = key.sign(signedBytes(registration));
  return readRegistration(create(SignedRegistrationSchema, { registration, signature }));
}

/** Throws {@link RendezvousError} `malformed` or `too-large`. Does not look at the signature. */
export function readRegistration(signed: SignedRegistration | undefined): PeerRecord {
  if (signed === undefined) {
    throw malformed("there is none");
  }
  atMost("registration", signed.registration.length, registrationLimits.maxBytes);
  let message: ReturnType<typeof fromBinary<typeof RegistrationSchema>>;
  try {
    message = fromBinary(RegistrationSchema, signed.registration);
  } catch (error) {
    throw malformed("it is no message of its kind", error);
  }
  const { namespace, audience, services, labels, addrs } = message;
  checkName("namespace", namespace);
  checkBytes("audience", audience, registrationLimits.maxAudienceBytes);
  atMost("number of services", services.length, registrationLimits.maxServices);
  for (const service of services) {
    checkService(service);
  }
  checkLabels(labels);
  atMost("number of addresses", addrs.length, registrationLimits.maxAddrs);
  const id = readId(message.endpointId);
  return {
    id,
    addr: new EndpointAddr(id, addrs.map(readAddr)),
    namespace,
    audience,
    signedUs: message.signedAtUs,
    services: [...new Set(services)],
    labels,
    signed,
  };
}

/** Whether the peer has signed the registration itself. Takes about 0.2 ms. */
export function isGenuine({ id, signed }: PeerRecord): boolean {
  return verify(id, signedBytes(signed.registration), signed.signature);
}

/** Throws {@link RendezvousError} `malformed`. */
export function readId(bytes: Uint8Array): EndpointId {
  try {
    return EndpointId.fromBytes(bytes);
  } catch (error) {
    throw malformed(error instanceof IdentityError ? error.message : "its id is none", error);
  }
}

/** The name of a namespace or a pool. Throws {@link RendezvousError} `malformed` or `too-large`. */
export function checkName(what: string, name: string): void {
  checkBytes(what, name, registrationLimits.maxNameBytes);
  if (controls.test(name)) {
    throw malformed(`its ${what} has control characters`);
  }
}

/** Throws {@link RendezvousError} `malformed` or `too-large`. */
export function checkService(service: string): void {
  checkBytes("name of a service", service, registrationLimits.maxServiceBytes);
  if (!serviceName.test(service)) {
    throw malformed(
      `${JSON.stringify(service)} is no name of a service, such as "echo.v1.EchoService"`,
    );
  }
}

/** Throws {@link RendezvousError} `malformed` or `too-large`. */
export function checkLabels(labels: Readonly<Record<string, string>>): void {
  const entries = Object.entries(labels);
  atMost("number of labels", entries.length, registrationLimits.maxLabels);
  for (const [key, value] of entries) {
    checkBytes("key of a label", key, registrationLimits.maxLabelKeyBytes);
    if (key === "" || controls.test(key)) {
      throw malformed("a label has a key that is empty, or has control characters");
    }
    checkBytes(`label ${key}`, value, registrationLimits.maxLabelValueBytes);
  }
}

function readAddr(text: string): TransportAddr {
  checkBytes("address", text, registrationLimits.maxAddrBytes);
  try {
    return parseTransportAddr(text);
  } catch (error) {
    throw malformed(error instanceof Error ? error.message : "an address is none", error);
  }
}

function checkBytes(what: string, text: string, most: number): void {
  // No character takes less than a byte: long texts need not be encoded to be refused.
  atMost(what, text.length > most ? text.length : encoder.encode(text).length, most);
}

function atMost(what: string, found: number, most: number): void {
  if (found > most) {
    throw new RendezvousError(
      "too-large",
      `invalid registration: ${what}: ${found}, and at most ${most} may be`,
    );
  }
}

function malformed(problem: string, cause?: unknown): RendezvousError {
  return new RendezvousError("malformed", `invalid registration: ${problem}`, { cause });
}

/** What is signed begins with what it is, so that no other signature of the key fits. */
function signedBytes(registration: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(domain.length + registration.length);
  bytes.set(domain);
  bytes.set(registration, domain.length);
  return bytes;
}

const encoder = new TextEncoder();
const domain = encoder.encode("connectquic.rendezvous.v1.Registration\0");
const serviceName = /^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*$/;
const controls = /\p{Cc}/u;
