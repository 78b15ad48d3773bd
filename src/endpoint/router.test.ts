import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { Endpoint } from "./endpoint.ts";
import { closeCode } from "./endpoint-error.ts";
import { Router } from "./router.ts";

test("a protocol whose name cannot be is refused, and does not stand in the way of others", async () => {
  await using server = await Endpoint.bind({ bind: "127.0.0.1:0" });
  await using router = new Router(server);
  assert.throws(() => router.accept("", { accept: () => {} }), RangeError);
  router.accept("good/1", { accept: () => {} });
  await using client = await Endpoint.bind({ bind: "127.0.0.1:0" });
  await client.connect(server.ticket(), "good/1");
});

test("F15: an onError that throws becomes a warning, and the connection is closed all the same", async () => {
  await using server = await Endpoint.bind({
    bind: "127.0.0.1:0",
    onError: () => {
      throw new Error("the log is full");
    },
  });
  await using _ = new Router(server).accept("broken/1", {
    accept: async () => {
      throw new Error("oops");
    },
  });
  await using client = await Endpoint.bind({ bind: "127.0.0.1:0" });
  client.hold();
  const warned = once(process, "warning");
  const connection = await client.connect(server.ticket(), "broken/1");
  const cause = await connection.closed;
  assert.equal(cause.type === "application" && cause.code, closeCode.internalError);
  const [warning] = await warned;
  assert.match(String(warning), /the log is full/);
});
