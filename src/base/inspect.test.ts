import assert from "node:assert/strict";
import { test } from "node:test";
import { format, inspect } from "node:util";
import { showAs } from "./inspect.ts";

class Secret {
  readonly value = 42;

  static {
    showAs(Secret, (secret) => `Secret(${String(secret.value).length} digits)`);
  }
}

test("showAs says how objects of a class are shown, and adds nothing that can be seen", () => {
  const secret = new Secret();
  assert.equal(inspect(secret), "Secret(2 digits)");
  assert.equal(format("%o", [secret]).includes("42"), false);
  assert.deepEqual(Object.keys(secret), ["value"]);
  assert.deepEqual(Object.keys(Secret.prototype), []);
});
