import assert from "node:assert/strict";
import { test } from "node:test";
import { formatNamespaceName, parseNamespaceName } from "./namespace-name.ts";

test("a name says whose it is", () => {
  const name = { pid: 4_194_304, network: 12, node: "services" };
  assert.equal(formatNamespaceName(name), "cqnat-4194304-12-services");
  assert.deepEqual(parseNamespaceName("cqnat-4194304-12-services"), name);
});

test("names of others are not ours", () => {
  for (const name of [
    "",
    "cni-0af3",
    "cqnat",
    "cqnat-1-2",
    "cqnat--2-a",
    "xcqnat-1-2-a",
    "cqnat-1-2-A",
  ]) {
    assert.equal(parseNamespaceName(name), undefined, name);
  }
});
