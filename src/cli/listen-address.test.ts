import assert from "node:assert/strict";
import { test } from "node:test";
import { parseListenAddress } from "./listen-address.ts";

test("an address to listen on is an IP address with a port, or a port", () => {
  assert.deepEqual(parseListenAddress("listen", "127.0.0.1:80"), { host: "127.0.0.1", port: 80 });
  assert.deepEqual(parseListenAddress("listen", "[::1]:80"), { host: "::1", port: 80 });
  assert.deepEqual(parseListenAddress("listen", "3340"), { port: 3_340 });
  assert.deepEqual(parseListenAddress("listen", ":3340"), { port: 3_340 });
  assert.deepEqual(parseListenAddress("listen", "0"), { port: 0 });
  for (const text of ["", "localhost:80", "1.2.3.4", "::1:80", "65536", "-1", "1.2.3.4:65536"]) {
    assert.throws(() => parseListenAddress("listen", text), { name: "UsageError" }, text);
  }
});
