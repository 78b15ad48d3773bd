import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AddressTokens, ResetTokens } from "./address-tokens.ts";

const client = { family: 4, host: "192.0.2.1", port: 4_433 } as const;
const originalId = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const retryId = Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1);

describe("tokens of addresses", () => {
  const tokens = new AddressTokens(new Uint8Array(32).fill(1));
  const token = tokens.issue(client, originalId, retryId, 1_000);

  it("are good for the address and the id that they were made for, for 15 s", () => {
    assert.deepEqual(tokens.check(client, token, retryId, 1_000), { type: "valid", originalId });
    assert.deepEqual(tokens.check(client, token, retryId, 16_000), { type: "valid", originalId });
    assert.equal(tokens.check(client, token, retryId, 16_001).type, "invalid");
    assert.equal(tokens.check({ ...client, port: 1 }, token, retryId, 1_000).type, "invalid");
    assert.equal(
      tokens.check({ ...client, host: "192.0.2.2" }, token, retryId, 1_000).type,
      "invalid",
    );
    assert.equal(tokens.check(client, token, originalId, 1_000).type, "invalid");
    const others = new AddressTokens(new Uint8Array(32).fill(2));
    assert.equal(others.check(client, token, retryId, 1_000).type, "invalid");
  });

  it("are bad when a byte was changed or is missing", () => {
    for (let index = 0; index < token.length; index += 1) {
      const changed = token.slice();
      changed[index] = (changed[index] ?? 0) ^ 1;
      const expected = index === 0 ? "foreign" : "invalid";
      assert.equal(tokens.check(client, changed, retryId, 1_000).type, expected, String(index));
      const cut = token.subarray(0, index);
      assert.equal(tokens.check(client, cut, retryId, 1_000).type, expected, String(index));
    }
  });
});

describe("tokens of stateless resets", () => {
  it("are 16 bytes, the same for the same id", () => {
    const tokens = new ResetTokens(new Uint8Array(32));
    assert.equal(tokens.tokenFor(originalId).length, 16);
    assert.deepEqual(tokens.tokenFor(originalId), tokens.tokenFor(originalId.slice()));
    assert.notDeepEqual(tokens.tokenFor(originalId), tokens.tokenFor(retryId));
  });
});
