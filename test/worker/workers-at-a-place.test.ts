// Workers and a place of rendezvous, each in a process of its own, on loopback.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createConnectTransport } from "@connectrpc/connect-node";
import { Rendezvous } from "../../src/rendezvous.ts";
import {
  ChatWay,
  PeerState,
  PlaceState,
} from "../../src/worker/gen/connectquic/worker/v1/console_pb.js";
import { type RunningPlace, type RunningWorker, WorkerProgram } from "../support/worker-program.ts";

describe("workers at a place of rendezvous", { timeout: 180_000 }, () => {
  let program: WorkerProgram;
  let place: RunningPlace;
  let ada: RunningWorker;
  let bob: RunningWorker;

  before(async () => {
    program = WorkerProgram.build();
    place = await program.startPlace();
    ada = await program.start([
      ...["--name", "Ada", "--rendezvous", place.url],
      ...["--label", "zone=north", "--label", "note=<b>bold</b>"],
    ]);
    bob = await program.start([], {
      CONNECT_QUIC_NAME: "Bob",
      CONNECT_QUIC_RENDEZVOUS: place.ticket,
      CONNECT_QUIC_LABEL: "zone=south rack=7",
    });
  });

  after(async () => {
    await ada?.kill();
    await bob?.kill();
    await place?.kill();
    program?.[Symbol.dispose]();
  });

  test("register with name, labels and services, by URL and by key, and see each other", async () => {
    for (const [worker, name] of [
      [ada, place.url.replace(/\/$/, "")],
      [bob, place.id],
    ] as const) {
      const shown = await worker.until(
        ({ place }) => place?.state === PlaceState.REGISTERED && place.listed && place,
      );
      assert.equal(shown.name, name);
      assert.equal(shown.problem, "");
      assert.ok(shown.sinceMs > 0n, "it says since when");
    }
    const seen = await ada.until(({ found }) => found.get(bob.id));
    assert.equal(seen.name, "Bob");
    assert.deepEqual(seen.labels, { zone: "south", rack: "7" });
    const back = await bob.until(({ found }) => found.get(ada.id));
    assert.deepEqual(back.labels, { zone: "north", note: "<b>bold</b>" });
    await ada.until(({ found }) => !found.has(ada.id));
    const rendezvous = new Rendezvous({
      transport: createConnectTransport({ baseUrl: place.url, httpVersion: "1.1" }),
    });
    const services = ["connectquic.worker.v1.WorkerService", "grpc.health.v1.Health"];
    for await (const peer of rendezvous.lookUp({ ids: [ada.id, bob.id] })) {
      assert.deepEqual(peer.services, services);
      assert.ok(peer.isGenuine(), "it is signed");
    }
  });

  test("dial each other by id alone, which the place has addresses for", async () => {
    await ada.console.dial({ target: bob.id });
    await ada.until(({ peers }) => peers.get(bob.id)?.state === PeerState.CONNECTED);
    await ada.console.sendMessage({ peerId: bob.id, way: ChatWay.STREAM, text: "by id" });
    await bob.until(({ messages }) => messages.some(({ text }) => text === "by id"));
    await ada.console.disconnect({ peerId: bob.id });
    await bob.until(({ peers }) => peers.get(ada.id)?.state === PeerState.LOST);
  });
});
