// Workers and a place of rendezvous, each in a process of its own, on loopback.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Code, ConnectError } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { Rendezvous } from "../../src/rendezvous.ts";
import {
  ChatWay,
  PairingState,
  PeerState,
  PlaceState,
} from "../../src/worker/gen/connectquic/worker/v1/console_pb.js";
import { createSelfSignedCertificate } from "../support/self-signed-certificate.ts";
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

  test("find each other as partners on demand; one waits, is dialed by the place's word, and is left", async () => {
    await ada.console.findPartner({ pool: "chess" });
    await ada.until(({ place }) => place?.pairing?.state === PairingState.WAITING);
    await ada.console.leavePartner({});
    const idle = await ada.until(
      ({ place }) => place?.pairing?.state === PairingState.UNSPECIFIED && place.pairing,
    );
    assert.equal(idle.problem, "");
    await assert.rejects(
      ada.console.leavePartner({}),
      (error) => ConnectError.from(error).code === Code.FailedPrecondition,
    );
    await ada.console.findPartner({ pool: "chess" });
    await ada.until(({ place }) => place?.pairing?.state === PairingState.WAITING);
    await bob.console.findPartner({ pool: "chess" });
    for (const [worker, other] of [
      [ada, bob],
      [bob, ada],
    ] as const) {
      const pairing = await worker.until(
        ({ place }) => place?.pairing?.state === PairingState.PAIRED && place.pairing,
      );
      assert.equal(pairing.partnerId, other.id);
      assert.equal(pairing.pool, "chess");
      await worker.until(({ peers }) => peers.get(other.id)?.state === PeerState.CONNECTED);
    }
    await bob.console.leavePartner({});
    const left = await ada.until(
      ({ place }) => place?.pairing?.state === PairingState.UNSPECIFIED && place.pairing,
    );
    assert.equal(left.problem, "the partner has left");
    // They are still connected, and nobody dials any more.
    const { dialed } = await ada.until(({ peers }) => {
      const peer = peers.get(bob.id);
      return peer?.state === PeerState.CONNECTED && !peer.dialed && peer;
    });
    assert.equal(dialed, false);
    await ada.console.sendMessage({ peerId: bob.id, way: ChatWay.STREAM, text: "still here" });
    await bob.until(({ messages }) => messages.some(({ text }) => text === "still here"));
  });

  test("with --pair, whose partner is killed gets the next one", async () => {
    const paired = (worker: RunningWorker, partner: RunningWorker): Promise<unknown> =>
      worker.until(
        ({ place, peers }) =>
          place?.pairing?.state === PairingState.PAIRED &&
          place.pairing.partnerId === partner.id &&
          peers.get(partner.id)?.state === PeerState.CONNECTED,
      );
    const args = ["--pair", "--pool", "go", "--rendezvous", place.url];
    await using cleo = await program.start([...args, "--name", "Cleo"]);
    await cleo.until(({ place }) => place?.pairing?.state === PairingState.WAITING);
    await using dora = await program.start(args);
    await Promise.all([paired(cleo, dora), paired(dora, cleo)]);
    await dora.kill();
    await cleo.until(({ place }) => place?.pairing?.state === PairingState.WAITING);
    await using emil = await program.start(args);
    await Promise.all([paired(cleo, emil), paired(emil, cleo)]);
    await cleo.until(({ events }) =>
      events.some(({ text }) => text === "the pair has ended: the partner has left"),
    );
  });

  test("who leaves by Ctrl-C is unregistered at once", async () => {
    // What is lost stays for a day, so that only who says goodbye is gone.
    await using slow = await program.startPlace(["--grace", "86400"]);
    await using finn = await program.start(["--rendezvous", slow.url]);
    for (const to of [slow.url, slow.ticket]) {
      const gone = await program.start(["--rendezvous", to, "--page", "off"]);
      await finn.until(({ found }) => found.has(gone.id));
      while (!gone.told.includes("registered at")) {
        await delay(10);
      }
      assert.equal(await gone.stop(), 0);
      await finn.until(({ found }) => !found.has(gone.id));
      assert.match(gone.told, /^registered at .+\nstopping; peers are told\n$/);
    }
  });

  test("a worker starts without its place, says so, and registers when that is there, and again after it was gone", async () => {
    // An address of this test's own, so that nobody else takes the port while the place is away.
    const host = `127.77.${process.pid & 255}.${1 + ((process.pid >> 8) % 250)}`;
    const listen = ["--listen", `${process.platform === "linux" ? host : "127.0.0.1"}:3350`];
    const url = `http://${listen[1]}`;
    await using worker = await program.start(["--rendezvous", url, "--name", "Gil"]);
    const waiting = await worker.until(({ place }) => place?.state === PlaceState.WAITING && place);
    assert.match(waiting.problem, /ECONNREFUSED/);
    assert.match(worker.told, /^not registered at http:.+ECONNREFUSED.+; trying again\n/);
    const first = await program.startPlace(listen);
    await worker.until(({ place }) => place?.state === PlaceState.REGISTERED && place.listed);
    await first.kill();
    await worker.until(({ place }) => place?.state === PlaceState.REGISTERED && place.problem);
    await using _again = await program.startPlace(listen);
    await worker.until(
      ({ place }) => place?.state === PlaceState.REGISTERED && place.problem === "",
    );
    const rendezvous = new Rendezvous({
      transport: createConnectTransport({ baseUrl: url, httpVersion: "1.1" }),
    });
    const { value: found } = await rendezvous.lookUp().next();
    assert.equal(found?.labels.name, "Gil");
    assert.equal(await worker.stop(), 0);
  });

  test("a place with TLS is called where its certificate is believed, and one that lets in by a token with that", async () => {
    const { cert, key } = createSelfSignedCertificate();
    const [certFile, keyFile] = [join(program.folder, "cert.pem"), join(program.folder, "key.pem")];
    writeFileSync(certFile, cert);
    writeFileSync(keyFile, key);
    await using safe = await program.startPlace([
      ...["--tls-cert", certFile, "--tls-key", keyFile],
      ...["--token", "open sesame", "--allow", ada.id],
    ]);
    assert.match(safe.url, /^https:/);
    const args = ["--rendezvous", safe.url];
    await using doubtful = await program.start(args);
    const untrusted = await doubtful.until(
      ({ place }) => place?.state === PlaceState.WAITING && place,
    );
    assert.match(untrusted.problem, /certificate/i);
    const believing = { NODE_EXTRA_CA_CERTS: certFile };
    await using denied = await program.start(args, believing);
    const refused = await denied.until(({ place }) => place?.state === PlaceState.WAITING && place);
    assert.match(refused.problem, /may not|denied|not allowed|access/i);
    const token = ["--rendezvous-token", "open sesame"];
    const [one, other] = await Promise.all([
      program.start([...args, ...token], believing),
      program.start([...args, ...token, "--page", "off"], believing),
    ]);
    await one.until(({ found }) => found.has(other.id));
    assert.equal(await other.stop(), 0);
    await one.until(({ found }) => !found.has(other.id));
    assert.equal(await one.stop(), 0);
  });

  test("a URL where there is no such place is told, and the worker goes on", async () => {
    await using worker = await program.start(["--rendezvous", ada.page]);
    const { problem } = await worker.until(
      ({ place }) => place?.state === PlaceState.WAITING && place,
    );
    assert.match(problem, /404|not found/i);
  });
});
