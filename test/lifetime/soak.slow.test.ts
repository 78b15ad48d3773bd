// A million calls and ten thousand connections leave both processes as they were. CONNECT_QUIC_SOAK=0.2 makes a fifth.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { createEchoClient } from "../../gen/echo/v1/echo_quic.ts";
import { Endpoint } from "../../src/index.ts";
import { type Holdings, holdings } from "../support/holdings.ts";
import { startProgram } from "../support/process.ts";

const skip = process.env.CONNECT_QUIC_TEST === "slow" ? false : "slow";
const share = Number(process.env.CONNECT_QUIC_SOAK ?? 1);
assert.ok(share > 0 && share <= 1, "CONNECT_QUIC_SOAK is a part of the whole, above 0 and up to 1");
const calls = 1_000_000 * share;
const callers = 32;
const connections = 10_000 * share;
/** What may come and go without anything being wrong: caches that fill up to their limits, code that gets compiled. */
const slackBytes = 8 << 20;

interface Scene extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly ticket: string;
  readonly client: ReturnType<typeof createEchoClient>;
  /** Here, and in the server's process. */
  look(): Promise<readonly [Holdings, Holdings]>;
}

async function scene(): Promise<Scene> {
  const server = await startProgram(new URL("./soak-server.ts", import.meta.url));
  const { ticket } = server.greeting as { ticket: string };
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const client = createEchoClient(endpoint, ticket);
  return {
    endpoint,
    ticket,
    client,
    look: async () => {
      for (let tries = 0; ; tries += 1) {
        const { message } = await client.echo({ message: "report" });
        const both = [holdings(endpoint), JSON.parse(message) as Holdings] as const;
        // Connections that were closed linger for some round trips (RFC 9000 §10.2).
        if (tries === 100 || both.every(({ connections }) => connections === 1)) {
          return both;
        }
        await setTimeout(50);
      }
    },
    [Symbol.asyncDispose]: async () => {
      await endpoint.close();
      await server.close();
    },
  };
}

function assertFlat(before: readonly Holdings[], after: readonly Holdings[]): void {
  for (const [side, held] of after.entries()) {
    const first = before[side];
    assert.ok(first);
    for (const key of ["heap", "external", "engine"] as const) {
      const grown = held[key] - first[key];
      assert.ok(grown < slackBytes, `${key} of side ${side} grew by ${grown} bytes`);
    }
    assert.ok(
      held.resources <= first.resources + 1,
      `${held.resources} resources, ${first.resources} before`,
    );
    assert.equal(held.connections, first.connections);
  }
}

async function call(client: Scene["client"], count: number): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (left > 0) {
        left -= 1;
        const message = `${left}`;
        assert.equal((await client.echo({ message })).message, message);
      }
    }),
  );
}

test("F13: 1,000,000 calls leave memory, handles and streams where they were", {
  skip,
}, async (t) => {
  await using stage = await scene();
  await call(stage.client, 20_000);
  const before = await stage.look();
  await call(stage.client, calls);
  const after = await stage.look();
  t.diagnostic(JSON.stringify({ before, after }));
  assertFlat(before, after);
});

test("F27: 10,000 connections one after another leave memory and handles where they were", {
  skip,
}, async (t) => {
  await using stage = await scene();
  const connect = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index += 1) {
      const connection = await stage.endpoint.connect(stage.ticket, "connect-quic/1");
      await connection.close();
    }
  };
  await connect(200);
  const before = await stage.look();
  await connect(connections);
  const after = await stage.look();
  t.diagnostic(JSON.stringify({ before, after }));
  assertFlat(before, after);
});
