// What a peer that means no good gets from a worker.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { createPeerClient } from "../../src/rpc/peer-client.ts";
import type { QuicTransport } from "../../src/rpc/peer-transport.ts";
import { createQuicTransport } from "../../src/rpc/quic-transport.ts";
import { datagramAlpn } from "../../src/worker/chat-datagrams.ts";
import {
  BenchmarkState,
  PeerState,
} from "../../src/worker/gen/connectquic/worker/v1/console_pb.js";
import { WorkerService } from "../../src/worker/gen/connectquic/worker/v1/worker_pb.js";
import { Worker } from "../../src/worker/worker.ts";

describe("a worker and a hostile peer", { timeout: 60_000 }, () => {
  let worker: Worker;
  let endpoint: Endpoint;
  let transport: QuicTransport;

  before(async () => {
    const served = await Endpoint.bind({ bind: "127.0.0.1:0" });
    worker = new Worker({ endpoint: served });
    endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
    transport = createQuicTransport({ endpoint, to: served.addr() });
  });

  after(async () => {
    await transport?.close();
    await endpoint?.close();
    await worker?.close();
  });

  const hello = (name: string) => ({ content: { case: "hello" as const, value: { name } } });
  const text = (said: string) => ({ content: { case: "text" as const, value: { text: said } } });

  /** A conversation that says `messages` and then waits for its end. Resolves with how it ended. */
  async function converse(messages: Iterable<ReturnType<typeof hello | typeof text>>) {
    const ending = new AbortController();
    const over = new Promise<void>((resolve) =>
      ending.signal.addEventListener("abort", () => resolve()),
    );
    async function* requests() {
      yield* messages;
      await over;
    }
    try {
      for await (const _ of createPeerClient(WorkerService, transport).chat(requests())) {
        // It says hello.
      }
      return "ended";
    } catch (error) {
      return ConnectError.from(error).code;
    } finally {
      ending.abort();
    }
  }

  test("begins without hello: refused", async () => {
    assert.equal(await converse([text("hi")]), Code.InvalidArgument);
    assert.deepEqual(worker.state.peers, []);
  });

  test("says too much at once, or too long a text: the conversation ends, and the rest is kept within limits", async () => {
    assert.equal(await converse([hello("x".repeat(10_000)), text("y".repeat(5_000))]), "ended");
    const peer = worker.state.peer(endpoint.id.toString());
    assert.equal(peer?.name.length, 64);
    assert.match(peer?.problem ?? "", /5000 bytes: at most 4096/);
    const flood = Array.from({ length: 300 }, (_, at) => text(`${at}`));
    assert.equal(await converse([hello(""), ...flood]), "ended");
    assert.match(worker.state.peer(endpoint.id.toString())?.problem ?? "", /too many messages/);
    assert.equal(worker.state.changesSince().changes.messages.length, 200);
  });

  test("cancels its conversation: it has left", async () => {
    const ending = new AbortController();
    const { signal } = ending;
    async function* requests() {
      yield hello("hasty");
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    }
    try {
      for await (const _ of createPeerClient(WorkerService, transport).chat(requests(), {
        signal,
      })) {
        ending.abort();
      }
    } catch {
      // That is how it ends here.
    }
    const isLost = (): boolean =>
      worker.state.peer(endpoint.id.toString())?.state === PeerState.LOST;
    while (!isLost()) {
      await worker.changed.wait();
    }
    assert.equal(worker.state.peer(endpoint.id.toString())?.problem, "it has left");
  });

  test("sends a message that is larger than any: refused", async () => {
    const code = await converse([hello("x".repeat(1_000_000))]);
    assert.equal(code, Code.ResourceExhausted);
  });

  test("holds more conversations than one peer may have: refused", async () => {
    const held: AbortController[] = [];
    const refused = new Promise<Code | string>((resolve) => {
      for (let at = 0; at < 5; at++) {
        const ending = new AbortController();
        held.push(ending);
        const over = new Promise<void>((done) =>
          ending.signal.addEventListener("abort", () => done()),
        );
        async function* requests() {
          yield hello("many");
          await over;
        }
        // It settles with its signal at the latest.
        void (async () => {
          try {
            const { signal } = ending;
            for await (const _ of createPeerClient(WorkerService, transport).chat(requests(), {
              signal,
            })) {
              // It says hello.
            }
          } catch (error) {
            resolve(ConnectError.from(error).code);
          }
        })();
      }
    });
    assert.equal(await refused, Code.ResourceExhausted);
    for (const ending of held) {
      ending.abort();
    }
  });

  for (const [what, total, sent, expected] of [
    ["says a size of nothing", 0n, 0, Code.InvalidArgument],
    ["says a size beyond all bounds", 2n ** 63n, 0, Code.InvalidArgument],
    ["sends more than it said", 10n, 20, Code.InvalidArgument],
    ["sends less than it said", 30n, 20, Code.InvalidArgument],
  ] as const) {
    test(`uploads, made up or a file, and ${what}: refused, and nothing is kept`, async () => {
      for (const file of [{}, { file: { name: "../x" } }]) {
        async function* requests() {
          const value = { totalBytes: total, ...file };
          yield { content: { case: "begin" as const, value } };
          yield { content: { case: "data" as const, value: new Uint8Array(sent) } };
        }
        await assert.rejects(
          async () => {
            for await (const _ of createPeerClient(WorkerService, transport).upload(requests())) {
              // How much has arrived.
            }
          },
          (error) => ConnectError.from(error).code === expected,
        );
      }
      const { benchmarks } = worker.state.changesSince().changes;
      assert.equal(
        benchmarks.find(({ kept }) => kept),
        undefined,
      );
    });
  }

  test("gives a file a name that means something elsewhere: it is kept under another", async () => {
    async function* requests() {
      const name = `${"../".repeat(10_000)}.\u202e<b>\n:x`;
      const value = { totalBytes: 3n, file: { name } };
      yield { content: { case: "begin" as const, value } };
      for (const byte of [1, 2, 3]) {
        yield { content: { case: "data" as const, value: Uint8Array.of(byte) } };
      }
    }
    let sha256 = "";
    for await (const response of createPeerClient(WorkerService, transport).upload(requests())) {
      sha256 = Buffer.from(response.sha256).toString("hex");
    }
    assert.equal(
      sha256,
      createHash("sha256")
        .update(Uint8Array.of(1, 2, 3))
        .digest("hex"),
    );
    const isKept = () => worker.state.changesSince().changes.benchmarks.find(({ kept }) => kept);
    while (isKept() === undefined) {
      await worker.changed.wait();
    }
    const file = worker.keptFile(Number(isKept()?.number));
    assert.equal(file?.name, "_b_ _x");
    assert.deepEqual(file?.parts, [Uint8Array.of(1, 2, 3)]);
  });

  test("leaves downloads unread: two run, and the next is refused", async () => {
    const client = createPeerClient(WorkerService, transport);
    const totalBytes = 2n ** 30n;
    const ending = new AbortController();
    const { signal } = ending;
    // Held until the end: a response that nobody can read any more is cancelled by the garbage collector.
    const unread = [0, 1].map(() =>
      client.download({ totalBytes }, { signal })[Symbol.asyncIterator](),
    );
    for (const download of unread) {
      assert.equal((await download.next()).done, false);
    }
    await assert.rejects(
      async () => {
        for await (const _ of client.download({ totalBytes })) {
          // Nothing comes.
        }
      },
      (error) => ConnectError.from(error).code === Code.ResourceExhausted,
    );
    ending.abort();
    await Promise.all(unread.map((download) => assert.rejects(download.next())));
    const isOver = (): boolean =>
      worker.state
        .changesSince()
        .changes.benchmarks.every(({ state }) => state !== BenchmarkState.RUNNING);
    while (!isOver()) {
      await worker.changed.wait();
    }
  });

  test("sends datagrams without a conversation: the connection is closed", async () => {
    const stranger = await Endpoint.bind({ bind: "127.0.0.1:0" });
    try {
      const connection = await stranger.connect(worker.state.self.ticket, datagramAlpn);
      const cause = await connection.closed;
      assert.equal(cause.type, "application");
    } finally {
      await stranger.close();
    }
  });
});
