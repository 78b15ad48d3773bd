// Both sides of a connection call each other at once.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Client, createClient } from "@connectrpc/connect";
import { peerKey } from "../../src/index.ts";
import { EchoService, echoImplementation, Outbox } from "../support/echo-service.ts";
import { HubLab, type PartyOptions } from "../support/hub-and-device.ts";

/** Echoes after as many calls back and forth as the message begins with. */
const implementation: NonNullable<PartyOptions["implementation"]> = {
  ...echoImplementation,
  echo: async ({ message }, { values }) => {
    const [depth = "0", ...rest] = message.split(" ");
    if (Number(depth) > 0) {
      const back = createClient(EchoService, values.get(peerKey).transport());
      return await back.echo({ message: [Number(depth) - 1, ...rest].join(" ") });
    }
    return { message };
  },
};

async function withBoth(
  use: (clients: readonly Client<typeof EchoService>[], lab: HubLab) => Promise<void>,
): Promise<void> {
  await HubLab.run({ implementation }, async (lab) => {
    const device = await lab.device({ implementation });
    const peer = await lab.peerOf(device);
    await use(
      [device.transport, peer.transport()].map((transport) => createClient(EchoService, transport)),
      lab,
    );
    assert.deepEqual(lab.reports, []);
  });
}

test("calls of all kinds in both directions at once, nested ones too, all come to their end", async () => {
  await withBoth(async (clients, lab) => {
    const text = "x".repeat(2_000);
    const work = clients.flatMap((echo, side) => [
      ...Array.from({ length: 200 }, async (_, number) => {
        const { message } = await echo.echo({ message: `4 ${side} ${number} ${text}` });
        assert.equal(message, `0 ${side} ${number} ${text}`);
      }),
      ...Array.from({ length: 10 }, async () => {
        let count = 0;
        for await (const { number } of echo.repeat({ message: text, count: 100 })) {
          count += 1;
          assert.equal(number, count);
        }
        assert.equal(count, 100);
      }),
      ...Array.from({ length: 10 }, async () => {
        const sent = Array.from({ length: 100 }, (_, number) => `${number} ${text}`);
        const answer = await echo.collect(
          (async function* () {
            for (const message of sent) {
              yield { message };
            }
          })(),
        );
        assert.deepEqual(answer.messages, sent);
      }),
    ]);
    await Promise.all(work);
    assert.equal(lab.hub.endpoint.connections.size, 1);
  });
});

test("F10: streams that nobody reads hold up no call in either direction", async () => {
  await withBoth(async (clients) => {
    const stalled = clients.flatMap((echo) =>
      Array.from({ length: 5 }, () => {
        const responses = echo.repeat({ message: "x".repeat(100_000), count: 1_000 });
        return responses[Symbol.asyncIterator]();
      }),
    );
    for (const responses of stalled) {
      assert.equal((await responses.next()).value?.number, 1);
    }
    for (const echo of clients) {
      const outbox = new Outbox();
      const echoes = echo.converse(outbox)[Symbol.asyncIterator]();
      for (let turn = 0; turn < 20; turn += 1) {
        outbox.send(`${turn}`);
        assert.equal((await echoes.next()).value?.message, `${turn}`);
        await echo.echo({ message: "2" });
      }
      outbox.finish();
      await echoes.next();
    }
    for (const responses of stalled) {
      assert.equal((await responses.next()).value?.number, 2);
    }
  });
});
