// The defaults that README.md names are those of the code.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Endpoint } from "../src/endpoint/endpoint.ts";
import { defaultIncomingLimits, defaultTransportOptions } from "../src/engine/engine.ts";
import { defaultHttp3Limits } from "../src/http3/http3-limits.ts";
import { resolveTransportOptions } from "../src/rpc/quic-transport-options.ts";
import { defaultReceiveBudget } from "../src/rpc/receive-budget.ts";
import { defaultBackoff } from "../src/rpc/redial-plan.ts";
import { defaultTunnelLimits } from "../src/tunnel/tunnel-limits.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const limits = /\n## Limits\n([\s\S]*?)\n## /.exec(read("README.md"))?.[1] ?? assert.fail();
const rows = [...limits.matchAll(/^\| `(\w+)` \| ([^|]+) \|/gm)].map(
  ([, option = "", text = ""]) => ({ option, text }),
);

describe("the limits of README.md", () => {
  let endpoint: Endpoint;
  let defaults: Readonly<Record<string, unknown>>;
  before(async () => {
    endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
    const { common, ...calls } = resolveTransportOptions({});
    defaults = {
      ...defaultTransportOptions,
      ...defaultIncomingLimits,
      ...common,
      ...calls,
      ...defaultTunnelLimits,
      receiveBudgetBytes: defaultReceiveBudget,
      startTimeoutMs: literal("src/endpoint/worker-pool.ts", "defaultStartTimeoutMs"),
      maxConcurrentCalls: literal("src/rpc/peer-router.ts", "maxConcurrentCalls"),
      handlerTimeoutMs: literal("src/rpc/peer-router.ts", "handlerTimeoutMs"),
    };
  });
  after(() => endpoint.close());

  for (const { option, text } of rows) {
    test(`${option} is ${text}`, () => {
      // 4 GiB stands for the largest number below it.
      assert.equal(Math.min(quantity(text), 0xffff_ffff), defaults[option]);
    });
  }

  test("name every limit on incoming connections and tunnels, and none twice", () => {
    const named = rows.map(({ option }) => option);
    // Connections and tunnels both have a budget, of the same size.
    const twice = named.filter((option, index) => named.indexOf(option) < index);
    assert.deepEqual(twice, ["receiveBudgetBytes"]);
    assert.deepEqual(
      Object.keys({ ...defaultIncomingLimits, ...defaultTunnelLimits }).filter(
        (option) => !named.includes(option),
      ),
      [],
    );
  });

  test("name those that are fixed", () => {
    const { maxFieldSectionSize, maxPartialSectionBytes, qpackMaxTableCapacity } =
      defaultHttp3Limits;
    const { headersTimeoutMs, floodWindowMs, qpackBlockedStreams } = defaultHttp3Limits;
    const { maxResets, maxIgnoredFrames, maxIgnoredStreams } = defaultHttp3Limits;
    const seconds = (ms: number): string => `${ms / 1_000} s`;
    const authorizeMs = literal("src/endpoint/endpoint.ts", "authorizeTimeoutMs");
    for (const text of [
      `at most ${maxFieldSectionSize / 1_024} KiB and is complete within ${seconds(headersTimeoutMs)}`,
      `parts of them take at most ${maxPartialSectionBytes / 1_048_576} MiB`,
      `a table of ${qpackMaxTableCapacity / 1_024} KiB and ${qpackBlockedStreams} blocked streams`,
      `Within ${seconds(floodWindowMs)}, ${maxResets} requests may be given up`,
      `${maxIgnoredFrames} frames be without effect and ${maxIgnoredStreams} streams`,
      `\`authorize\` hook has ${seconds(authorizeMs)}`,
      `${literal("src/endpoint/endpoint.ts", "maxPendingConnections")} connections may wait`,
      `waits ${defaultBackoff.initialMs} ms, and twice as long each time up to ${seconds(defaultBackoff.maxMs)}`,
    ]) {
      assert.ok(limits.includes(text), text);
    }
  });
});

/** `16 MiB` in bytes, `10 s` in milliseconds, a number alone as it is. */
function quantity(text: string): number {
  const units = { "": 1, B: 1, KiB: 2 ** 10, MB: 1e6, MiB: 2 ** 20, GiB: 2 ** 30, ms: 1, s: 1_000 };
  const [, digits = "", unit = ""] = /^([\d. ]*\d) ?([A-Za-z]*)$/.exec(text) ?? [];
  assert.ok(unit in units, text);
  return Number(digits.replaceAll(" ", "")) * units[unit as keyof typeof units];
}

/** The number that a source file gives to a name. */
function literal(path: string, name: string): number {
  const digits = new RegExp(`\\b${name} = ([\\d_]+)`).exec(read(path))?.[1];
  assert.ok(digits !== undefined, `${path} has no ${name}`);
  return Number(digits.replaceAll("_", ""));
}

function read(path: string): string {
  return readFileSync(`${root}${path}`, "utf8");
}
