import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { addrVectors } from "../../test/vectors/vectors.ts";
import { IdentityError } from "./identity-error.ts";
import { parseRelayUrl } from "./relay-url.ts";

function isInvalidAddress(error: unknown): error is IdentityError {
  return error instanceof IdentityError && error.code === "invalid-address";
}

test("relay URLs take the form that iroh gives them", () => {
  assert.ok(addrVectors.relay_url_parse.length > 0);
  for (const { input, url, error } of addrVectors.relay_url_parse) {
    if (error === undefined) {
      assert.equal(parseRelayUrl(input), url, input);
    } else {
      assert.throws(() => parseRelayUrl(input), isInvalidAddress, input);
    }
  }
});

test("a text that is no absolute URL is told apart from a bad one", () => {
  assert.throws(() => parseRelayUrl("relay.example.com"), /not an absolute URL/);
  assert.throws(() => parseRelayUrl("https://a:99999/"), /"https:\/\/a:99999\/": not a valid URL/);
});

test("any text is a relay URL in a form that does not change again, or an IdentityError", () => {
  const anyText = fc.oneof(
    { weight: 10, arbitrary: fc.string({ maxLength: 30 }) },
    { weight: 10, arbitrary: fc.string({ maxLength: 20 }).map((text) => `https://${text}`) },
    {
      weight: 1,
      arbitrary: fc.string({ unit: "binary", maxLength: 9 }).map((text) => `x:${text}`),
    },
    { weight: 1, arbitrary: fc.webUrl({ size: "xsmall" }) },
  );
  fuzz(anyText, (text) => {
    try {
      const url = parseRelayUrl(text);
      assert.equal(parseRelayUrl(url), url);
    } catch (error) {
      assert.ok(isInvalidAddress(error));
    }
  });
});
