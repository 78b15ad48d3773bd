// Two workers in processes of their own, on loopback, driven as their pages do.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  BenchmarkState,
  ChatWay,
  Direction,
  Path,
  PeerState,
} from "../../src/worker/gen/connectquic/worker/v1/console_pb.js";
import { type RunningWorker, WorkerProgram } from "../support/worker-program.ts";

describe("two workers", { timeout: 120_000 }, () => {
  let program: WorkerProgram;
  let ada: RunningWorker;
  let bob: RunningWorker;

  before(async () => {
    program = WorkerProgram.build();
    ada = await program.start(["--name", "Ada"]);
    bob = await program.start([], { CONNECT_QUIC_NAME: "Bob", CONNECT_QUIC_PEER: ada.ticket });
  });

  after(async () => {
    await ada?.kill();
    await bob?.kill();
    program?.[Symbol.dispose]();
  });

  test("show each other with name, path and latency, whoever has dialed", async () => {
    for (const [worker, other, name, dialed] of [
      [ada, bob, "Bob", false],
      [bob, ada, "Ada", true],
    ] as const) {
      const peer = await worker.until(({ peers }) => {
        const found = peers.get(other.id);
        return found?.path === Path.DIRECT && found.latenciesMs.length > 0 && found;
      });
      assert.equal(peer.state, PeerState.CONNECTED);
      assert.equal(peer.name, name);
      assert.equal(peer.dialed, dialed);
      assert.match(peer.remote, /^127\.0\.0\.1:\d+$/);
    }
  });

  for (const way of [ChatWay.STREAM, ChatWay.DATAGRAM]) {
    test(`chat both ways by ${ChatWay[way]}, and tell the ways apart`, async () => {
      for (const [from, to] of [
        [ada, bob],
        [bob, ada],
      ] as const) {
        const text = `hello from ${from.id} by ${way}\n<b>not bold</b>`;
        await from.console.sendMessage({ peerId: to.id, way, text });
        const heard = await to.until(({ messages }) =>
          messages.find((message) => message.text === text),
        );
        assert.deepEqual(
          { peerId: heard.peerId, way: heard.way, outgoing: heard.outgoing },
          { peerId: from.id, way, outgoing: false },
        );
        const said = await from.until(({ messages }) =>
          messages.find((message) => message.text === text),
        );
        assert.deepEqual(
          { peerId: said.peerId, way: said.way, outgoing: said.outgoing },
          { peerId: to.id, way, outgoing: true },
        );
      }
    });
  }

  for (const direction of [Direction.UPLOAD, Direction.DOWNLOAD]) {
    for (const whose of ["who dialed", "who was dialed"]) {
      test(`a benchmark of ${whose}, ${Direction[direction]}, counts all bytes at both ends`, async () => {
        const [from, to] = whose === "who dialed" ? [bob, ada] : [ada, bob];
        const totalBytes = 8_000_001n;
        const { number } = await from.console.startBenchmark({
          peerId: to.id,
          direction,
          totalBytes,
        });
        const own = await from.until(({ benchmarks }) => {
          const found = benchmarks.get(String(number));
          return found !== undefined && found.state !== BenchmarkState.RUNNING && found;
        });
        assert.deepEqual(
          [own.state, own.problem, own.doneBytes, own.begunHere],
          [BenchmarkState.DONE, "", totalBytes, true],
        );
        const theirs = await to.until(({ benchmarks }) =>
          [...benchmarks.values()].find(
            (one) =>
              one.totalBytes === totalBytes &&
              one.state !== BenchmarkState.RUNNING &&
              !one.begunHere &&
              one.direction !== direction,
          ),
        );
        assert.deepEqual(
          [theirs.state, theirs.problem, theirs.doneBytes],
          [BenchmarkState.DONE, "", totalBytes],
        );
      });
    }

    for (const canceller of ["who began it", "the peer"]) {
      test(`a benchmark, ${Direction[direction]}, is cancelled by ${canceller}, and both say who`, async () => {
        // Longer than it takes to cancel it.
        const totalBytes = 16n * 2n ** 30n;
        const { number } = await ada.console.startBenchmark({
          peerId: bob.id,
          direction,
          totalBytes,
        });
        const theirs = await bob.until(({ benchmarks }) =>
          [...benchmarks.values()].find(
            (one) => one.state === BenchmarkState.RUNNING && one.doneBytes > 0n,
          ),
        );
        await ada.until(({ benchmarks }) => (benchmarks.get(String(number))?.doneBytes ?? 0n) > 0n);
        if (canceller === "who began it") {
          await ada.console.cancelBenchmark({ number });
        } else {
          await bob.console.cancelBenchmark({ number: theirs.number });
        }
        const problems = await Promise.all(
          (
            [
              [ada, number],
              [bob, theirs.number],
            ] as const
          ).map(([worker, which]) =>
            worker.until(({ benchmarks }) => {
              const found = benchmarks.get(String(which));
              return found?.state === BenchmarkState.CANCELLED && found.problem;
            }),
          ),
        );
        const here = ["cancelled here", "cancelled by the peer"];
        assert.deepEqual(problems, canceller === "who began it" ? here : here.reverse());
      });
    }
  }

  test("a file arrives as it is, its digest is the same at both ends, and it can be had from the page", async () => {
    const content = randomBytes(3_000_001);
    const { number } = await ada.console.startFile({
      peerId: bob.id,
      name: "C:\\secret\\über <b>.txt",
      size: BigInt(content.length),
    });
    const sent = await fetch(new URL(`files/${number}`, ada.page), {
      method: "POST",
      body: content,
    });
    assert.equal(sent.status, 200);
    const own = await ada.until(({ benchmarks }) => benchmarks.get(String(number)));
    const digest = createHash("sha256").update(content).digest("hex");
    assert.deepEqual(
      [own.state, own.problem, own.fileName, Buffer.from(own.sha256).toString("hex"), own.kept],
      [BenchmarkState.DONE, "", "über _b_.txt", digest, false],
    );
    const theirs = await bob.until(({ benchmarks }) =>
      [...benchmarks.values()].find(({ fileName, kept }) => fileName !== "" && kept),
    );
    assert.deepEqual(
      [theirs.state, theirs.fileName, Buffer.from(theirs.sha256).toString("hex")],
      [BenchmarkState.DONE, "über _b_.txt", digest],
    );
    const had = await fetch(new URL(`files/${theirs.number}`, bob.page));
    assert.equal(had.headers.get("content-type"), "application/octet-stream");
    assert.equal(
      had.headers.get("content-disposition"),
      "attachment; filename*=UTF-8''%C3%BCber%20_b_.txt",
    );
    assert.deepEqual(Buffer.from(await had.arrayBuffer()), content);
    assert.equal((await fetch(new URL("files/999", bob.page))).status, 404);
  });

  test("a file that is too large to be kept is hashed all the same", async () => {
    const content = randomBytes(17 * 2 ** 20);
    const size = BigInt(content.length);
    const { number } = await bob.console.startFile({ peerId: ada.id, name: "large", size });
    await fetch(new URL(`files/${number}`, bob.page), { method: "POST", body: content });
    const theirs = await ada.until(({ benchmarks }) =>
      [...benchmarks.values()].find(
        ({ fileName, state }) => fileName === "large" && state !== BenchmarkState.RUNNING,
      ),
    );
    assert.deepEqual(
      [theirs.state, Buffer.from(theirs.sha256), theirs.kept],
      [BenchmarkState.DONE, createHash("sha256").update(content).digest(), false],
    );
    assert.equal((await fetch(new URL(`files/${theirs.number}`, ada.page))).status, 404);
  });

  test("a file that is cancelled, or whose page stops, ends at both sides", async () => {
    for (const how of ["cancelled", "stopped", "too short"] as const) {
      const name = `file ${how}`;
      const { number } = await ada.console.startFile({ peerId: bob.id, name, size: 1_000_000n });
      const page = new AbortController();
      const first = new Uint8Array(how === "too short" ? 999_999 : 100_000);
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(first);
          if (how === "too short") {
            controller.close();
          }
        },
      });
      const sent = fetch(new URL(`files/${number}`, ada.page), {
        method: "POST",
        body,
        signal: page.signal,
        duplex: "half",
      }).then(
        () => {},
        () => {},
      );
      await bob.until(({ benchmarks }) =>
        [...benchmarks.values()].some((one) => one.fileName === name && one.doneBytes > 0n),
      );
      if (how === "cancelled") {
        await ada.console.cancelBenchmark({ number });
      } else if (how === "stopped") {
        page.abort();
      }
      const own = await ada.until(({ benchmarks }) => {
        const found = benchmarks.get(String(number));
        return found?.state !== BenchmarkState.RUNNING && found;
      });
      const problem = {
        cancelled: /^cancelled here$/,
        stopped: /page has stopped/,
        "too short": /only 999999 of 1000000 bytes/,
      }[how];
      assert.match(own.problem, problem);
      const theirs = await bob.until(({ benchmarks }) =>
        [...benchmarks.values()].find(
          (one) => one.fileName === name && one.state !== BenchmarkState.RUNNING,
        ),
      );
      assert.equal(theirs.kept, false);
      assert.notEqual(theirs.state, BenchmarkState.DONE);
      await sent;
    }
  });

  test("one is killed, and the other says that it is lost", async () => {
    await bob.kill();
    const peer = await ada.until(({ peers }) => {
      const found = peers.get(bob.id);
      return found?.state === PeerState.LOST && found;
    });
    assert.match(peer.problem, /connection|timeout|silent|nothing/i);
    await ada.until(({ events }) =>
      events.some(({ text, warning }) => warning && /^lost Bob/.test(text)),
    );
  });

  test("one leaves by Ctrl-C, and the other says that it has left", async () => {
    const cleo = await program.start(["--name", "Cleo", "--peer", ada.ticket, "--page", "off"]);
    await ada.until(({ peers }) => peers.get(cleo.id)?.state === PeerState.CONNECTED);
    assert.equal(await cleo.stop(), 0);
    const peer = await ada.until(({ peers }) => {
      const found = peers.get(cleo.id);
      return found?.state === PeerState.LOST && found;
    });
    assert.equal(peer.problem, "it has left");
  });

  test("a worker that is dialed and comes back is connected again", async () => {
    const args = ["--name", "Dora", "--key", join(program.folder, "dora.key")];
    const first = await program.start(args);
    await ada.console.dial({ target: first.ticket });
    const address = await ada.until(({ peers }) => peers.get(first.id)?.remote || undefined);
    await first.kill();
    await ada.until(({ peers }) => peers.get(first.id)?.state === PeerState.LOST);
    await using again = await program.start([...args, "--bind", address]);
    assert.equal(again.id, first.id);
    await ada.until(({ peers }) => peers.get(first.id)?.state === PeerState.CONNECTED);
  });
});
