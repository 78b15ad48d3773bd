import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSocketAddress } from "../base/socket-address.ts";
import { natMapping } from "./nat-mapping.ts";

/** `observer address` for each observation. */
function judge(observations: readonly string[], local: readonly string[] = ["10.0.0.1:7"]) {
  return natMapping(
    observations.map((text) => {
      const [observer = "", address = ""] = text.split(" ");
      return { observer: parseSocketAddress(observer), address: parseSocketAddress(address) };
    }),
    local.map(parseSocketAddress),
  );
}

test("natMapping is unknown until two hosts have answered (RFC 4787 §4.1)", () => {
  assert.equal(judge([]), "unknown");
  assert.equal(judge(["192.0.2.1:1 198.51.100.1:9"]), "unknown");
  const sameHost = ["192.0.2.1:1 198.51.100.1:9", "192.0.2.1:2 198.51.100.1:9"];
  assert.equal(judge(sameHost), "unknown");
});

test("natMapping knows one address for all from one for each (RFC 4787 §4.1)", () => {
  const independent = ["192.0.2.1:1 198.51.100.1:9", "192.0.2.2:1 198.51.100.1:9"];
  assert.equal(judge(independent), "endpoint-independent");
  const byHost = ["192.0.2.1:1 198.51.100.1:9", "192.0.2.2:1 198.51.100.1:10"];
  assert.equal(judge(byHost), "endpoint-dependent");
  const byPort = ["192.0.2.1:1 198.51.100.1:9", "192.0.2.1:2 198.51.100.1:10"];
  assert.equal(judge(byPort), "endpoint-dependent");
  const byPool = ["192.0.2.1:1 198.51.100.1:9", "192.0.2.2:1 198.51.100.2:9"];
  assert.equal(judge(byPool), "endpoint-dependent");
});

test("natMapping finds none where our own address is seen, whatever else is said", () => {
  assert.equal(judge(["192.0.2.1:1 10.0.0.1:7"]), "none");
  assert.equal(judge(["192.0.2.1:1 10.0.0.1:7", "192.0.2.2:1 203.0.113.1:1"]), "none");
  assert.equal(judge(["192.0.2.1:1 10.0.0.1:8"]), "unknown", "another port is a NAT");
});
