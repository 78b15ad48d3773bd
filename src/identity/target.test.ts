import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { idVectors, ticketVectors } from "../../test/vectors/vectors.ts";
import { EndpointAddr } from "./endpoint-addr.ts";
import { EndpointId } from "./endpoint-id.ts";
import { EndpointTicket } from "./endpoint-ticket.ts";
import { IdentityError, type IdentityErrorCode } from "./identity-error.ts";
import { parseTarget, type Target } from "./target.ts";

const id = EndpointId.parse("b7196bb3a8f10e400e777014e935c7b9faf9e7f605f540307d8d6a8ff70aaf00");
const addr = EndpointAddr.from({ id, addrs: ["127.0.0.1:4433"] });
const ticket = new EndpointTicket(addr);

test("parseTarget takes tickets, ids and addresses, as text and as objects", () => {
  for (const target of [addr, ticket, ticket.toString()]) {
    assert.ok(parseTarget(target).equals(addr));
  }
  for (const target of [id, id.toString(), id.toBase32(), id.toBase32().toUpperCase()]) {
    assert.ok(parseTarget(target).equals(new EndpointAddr(id)));
  }
});

test("parseTarget reads an id in base32 that begins like a ticket", () => {
  const text = "endpointaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
  for (const last of "aqbcdefgh") {
    const id32 = text.slice(0, 30) + last + text.slice(31);
    try {
      assert.equal(parseTarget(id32).id.toBase32(), id32);
    } catch (error) {
      // Half of all texts are no points.
      assert.ok(error instanceof IdentityError && error.code === "invalid-id");
    }
  }
});

test("parseTarget says what is wrong with a target", () => {
  const bad: readonly (readonly [target: unknown, code: IdentityErrorCode, message: RegExp])[] = [
    [undefined, "invalid-id", /found undefined/],
    [null, "invalid-id", /found null/],
    [new Uint8Array(32), "invalid-id", /found object/],
    ["", "invalid-id", /the text is empty/],
    [ticket.toString().slice(0, 70), "invalid-ticket", /cut short|whole bytes|last digit/],
    [ticket.toString().toUpperCase(), "invalid-ticket", /lower case/],
    [` ${ticket}`, "invalid-ticket", /white space/],
    [`${ticket}\n`, "invalid-ticket", /white space/],
    [`node${ticket.toString().slice(8)}`, "invalid-ticket", /before iroh 1\.0/],
    [id.toString().toUpperCase(), "invalid-id", /lower case/],
    [`${id} `, "invalid-id", /white space/],
    [id.short, "invalid-id", /short form/],
    [id.toZ32(), "invalid-id", /z-base-32/],
    ["127.0.0.1:4433", "invalid-id", /does not say who the peer is/],
    ["https://relay.example/", "invalid-id", /does not say who the peer is/],
    ["help", "invalid-id", /4 characters/],
  ];
  for (const [target, code, message] of bad) {
    assert.throws(
      () => parseTarget(target as Target),
      (error) => {
        assert.ok(error instanceof IdentityError);
        assert.equal(error.code, code, error.message);
        assert.match(error.message, message);
        return true;
      },
    );
  }
});

test("parseTarget agrees with the parsers of tickets and of ids", () => {
  for (const { ticket: text } of [...ticketVectors.valid, ...ticketVectors.lenient]) {
    assert.ok(parseTarget(text).equals(EndpointTicket.parse(text).addr));
  }
  for (const { input, error } of idVectors.parse_public) {
    if (error === undefined) {
      assert.ok(parseTarget(input).id.equals(EndpointId.parse(input)));
    } else {
      assert.throws(() => parseTarget(input), IdentityError);
    }
  }
  for (const { input } of ticketVectors.malformed) {
    if (input !== id.toString() && !idVectors.parse_public.some((entry) => entry.input === input)) {
      assert.ok(/^[0-9a-f]{64}$/.test(input) || throwsIdentityError(input), input);
    }
  }
});

function throwsIdentityError(text: string): boolean {
  try {
    parseTarget(text);
    return false;
  } catch (error) {
    return error instanceof IdentityError;
  }
}

test("any text is a target or an IdentityError", () => {
  const anyText = fc.oneof(
    fc.string({ unit: "binary", maxLength: 70 }),
    fc.string({ maxLength: 80 }).map((text) => `endpoint${text}`),
    fc
      .tuple(fc.constantFrom(`${ticket}`, `${id}`), fc.nat(90), fc.string({ maxLength: 3 }))
      .map(([text, at, put]) => text.slice(0, at) + put + text.slice(at + 1)),
  );
  fuzz(
    anyText,
    (text) => {
      try {
        parseTarget(text);
      } catch (error) {
        assert.ok(error instanceof IdentityError);
      }
    },
    50_000,
  );
});
