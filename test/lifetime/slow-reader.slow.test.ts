// Streams to a reader who takes a little and then rests: what waits for him waits with the writer, and grows nowhere.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { createEchoClient } from "../../gen/echo/v1/echo_quic.ts";
import { Endpoint } from "../../src/index.ts";
import { startProgram } from "../support/process.ts";
import { type Holdings, holdings } from "./holdings.ts";

const skip = process.env.CONNECT_QUIC_TEST === "slow" ? false : "slow";
const messageBytes = 65_536;
/** 1 GiB. */
const messages = 16_384;
/** The reader rests after each of these parts. */
const parts = 16;
const part = messages / parts;
/** On each side: a stream's window and a writer's send window, and what is being put into messages. */
const slackBytes = 24 << 20;

type Client = ReturnType<typeof createEchoClient>;

interface Report {
  readonly holdings: Holdings;
  readonly read: number;
  readonly offered: number;
}

class Scene {
  readonly #endpoint: Endpoint;
  readonly client: Client;
  #before: readonly [Holdings, Holdings] | undefined;
  readonly most: number[] = [0, 0];

  constructor(endpoint: Endpoint, ticket: string) {
    this.#endpoint = endpoint;
    this.client = createEchoClient(endpoint, ticket);
  }

  async tell(command: string): Promise<Report> {
    return JSON.parse((await this.client.echo({ message: command })).message);
  }

  async begin(): Promise<void> {
    const { holdings: theirs } = await this.tell("start");
    this.#before = [holdings(this.#endpoint), theirs];
  }

  /** Rests, then checks what both sides hold. */
  async rest(): Promise<Report> {
    await setTimeout(50);
    const report = await this.tell("report");
    for (const [side, held] of [holdings(this.#endpoint), report.holdings].entries()) {
      const first = this.#before?.[side];
      assert.ok(first);
      const grown =
        held.heap + held.external + held.engine - first.heap - first.external - first.engine;
      this.most[side] = Math.max(this.most[side] ?? 0, grown);
      assert.ok(grown < slackBytes, `side ${side} grew by ${grown} bytes`);
    }
    return report;
  }
}

async function play(t: TestContext, run: (scene: Scene) => Promise<void>): Promise<void> {
  const server = await startProgram(new URL("./slow-reader-server.ts", import.meta.url));
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  try {
    const scene = new Scene(endpoint, (server.greeting as { ticket: string }).ticket);
    // Code gets compiled, and caches filled.
    for (let call = 0; call < 500; call += 1) {
      await scene.client.echo({ message: "report" });
    }
    await scene.begin();
    await run(scene);
    t.diagnostic(`at most ${scene.most.map((bytes) => `${bytes >> 20} MiB`).join(" and ")}`);
  } finally {
    await endpoint.close();
    await server.close();
  }
}

const message = "x".repeat(messageBytes);

test("F7: a server stream of 1 GiB to a slow reader leaves both processes flat", {
  skip,
}, async (t) => {
  await play(t, async (scene) => {
    let read = 0;
    for await (const { number } of scene.client.repeat({ message, count: messages })) {
      read += 1;
      assert.equal(number, read);
      if (read % part === 0) {
        const { offered } = await scene.rest();
        assert.ok(offered - read < maxAhead, `${offered - read} messages ahead`);
      }
    }
    assert.equal(read, messages);
  });
});

test("F7: a client stream of 1 GiB to a slow reader leaves both processes flat", {
  skip,
}, async (t) => {
  await play(t, async (scene) => {
    const offered = { count: 0 };
    const summary = scene.client.collect(offer(offered));
    await letRead(scene, offered);
    assert.deepEqual((await summary).messages, [`${messages}`]);
  });
});

test("F7: a bidirectional stream of 1 GiB both ways, slow on both sides, leaves both processes flat", {
  skip,
}, async (t) => {
  await play(t, async (scene) => {
    const offered = { count: 0 };
    const responses = scene.client.converse(offer(offered));
    const readAll = (async () => {
      let read = 0;
      for await (const response of responses) {
        assert.equal(response.message.length, messageBytes);
        read += 1;
        if (read % part === 0) {
          await scene.rest();
        }
      }
      return read;
    })();
    await letRead(scene, offered);
    assert.equal(await readAll, messages);
  });
});

/** Messages that may be under way between a writer and a reader: 16 MiB. */
const maxAhead = 256;

async function* offer(offered: { count: number }): AsyncGenerator<{ message: string }> {
  for (; offered.count < messages; offered.count += 1) {
    yield { message };
  }
}

/** Lets the server's reader go on part by part. */
async function letRead(scene: Scene, offered: { count: number }): Promise<void> {
  for (let allowed = part; allowed <= messages; allowed += part) {
    await scene.tell(`allow ${allowed}`);
    for (;;) {
      const { read } = await scene.rest();
      assert.ok(offered.count - read < maxAhead, `${offered.count - read} messages ahead`);
      if (read >= allowed) {
        break;
      }
    }
  }
  await scene.tell(`allow ${messages + 1}`);
}
