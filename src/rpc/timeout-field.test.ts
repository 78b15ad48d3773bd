import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { parseTimeoutMs, reduceTimeout } from "./timeout-field.ts";

const understood: readonly [name: string, value: string, ms: number][] = [
  ["connect-timeout-ms", "0", 0],
  ["connect-timeout-ms", "1500", 1_500],
  ["connect-timeout-ms", "9999999999", 9_999_999_999],
  ["grpc-timeout", "2H", 7_200_000],
  ["grpc-timeout", "3M", 180_000],
  ["grpc-timeout", "4S", 4_000],
  ["grpc-timeout", "5m", 5],
  ["grpc-timeout", "6000u", 6],
  ["grpc-timeout", "7000000n", 7],
];
for (const [name, value, ms] of understood) {
  test(`${name}: ${value} allows ${ms} ms`, () => {
    assert.equal(Math.round(parseTimeoutMs(new Headers({ [name]: value })) ?? -1), ms);
  });
}

test("a timeout that cannot be understood counts as none", () => {
  for (const value of ["", "1", "m", "-1m", "123456789m", "1x", "1.5S"]) {
    assert.equal(parseTimeoutMs(new Headers({ "grpc-timeout": value })), undefined);
  }
  for (const value of ["", "1m", "-1", "12345678901", "1.5"]) {
    assert.equal(parseTimeoutMs(new Headers({ "connect-timeout-ms": value })), undefined);
  }
  assert.equal(parseTimeoutMs(new Headers()), undefined);
});

test("a random value neither throws nor gives anything but a number", () => {
  fuzz(fc.stringMatching(/^[ -~]{0,12}$/), (value) => {
    for (const name of ["grpc-timeout", "connect-timeout-ms"]) {
      const ms = parseTimeoutMs(new Headers({ [name]: value }));
      assert.ok(ms === undefined || (Number.isFinite(ms) && ms >= 0));
    }
  });
});

test("time that has passed is taken off", () => {
  assert.deepEqual(reduceTimeout(["connect-timeout-ms", "500"], 120), [
    "connect-timeout-ms",
    "380",
  ]);
  assert.deepEqual(reduceTimeout(["grpc-timeout", "500m"], 120), ["grpc-timeout", "380m"]);
});

test("something is left however long it took", () => {
  assert.deepEqual(reduceTimeout(["grpc-timeout", "500m"], 9_000), ["grpc-timeout", "1m"]);
});

test("other fields and other units stay as they are", () => {
  for (const field of [
    ["a", "500"],
    ["grpc-timeout", "1S"],
    ["connect-timeout-ms", "x"],
  ] as const) {
    assert.equal(reduceTimeout(field, 10), field);
  }
});
