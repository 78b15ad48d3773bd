// What happens to two peers while they talk: calls begin every 20 ms, and a stream goes on all the time.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { HostOptions, TestNetwork } from "../../src/testing.ts";
import { type Journal, PathLab, type PathLabOptions, type Traffic } from "../support/path-lab.ts";

type Places = (network: TestNetwork) => { client: HostOptions; server: HostOptions };

const behindNats: Places = (network) => ({
  client: { behind: network.nat() },
  server: { behind: network.nat() },
});
const onRelay: Places = (network) => ({
  client: { behind: network.nat({ kind: "symmetric" }) },
  server: { behind: network.nat({ kind: "symmetric" }) },
});

interface Event {
  readonly on?: "direct" | "relay";
  readonly options?: PathLabOptions;
  /** How long calls may have no answer. */
  readonly stallMs: number;
  readonly happen: (lab: PathLab, traffic: Traffic) => Promise<void> | void;
  /** At the end. */
  readonly path: "direct" | "relay";
  readonly passMs?: number;
}

async function play({
  on = "direct",
  options = {},
  stallMs,
  happen,
  path,
  passMs = 8_000,
}: Event): Promise<Journal> {
  let journal: Journal | undefined;
  const places = on === "direct" ? behindNats : onRelay;
  await PathLab.run({ places, ...options }, async (lab) => {
    const traffic = lab.startTraffic();
    await lab.network.advance(1_000);
    await traffic.until(on);
    await lab.network.advance(1_000);
    traffic.mark();
    await happen(lab, traffic);
    await lab.network.advance(passMs);
    journal = await traffic.stop();
  });
  assert.ok(journal !== undefined);

  assert.deepEqual(journal.failures, []);
  assert.ok(journal.longestStallMs <= stallMs, `no answer for ${journal.longestStallMs} ms`);
  assert.equal(journal.finalPath, path);
  return journal;
}

test("F20: the direct path dies without a word: no call fails, and traffic has moved within 2 s", async () => {
  await play({
    stallMs: 2_000,
    happen: ({ network, clientHost, serverHost }) => network.cut(clientHost, serverHost),
    path: "relay",
  });
});

test("F20: the direct path dies one way only, either way", async () => {
  for (const deaf of ["client", "server"] as const) {
    await play({
      stallMs: 2_000,
      happen: (lab) => {
        const to = deaf === "client" ? lab.clientHost : lab.serverHost;
        const from = deaf === "client" ? lab.serverHost : lab.clientHost;
        lab.network.tap = ({ host, to: address, bytes }) =>
          host === from && !lab.relay.host.addresses.includes(address.host) && to !== from
            ? undefined
            : bytes;
      },
      path: "relay",
    });
  }
});

test("F20: the direct path comes back after it has died", async () => {
  await play({
    stallMs: 2_000,
    happen: async ({ network, clientHost, serverHost }, traffic) => {
      network.cut(clientHost, serverHost);
      await network.advance(5_000);
      network.heal(clientHost, serverHost);
      await traffic.until("direct", 70_000);
    },
    path: "direct",
  });
});

test("F20: a lost packet now and then does not move traffic off the direct path", async () => {
  await play({
    stallMs: 500,
    happen: async (lab) => {
      for (let round = 0; round < 5; round += 1) {
        lab.network.cut(lab.clientHost, lab.serverHost);
        await lab.network.advance(100);
        lab.network.heal(lab.clientHost, lab.serverHost);
        await lab.network.advance(2_000);
        assert.equal(lab.path, "direct");
      }
    },
    path: "direct",
    passMs: 100,
  });
});

for (const [index, whose] of ["client", "server"].entries()) {
  test(`F20: the NAT of the ${whose} forgets its mappings, and gives others`, async () => {
    await play({
      options: {
        places: (network) => ({
          client: { behind: network.nat({ portPreservation: false }) },
          server: { behind: network.nat({ portPreservation: false }) },
        }),
      },
      stallMs: 2_000,
      happen: (lab) => lab.nats[index]?.forget(),
      path: "direct",
      passMs: 60_000,
    });
  });

  test(`F20: the NAT of the ${whose} is switched off and on, and has another address: its relay has to be found dead too`, async () => {
    await play({
      stallMs: 5_000,
      happen: (lab) => lab.nats[index]?.reboot({ newAddress: true }),
      path: "direct",
      passMs: 60_000,
    });
  });
}

test("F21: the relay dies while traffic goes directly: nobody notices", async () => {
  await play({ stallMs: 200, happen: ({ relay }) => relay.kill(), path: "direct" });
});

test("F21: the relay that carries all is killed and started again: nothing fails", async () => {
  await play({
    on: "relay",
    stallMs: 3_000,
    happen: async ({ relay, network }) => {
      relay.kill();
      await network.advance(1_000);
      relay.start();
    },
    path: "relay",
  });
});

test("F21: the relay that carries all restarts in order", async () => {
  await play({
    on: "relay",
    stallMs: 3_000,
    happen: ({ relay }) => relay.restart({ afterMs: 500 }),
    path: "relay",
  });
});

test("F21: the relay that carries all loses power for 2 s: traffic goes on", async () => {
  await play({
    on: "relay",
    stallMs: 8_000,
    happen: async ({ relay, network }) => {
      relay.kill({ silently: true });
      await network.advance(2_000);
      relay.start();
    },
    path: "relay",
    passMs: 15_000,
  });
});

for (const who of ["client", "server"] as const) {
  test(`the ${who} moves to another network mid-stream`, async () => {
    await play({
      stallMs: 1_500,
      happen: (lab) => {
        const host = who === "client" ? lab.clientHost : lab.serverHost;
        host.move({ behind: lab.network.nat() });
      },
      path: "direct",
      passMs: 20_000,
    });
  });
}

test("5 % loss and 100 ms delay: no call fails", async () => {
  await play({
    stallMs: 5_000,
    happen: ({ clientHost, serverHost }) => {
      for (const host of [clientHost, serverHost]) {
        host.setLink({ delayMs: 50, loss: 0.025 });
      }
    },
    path: "direct",
    passMs: 20_000,
  });
});

test("a direct path with 40 % loss does not beat a clean relay", async () => {
  await play({
    stallMs: 10_000,
    happen: async ({ network, clientHost, serverHost }) => {
      network.between(clientHost, serverHost, { loss: 0.4 });
      await network.advance(20_000);
    },
    path: "relay",
  });
});

for (const who of ["client", "server"] as const) {
  for (const on of ["direct", "relay"] as const) {
    test(`F22: the ${who} sleeps for an hour (${on}): new calls are answered within 5 s of its return`, async () => {
      await PathLab.run({ places: on === "direct" ? behindNats : onRelay }, async (lab) => {
        const host = who === "client" ? lab.clientHost : lab.serverHost;
        await lab.call("before");
        await lab.network.advance(3_000);
        host.sleep();
        await lab.network.advance(3_600_000);
        host.resume();
        const backAt = lab.network.now;
        await lab.callUntilAnswered("after");
        const tookMs = lab.network.now - backAt;
        assert.ok(tookMs < 5_000, `${tookMs} ms`);
      });
    });
  }
}

test("F22: the server stands still for 10 s: calls wait, and go on", async () => {
  await play({
    stallMs: 11_000,
    happen: async ({ network, serverHost }) => {
      serverHost.freeze();
      await network.advance(10_000);
      serverHost.resume();
    },
    path: "direct",
    passMs: 20_000,
  });
});
