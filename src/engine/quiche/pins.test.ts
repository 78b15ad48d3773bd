import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { test } from "node:test";
import { createSelfSignedCertificate } from "../../../test/support/self-signed-certificate.ts";
import { TestAuthority } from "../../../test/support/test-pki.ts";
import { Pins } from "./pins.ts";

const certificates = (pem: string): Uint8Array[] => [new X509Certificate(pem).raw];

const now = Date.UTC(2024, 0, 1);
const later = Date.UTC(2060, 0, 1);

test("Pins are for certificates that are no authority's", async () => {
  const authority = certificates((await TestAuthority.create()).certPem);
  const own = certificates(createSelfSignedCertificate().cert);
  assert.equal(Pins.of([], true), undefined);
  assert.equal(Pins.of(authority, true), undefined);
  assert.equal(Pins.of([...own, ...authority], true), undefined);
  assert.notEqual(Pins.of(own, true), undefined);
});

test("Pins take the very certificate, while it is valid, and no other", () => {
  const own = certificates(createSelfSignedCertificate().cert);
  const other = certificates(createSelfSignedCertificate().cert);
  const pins = Pins.of(own, true) ?? assert.fail();
  assert.equal(pins.fault(own, now), undefined);
  assert.equal(pins.fault(other, now)?.alert, 48);
  assert.equal(pins.fault([...other, ...own], now)?.alert, 48);
  assert.equal(pins.fault(own, later)?.alert, 45);
  assert.equal(pins.fault([], now)?.alert, 116);
  assert.equal(Pins.of(own, false)?.fault([], now), undefined);
});
