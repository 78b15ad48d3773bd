// Streams to a reader who takes a little and then rests: what waits for him waits with the writer, and grows nowhere.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { createEchoClient } from "../../gen/echo/v1/echo_quic.ts";
import { Endpoint } from "../../src/index.ts";
import { type Holdings, holdings } from "../support/holdings.ts";
import { startProgram } from "../support/process.ts";

const skip = process.env.CONNECT_QUIC_TEST === "slow" ? false : "slow";
const messageBytes = 65_536;
/** 256 MiB. */
const messages = 4_096;
/** The reader rests after each of these parts. */
const parts = 16;
const part = messages / parts;
/** On each side: a stream's window and a writer's send window, and what is being put into messages. */
const slackBytes = 24 << 20;
const maxLooks = 10;

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
    // What is always the same would be compressed to nothing.
    this.client = createEchoClient(endpoint, ticket, { acceptCompression: [] });
  }

  async tell(command: string): Promise<Report> {
    return JSON.parse((await this.client.echo({ message: command })).message);
  }

  async begin(): Promise<void> {
    const { holdings: theirs } = await this.tell("start");
    this.#before = [holdings(this.#endpoint), theirs];
  }

  /** Rests, then checks what both sides hold: the least of some looks, as buffers that are garbage go in their own time. */
  async rest(): Promise<Report> {
    let report: Report;
    let grown: number[];
    let looks = 0;
    do {
      await setTimeout(50);
      report = await this.tell("report");
      grown = [holdings(this.#endpoint), report.holdings].map(
        (held, side) => total(held) - total(this.#before?.[side]),
      );
      looks += 1;
    } while (looks < maxLooks && grown.some((bytes) => bytes >= slackBytes));
    for (const [side, bytes] of grown.entries()) {
      this.most[side] = Math.max(this.most[side] ?? 0, bytes);
      assert.ok(bytes < slackBytes, `side ${side} grew by ${bytes} bytes`);
    }
    return report;
  }
}

function total(held: Holdings | undefined): number {
  assert.ok(held);
  return held.heap + held.external + held.engine;
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

test("F7: a server stream of 256 MiB to a slow reader leaves both processes flat", {
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

test("F7: a client stream of 256 MiB to a slow reader leaves both processes flat", {
  skip,
}, async (t) => {
  await play(t, async (scene) => {
    const offered = { count: 0 };
    const summary = scene.client.collect(offer(offered));
    await letRead(scene, offered);
    assert.deepEqual((await summary).messages, [`${messages}`]);
  });
});

test("F7: a bidirectional stream of 256 MiB both ways, slow on both sides, leaves both processes flat", {
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
    const [read] = await Promise.all([readAll, letRead(scene, offered)]);
    assert.equal(read, messages);
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
    let { read } = await scene.tell(`allow ${allowed}`);
    while (read < allowed) {
      await setTimeout(20);
      ({ read } = await scene.tell("report"));
    }
    await scene.rest();
    assert.ok(offered.count - read < maxAhead, `${offered.count - read} messages ahead`);
  }
  await scene.tell(`allow ${messages + 1}`);
}
