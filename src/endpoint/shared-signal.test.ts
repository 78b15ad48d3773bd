// One AbortSignal for everything that a program waits for: no warning of a leak, and nothing left on it.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { Endpoint } from "./endpoint.ts";

const alpn = "test/1";
const loopback = "127.0.0.1:0";
/** Node.js warns from 11 listeners on. */
const waits = 50;

for (const ending of ["fires", "does not fire"] as const) {
  test(`F27: ${waits} waits of each kind on a signal that ${ending} cause no warning and leave no listener`, async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => {
      warnings.push(warning);
    };
    process.on("warning", onWarning);
    const limits = { maxBidirectionalStreams: waits, maxUnidirectionalStreams: 1 };
    await using server = await Endpoint.bind({ bind: loopback, alpns: [alpn], transport: limits });
    await using client = await Endpoint.bind({ bind: loopback });
    const [connection, accepted] = await Promise.all([
      client.connect(server.addr(), alpn),
      server.accept(),
    ]);
    assert.ok(accepted);
    const silent = EndpointAddr.from({
      id: SecretKey.generate().publicKey,
      addrs: ["127.0.0.1:9"],
    });

    const controller = new AbortController();
    const { signal } = controller;
    const streams = await Promise.all(Array.from({ length: waits }, () => connection.openBi()));
    await connection.openUni();
    const kinds: Record<string, () => Promise<unknown>> = {
      openUni: () => connection.openUni({ signal }),
      acceptBi: () => connection.acceptBi({ signal }),
      acceptUni: () => connection.acceptUni({ signal }),
      readDatagram: () => connection.readDatagram({ signal }),
      accept: () => server.accept({ signal }),
      connect: () => client.connect(silent, alpn, { signal, timeoutMs: 60_000 }),
    };
    const pending = [
      ...streams.map(({ receive }) => receive.read({ signal })),
      ...Object.values(kinds).flatMap((wait) => Array.from({ length: waits }, wait)),
    ];
    const outcomes = Promise.allSettled(pending);
    await turns();
    assert.equal(getEventListeners(signal, "abort").length, 1);
    if (ending === "fires") {
      controller.abort(new Error("enough"));
      for (const outcome of await outcomes) {
        assert.equal(outcome.status === "rejected" ? outcome.reason : outcome, signal.reason);
      }
    } else {
      await connection.close({ timeoutMs: 0 });
      await Promise.all([client, server].map((endpoint) => endpoint.close({ timeoutMs: 0 })));
      await outcomes;
    }
    await turns();
    assert.equal(getEventListeners(signal, "abort").length, 0);
    process.off("warning", onWarning);
    assert.deepEqual(warnings, []);
  });
}

/** A warning is emitted in a later turn of the event loop. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
