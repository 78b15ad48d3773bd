import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { EchoService } from "../../test/support/echo-service.ts";
import { unaryResponse } from "./unary-response.ts";

const { echo } = EchoService.method;

function response(made: () => void = () => {}) {
  return unaryResponse(echo, create(echo.output, { message: "hello" }), () => {
    made();
    return [new Headers({ "x-header": "h" }), new Headers({ "x-trailer": "t" })];
  });
}

test("a short response has its headers and trailers when it is copied, and makes them once", () => {
  let made = 0;
  const short = response(() => {
    made += 1;
  });
  assert.equal(short.stream, false);
  assert.equal(made, 0);
  const copy = { ...short };
  assert.equal(copy.header.get("x-header"), "h");
  assert.equal(copy.trailer.get("x-trailer"), "t");
  assert.equal(copy.header, short.header);
  assert.equal(made, 1);
  assert.deepEqual(Object.getOwnPropertySymbols(copy), []);
  assert.deepEqual(Object.keys(copy).sort(), [
    ...["header", "message", "method", "service", "stream", "trailer"],
  ]);
});

test("the headers of a short response are found through what wraps it", () => {
  for (const wrap of [
    (short: object) => new Proxy(short, {}),
    (short: object) => Object.create(short) as object,
  ]) {
    const wrapped = wrap(response()) as ReturnType<typeof response>;
    assert.equal(wrapped.header.get("x-header"), "h");
    assert.equal(wrapped.trailer.get("x-trailer"), "t");
  }
});

test("short responses are of one shape, so that the engine keeps nothing of them", () => {
  for (const name of ["header", "trailer"]) {
    const [first, second] = [response(), response()].map(
      (short) => Object.getOwnPropertyDescriptor(short, name)?.get,
    );
    assert.ok(first !== undefined);
    assert.equal(first, second);
  }
});
