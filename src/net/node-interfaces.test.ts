import assert from "node:assert/strict";
import { syncBuiltinESMExports } from "node:module";
import os from "node:os";
import { test } from "node:test";
import { nodeInterfaces, shortLivedOf } from "./node-interfaces.ts";

test("nodeInterfaces lists the loopback of this host", () => {
  const loopback = nodeInterfaces().find(({ host }) => host === "127.0.0.1");
  assert.equal(loopback?.internal, true);
  assert.equal(loopback?.family, 4);
  assert.notEqual(loopback?.interfaceName, "");
});

test("nodeInterfaces is empty where the system refuses to say", (context) => {
  const mock = context.mock.method(os, "networkInterfaces", () => {
    throw new Error(
      "A system error occurred: uv_interface_addresses returned Unknown system error 13",
    );
  });
  syncBuiltinESMExports();
  try {
    assert.deepEqual(nodeInterfaces(), []);
  } finally {
    mock.mock.restore();
    syncBuiltinESMExports();
  }
});

test("shortLivedOf finds temporary and deprecated addresses in Linux's table", () => {
  const table = [
    "20010db8000000000000000000000001 02 40 00 80     eth0",
    "20010db8000000000000000000000002 02 40 00 01     eth0",
    "20010db8000000000000000000000003 02 40 00 20     eth0",
    "20010db8000000000000000000000004 02 40 00 421   wlan0",
    "00000000000000000000000000000001 01 80 10 80       lo",
    "not a line",
    "",
  ].join("\n");
  assert.deepEqual([...shortLivedOf(table)], ["2001:db8::2", "2001:db8::3", "2001:db8::4"]);
});
