import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { nodePlatform } from "../base/node-platform.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { MemoryState } from "./memory-state.ts";
import { signRegistration } from "./registration.ts";
import { defaultRendezvousLimits } from "./rendezvous-limits.ts";
import { RendezvousMetrics } from "./rendezvous-metrics.ts";
import { WatchCalls } from "./watch-calls.ts";

/** What happens while the reader has not come back for more. */
const events: Readonly<Record<string, readonly [code: Code, problem: RegExp]>> = {
  "the state is lost": [Code.Aborted, /watch again/],
  "the place closes": [Code.Unavailable, /closing/],
};

for (const [what, [code, problem]] of Object.entries(events)) {
  test(`a watcher that reads slowly learns that ${what}`, async () => {
    const limits = defaultRendezvousLimits;
    const report = (error: unknown): never => assert.fail(String(error));
    const context = { limits, platform: nodePlatform, dateMs: () => 0, report };
    const state = new MemoryState(context);
    const closing = new AbortController();
    const metrics = new RendezvousMetrics();
    const watches = new WatchCalls({ ...context, state, metrics, closing: closing.signal });
    const reading = new AbortController();
    const changes = watches.open(
      {
        namespace: "",
        selector: { service: undefined, labels: [], ids: undefined },
        caller: "somebody",
        resume: new Uint8Array(),
      },
      { signal: reading.signal },
    );
    assert.equal((await changes.next()).value?.complete, true);
    const key = SecretKey.generate();
    const record = signRegistration(key, {
      addr: new EndpointAddr(key.publicKey),
      namespace: "",
      audience: "",
      signedUs: 0n,
      services: [],
      labels: {},
    });
    await state.register(record, { lease: "one", leaseMs: 60_000 });
    assert.equal((await changes.next()).value?.changes.length, 1);
    const set = await state.set("");
    if (what === "the state is lost") {
      set?.abandon();
    } else {
      closing.abort();
    }
    const timer = setTimeout(() => reading.abort(), 5_000);
    await assert.rejects(changes.next(), (error) => {
      assert.ok(error instanceof ConnectError, "it is told");
      assert.equal(error.code, code);
      assert.match(error.message, problem);
      return true;
    });
    clearTimeout(timer);
    await state.close();
  });
}
