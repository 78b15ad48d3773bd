import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { SignedRegistrationSchema } from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import {
  isGenuine,
  type RegistrationInit,
  readRegistration,
  registrationLimits,
  signRegistration,
} from "./registration.ts";
import { RendezvousError } from "./rendezvous-error.ts";

const key = SecretKey.generate();
const init: RegistrationInit = {
  addr: EndpointAddr.from({
    id: key.publicKey,
    addrs: ["192.0.2.1:4433", "https://relay.example./", "[2001:db8::1]:4433"],
  }),
  namespace: "fleet",
  audience: "https://rendezvous.example",
  signedUs: 1_700_000_000_000_001n,
  services: ["echo.v1.EchoService"],
  labels: { zone: "north", "": "x" },
};
const good = { ...init, labels: { zone: "north" } };

test("a registration that was signed is read as it was, and nothing else is genuine", () => {
  const record = signRegistration(key, good);
  const { signed, id, ...rest } = readRegistration(record.signed);
  assert.deepEqual(rest, good);
  assert.ok(id.equals(key.publicKey), "the id is the key's");
  assert.equal(isGenuine(record), true);
  const { registration, signature } = signed;
  for (const at of [0, 31, 63]) {
    const bent = signature.map((byte, index) => (index === at ? byte ^ 1 : byte));
    const forged = create(SignedRegistrationSchema, { registration, signature: bent });
    assert.equal(isGenuine(readRegistration(forged)), false);
  }
  const other = signRegistration(SecretKey.generate(), good);
  const mixed = create(SignedRegistrationSchema, {
    registration,
    signature: other.signed.signature,
  });
  assert.equal(isGenuine(readRegistration(mixed)), false);
});

test("what is larger than it may be, or is none, is refused by name", () => {
  const cases: [Partial<RegistrationInit>, "malformed" | "too-large", RegExp][] = [
    [{ labels: { "": "x" } }, "malformed", /key that is empty/],
    [
      { labels: { big: "x".repeat(1_000_000) } },
      "too-large",
      /registration: 1000\d+, and at most 16384/,
    ],
    [{ labels: { big: "ü".repeat(200) } }, "too-large", /label big: 400, and at most 256/],
    [
      { labels: Object.fromEntries(Array.from({ length: 33 }, (_, n) => [`l${n}`, ""])) },
      "too-large",
      /number of labels: 33, and at most 32/,
    ],
    [{ services: ["no service"] }, "malformed", /"no service" is no name of a service/],
    [{ services: Array.from({ length: 65 }, () => "a.B") }, "too-large", /number of services: 65/],
    [{ namespace: "a\nb" }, "malformed", /namespace has control characters/],
    [{ namespace: "n".repeat(129) }, "too-large", /namespace: 129, and at most 128/],
    [{ audience: "n".repeat(257) }, "too-large", /audience: 257/],
  ];
  for (const [bad, code, message] of cases) {
    assert.throws(
      () => signRegistration(key, { ...good, ...bad }),
      (error) =>
        error instanceof RendezvousError && error.code === code && message.test(error.message),
      `${Object.keys(bad)}`,
    );
  }
  assert.equal(registrationLimits.maxAddrs, 30);
});

test("bytes of any kind are read or refused with RendezvousError", () => {
  const { registration } = signRegistration(key, good).signed;
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .record({ at: fc.nat({ max: registration.length - 1 }), to: fc.nat({ max: 255 }) })
      .map(({ at, to }) => registration.map((byte, index) => (index === at ? to : byte))),
    fc.nat({ max: registration.length }).map((length) => registration.slice(0, length)),
  );
  fc.assert(
    fc.property(bytes, (mutant) => {
      try {
        readRegistration(create(SignedRegistrationSchema, { registration: mutant }));
      } catch (error) {
        assert.ok(error instanceof RendezvousError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
