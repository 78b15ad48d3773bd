import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { explain } from "./explain.ts";

test("an error is explained with its causes, each once", () => {
  const root = new Error("connect ECONNREFUSED");
  const middle = new Error("cannot reach the relay: connect ECONNREFUSED", { cause: root });
  const top = new ConnectError("cannot call", Code.Unavailable, undefined, undefined, middle);
  assert.equal(explain(top), "cannot call: cannot reach the relay: connect ECONNREFUSED");
});

test("what is no error is explained as text, and causes that are none are left out", () => {
  assert.equal(explain("stop"), "stop");
  assert.equal(explain(new Error("lost", { cause: { type: "timeout" } })), "lost");
});

test("causes that go round in circles come to an end", () => {
  const error = new Error("a");
  error.cause = new Error("b", { cause: error });
  assert.equal(explain(error), "a: b");
});
