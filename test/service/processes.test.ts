// Servers, a place of rendezvous and a caller, each in a process of its own, over real sockets.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createQuicTransport, Endpoint } from "../../src/index.ts";
import { Rendezvous } from "../../src/rendezvous.ts";
import { EchoService } from "../support/echo-service.ts";
import { loopback } from "../support/peers.ts";
import { type Program, startProgram } from "../support/process.ts";
import { whoAnswers } from "./fleet.ts";

async function start(
  t: TestContext,
  name: string,
  env: Record<string, string> = {},
): Promise<{ readonly program: Program; readonly greeting: Record<string, string> }> {
  const program = await startProgram(new URL(name, import.meta.url), { env });
  t.after(() => program.kill());
  return { program, greeting: program.greeting as Record<string, string> };
}

test("calls follow who is registered, and go on without who is killed, and without the place", async (t) => {
  const place = await start(t, "place-program.ts");
  const { ticket: PLACE = "" } = place.greeting;
  const servers = await Promise.all([0, 1].map(() => start(t, "server-program.ts", { PLACE })));
  // It learns soon that a peer is not there any more.
  await using endpoint = await Endpoint.bind({
    bind: loopback,
    transport: { idleTimeoutMs: 5_000 },
  });
  const rendezvous = new Rendezvous({ transport: createQuicTransport({ endpoint, to: PLACE }) });
  await using transport = createQuicTransport({
    endpoint,
    service: EchoService,
    via: {
      watch: (query, options) => rendezvous.watch({ ...query, labels: { fleet: "one" } }, options),
    },
    policy: "round-robin",
    keepAliveIntervalMs: 1_000,
  });
  const client = createClient(EchoService, transport);
  /** Calls until exactly these have answered in turn. */
  const answering = async (...ids: readonly (string | undefined)[]): Promise<void> => {
    const expected = [...ids].sort();
    for (;;) {
      const answers = await whoAnswers(client, ids.length).catch(() => []);
      if (JSON.stringify(answers.sort()) === JSON.stringify(expected)) {
        return;
      }
    }
  };
  const [one, two] = servers.map(({ greeting }) => greeting.id);
  await answering(one, two);

  const third = await start(t, "server-program.ts", { PLACE });
  await answering(one, two, third.greeting.id);

  // One says goodbye, and one does not.
  await third.program.close();
  await answering(one, two);
  await servers[0]?.program.kill();
  // What is lost with it fails, and then nothing does.
  await answering(two, two);
  await place.program.kill();
  await answering(two, two);
  const lost = transport.peers.find(({ id }) => id.toString() === one);
  assert.notEqual(lost?.state, "ready");
  assert.match(rendezvous.name, /^rendezvous [0-9a-f]{10}$/);
});
