import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import type { HttpRequest, Network } from "./network.ts";
import { measureRelayLatency, relayHttpUrl } from "./relay-latency.ts";

const relay = parseRelayUrl("https://relay.example./");

/** Measures a relay that answers after these times, one after the other. */
async function measure(
  times: readonly number[],
  options: { readonly status?: number; readonly limitMs?: number } = {},
) {
  const { status = 200, limitMs = 3_000 } = options;
  const platform = new VirtualPlatform(1);
  const asked: { readonly url: string; readonly request: HttpRequest }[] = [];
  const request: Network["request"] = (url, sent) =>
    new Promise((resolve) => {
      const delayMs = times[asked.length] ?? Number.POSITIVE_INFINITY;
      asked.push({ url: url.href, request: sent });
      if (Number.isFinite(delayMs)) {
        platform.setTimer(delayMs, () => resolve({ status, headers: {}, body: new Uint8Array(0) }));
      }
    });
  const limit = new AbortController();
  platform.setTimer(limitMs, () => limit.abort(new Error("no answer in time")));
  let outcome: number | Error | undefined;
  measureRelayLatency(relay, { platform, request, signal: limit.signal }).then(
    (latencyMs) => {
      outcome = latencyMs;
    },
    (error) => {
      outcome = error;
    },
  );
  assert.ok(await platform.runAsync(() => outcome !== undefined));
  return { outcome, asked };
}

test("measureRelayLatency takes the median of three answers on a connection that is there", async () => {
  const { outcome, asked } = await measure([200, 40, 90, 50]);
  assert.equal(outcome, 50);
  assert.deepEqual(
    asked.map(({ url, request }) => `${request.method} ${url}`),
    Array(4).fill("GET https://relay.example./ping"),
  );
  assert.ok(asked.every(({ request }) => request.maxBytes <= 1_024));
});

test("measureRelayLatency makes do with what was answered in time", async () => {
  assert.equal((await measure([900, 800])).outcome, 800);
  assert.equal((await measure([2_000])).outcome, 2_000);
  assert.equal(String((await measure([])).outcome), "Error: no answer in time");
});

test("measureRelayLatency knows what is no relay", async () => {
  assert.match(
    String((await measure([10], { status: 404 })).outcome),
    /GET https:\/\/relay\.example\.\/ping was answered with 404, expected 200/,
  );
});

test("relayHttpUrl finds the HTTP server of a relay that is known by any URL", () => {
  for (const [url, expected] of [
    ["https://relay.example./relay?token=x", "https://relay.example./ping"],
    ["http://127.0.0.1:3340", "http://127.0.0.1:3340/ping"],
    ["ws://[::1]:3340", "http://[::1]:3340/ping"],
    ["wss://relay.example:8443/", "https://relay.example:8443/ping"],
  ] as const) {
    assert.equal(relayHttpUrl(parseRelayUrl(url), "/ping").href, expected);
  }
});
