import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { explain } from "./explain.ts";
import { printable } from "./printable.ts";

test("what a terminal obeys does not reach it", () => {
  assert.equal(printable("a\u001b[2Jb\r\nc\u202ed\u009be"), "a [2Jb c d e");
  assert.equal(printable("größer – 你好 🙂"), "größer – 你好 🙂");
  assert.equal(
    explain(new ConnectError("no\u001b]0;title\u0007!", Code.Internal)),
    "no ]0;title !",
  );
});
