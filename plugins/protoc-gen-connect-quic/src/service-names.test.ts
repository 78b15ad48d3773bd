import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { namesOf } from "./service-names.ts";

test("namesOf keeps the name of the service and drops Service before Client", () => {
  assert.deepEqual(namesOf("ElizaService", ["ElizaService"]), {
    createClient: "createElizaClient",
    client: "ElizaClient",
    register: "registerElizaService",
    implementation: "ElizaServiceImpl",
    alpn: "ElizaServiceAlpn",
  });
});

const clientNames: readonly (readonly [string, readonly string[], string])[] = [
  ["Greeter", ["Greeter"], "createGreeterClient"],
  ["Service", ["Service"], "createServiceClient"],
  ["eliza", ["eliza"], "createElizaClient"],
  ["eliza_service", ["eliza_service"], "createEliza_serviceClient"],
  ["_Eliza", ["_Eliza"], "create_ElizaClient"],
  ["Eliza", ["Eliza", "ElizaService"], "createElizaClient"],
  ["ElizaService", ["Eliza", "ElizaService"], "createElizaServiceClient"],
  ["ElizaService", ["eliza", "ElizaService"], "createElizaServiceClient"],
  ["Echo", ["Echo", "echo"], "createEchoClient"],
  ["echo", ["Echo", "echo"], "create$echoClient"],
];

for (const [name, siblings, expected] of clientNames) {
  test(`namesOf calls the client of ${name} among ${siblings.join(", ")} ${expected}`, () => {
    assert.equal(namesOf(name, siblings).createClient, expected);
  });
}

test("namesOf never gives one name twice in a file", () => {
  // Short names of few parts, so that clashes are the rule.
  const part = fc.constantFrom(
    "foo",
    "Foo",
    "Service",
    "Client",
    "Alpn",
    "Impl",
    "create",
    "register",
    "_",
  );
  const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 2, maxLength: 8 }), (services) => {
      const names = services.map((service) => namesOf(service, services));
      const values = names.flatMap((of) => [of.createClient, of.register, of.alpn]);
      const types = names.flatMap((of) => [of.client, of.implementation]);
      assert.equal(new Set(values).size, values.length, values.join(" "));
      assert.equal(new Set(types).size, types.length, types.join(" "));
    }),
    { numRuns: 20_000 },
  );
});
