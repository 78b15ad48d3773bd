import assert from "node:assert/strict";
import { test } from "node:test";
import { createProgress } from "./progress.ts";

function written(isTTY: boolean): string {
  let text = "";
  const stream = {
    isTTY,
    write: (piece: string | Uint8Array) => {
      text += piece;
      return true;
    },
  };
  const progress = createProgress(stream);
  progress("1/2 unary", "round 1, a");
  progress("1/2 unary", "round 1, b");
  progress("2/2 bulk", "round 1, a");
  return text;
}

test("in a log, progress is a line for each workload", () => {
  assert.equal(written(false), "1/2 unary\n2/2 bulk\n");
});

test("on a terminal, progress is one line that changes", () => {
  assert.equal(written(true).split("\r").at(-1)?.endsWith("2/2 bulk: round 1, a"), true);
});
