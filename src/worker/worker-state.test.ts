import assert from "node:assert/strict";
import { test } from "node:test";
import {
  BenchmarkState,
  ChatWay,
  Direction,
  PairingState,
  Path,
  PeerState,
  PlaceState,
} from "./gen/connectquic/worker/v1/console_pb.js";
import {
  maxBenchmarks,
  maxEvents,
  maxFound,
  maxFoundLabels,
  maxLabelLength,
  maxLatencies,
  maxMessages,
  maxNameLength,
  maxPeers,
} from "./worker-limits.ts";
import { WorkerState } from "./worker-state.ts";

const at = { unixMs: 1_000, now: 0 };

test("WorkerState gives all at first, then what has changed, then nothing", () => {
  const state = new WorkerState(() => {});
  state.setSelf({ id: "me" });
  state.connected("a", "Ada", at);
  const first = state.changesSince();
  assert.equal(first.changes.reset, true);
  assert.equal(first.changes.self?.id, "me");
  assert.deepEqual(
    first.changes.peers.map(({ name }) => name),
    ["Ada"],
  );
  state.connected("b", "Bob", at);
  const second = state.changesSince(first.version);
  assert.equal(second.changes.reset, false);
  assert.equal(second.changes.self, undefined);
  assert.deepEqual(
    second.changes.peers.map(({ name }) => name),
    ["Bob"],
  );
  const third = state.changesSince(second.version);
  assert.equal(third.version, second.version);
  assert.deepEqual([third.changes.peers, third.changes.events], [[], []]);
});

test("WorkerState says that a peer is lost once, and why, and what it was not reached for", () => {
  const state = new WorkerState(() => {});
  state.dialing("a", at);
  state.disconnected("a", "nobody answers", at);
  state.disconnected("a", "nobody answers, again", at);
  assert.equal(state.peer("a")?.state, PeerState.UNREACHABLE);
  assert.equal(state.peer("a")?.problem, "nobody answers, again");
  state.connected("a", "Ada", at);
  assert.equal(state.peer("a")?.problem, "");
  state.disconnected("a", "it has left", at);
  state.disconnected("a", "nobody answers", at);
  assert.equal(state.peer("a")?.state, PeerState.LOST);
  const { changes } = state.changesSince();
  assert.deepEqual(
    changes.events.map(({ text }) => text),
    [
      "dialing a",
      "cannot reach a: nobody answers",
      "connected to Ada (a)",
      "lost Ada (a): it has left",
    ],
  );
});

test("WorkerState tells of a path that becomes another", () => {
  const state = new WorkerState(() => {});
  state.connected("a", "", at);
  const sample = { bytesSent: 1, bytesReceived: 2 };
  state.sample("a", { ...sample, path: Path.RELAY, remote: "https://relay.example/" }, at);
  state.sample("a", { ...sample, path: Path.DIRECT, remote: "192.0.2.1:1" }, at);
  state.sample("a", { ...sample, path: Path.DIRECT, remote: "192.0.2.1:1" }, at);
  assert.deepEqual(
    state.changesSince().changes.events.map(({ text }) => text),
    [
      "connected to a",
      "the path to a is through a relay: https://relay.example/",
      "the path to a is direct: 192.0.2.1:1",
    ],
  );
});

test("WorkerState takes what peers call themselves as text of one line", () => {
  const state = new WorkerState(() => {});
  state.connected("a", "<b>\u202eAda\n\u0000</b>", at);
  assert.equal(state.peer("a")?.name, "<b>Ada </b>");
});

test("WorkerState keeps the latest of everything, up to its limits", () => {
  const state = new WorkerState(() => {});
  state.connected("a", "", at);
  for (let i = 0; i < 1_000; i++) {
    state.latency("a", i);
    state.event(at, `event ${i}`);
    state.message({ peerId: "a", outgoing: false, way: ChatWay.STREAM, text: `text ${i}` }, at);
    const number = state.benchmarkBegins(
      { peerId: "a", direction: Direction.UPLOAD, begunHere: true, totalBytes: 1 },
      at,
    );
    state.benchmarkEnds(number ?? 0, { type: "done" }, at);
  }
  const { changes } = state.changesSince();
  assert.equal(changes.messages.length, maxMessages);
  assert.equal(changes.messages.at(-1)?.text, "text 999");
  assert.equal(changes.events.length, maxEvents);
  assert.equal(changes.benchmarks.length, maxBenchmarks);
  assert.equal(changes.peers[0]?.latenciesMs.length, maxLatencies);
  assert.equal(changes.peers[0]?.latenciesMs.at(-1), 999);
});

test("WorkerState forgets peers that are gone for new ones, tells readers, and refuses more than it can hold", () => {
  const state = new WorkerState(() => {});
  for (let i = 0; i < maxPeers; i++) {
    state.connected(`peer ${i}`, "", at);
  }
  assert.equal(state.connected("one more", "", at), false);
  const { version } = state.changesSince();
  state.disconnected("peer 7", "it has left", at);
  assert.equal(state.connected("one more", "", at), true);
  assert.equal(state.peer("peer 7"), undefined);
  const { changes } = state.changesSince(version);
  assert.equal(changes.reset, true);
  assert.equal(changes.peers.length, maxPeers);
});

test("WorkerState begins no benchmark when as many run as it keeps, and ends one once", () => {
  const state = new WorkerState(() => {});
  const what = { peerId: "a", direction: Direction.UPLOAD, begunHere: true, totalBytes: 10 };
  for (let i = 0; i < maxBenchmarks; i++) {
    assert.notEqual(state.benchmarkBegins(what, at), undefined);
  }
  assert.equal(state.benchmarkBegins(what, at), undefined);
  state.benchmarkEnds(1, { type: "cancelled", problem: "cancelled here" }, at);
  state.benchmarkEnds(1, { type: "done" }, at);
  state.benchmarkProgress(1, 10, at);
  assert.equal(state.benchmark(1)?.state, BenchmarkState.CANCELLED);
  assert.equal(state.benchmark(1)?.doneBytes, 0n);
  assert.notEqual(state.benchmarkBegins(what, at), undefined);
});

const stranger = (id: string, name = "") => ({ id, name, labels: {}, registeredAtMs: 1n });

test("WorkerState tells of no place until there is one, and keeps since when each state is", () => {
  const state = new WorkerState(() => {});
  assert.equal(state.changesSince().changes.place, undefined);
  state.setPlace({ name: "here", state: PlaceState.REGISTERED }, at);
  state.setPlace({ state: PlaceState.REGISTERED, problem: "no answer" }, { unixMs: 2_000, now: 1 });
  state.setPairing({ state: PairingState.WAITING, pool: "chess" }, at);
  state.setPairing(
    { state: PairingState.WAITING, pool: "chess", problem: "no answer" },
    { unixMs: 2_000, now: 1 },
  );
  const { place } = state.changesSince().changes;
  assert.deepEqual([place?.sinceMs, place?.problem], [1_000n, "no answer"]);
  assert.deepEqual([place?.pairing?.sinceMs, place?.pairing?.problem], [1_000n, "no answer"]);
  state.setPairing({ state: PairingState.UNSPECIFIED }, { unixMs: 3_000, now: 2 });
  assert.deepEqual(
    [state.place.pairing?.pool, state.place.pairing?.problem, state.place.pairing?.sinceMs],
    ["", "", 3_000n],
  );
});

test("WorkerState takes what workers at the place say of themselves within limits, as plain text", () => {
  const state = new WorkerState(() => {});
  const labels = Object.fromEntries(
    Array.from({ length: 32 }, (_, at) => [`key ${at}`, "x\u202e\n".repeat(200)]),
  );
  state.found({ ...stranger("a", "n\u0000".repeat(1_000)), labels });
  const [found] = state.changesSince().changes.found;
  assert.ok([...(found?.name ?? "")].length <= maxNameLength, "the name is cut");
  const entries = Object.entries(found?.labels ?? {});
  assert.equal(entries.length, maxFoundLabels);
  for (const [key, value] of entries) {
    assert.ok([...key].length <= maxLabelLength && [...value].length <= maxLabelLength, "cut");
    assert.doesNotMatch(value, /[\p{Cc}\u202e]/u);
  }
});

test("WorkerState lists as many workers at the place as it may, and counts the others", () => {
  const state = new WorkerState(() => {});
  for (let i = 0; i < maxFound + 3; i++) {
    state.found(stranger(`worker ${i}`));
  }
  assert.equal(state.place.untold, 3);
  assert.equal(state.changesSince().changes.found.length, maxFound);
  state.gone(`worker ${maxFound + 1}`);
  assert.equal(state.place.untold, 2);
  state.gone("worker 0");
  state.found(stranger(`worker ${maxFound}`));
  assert.equal(state.place.untold, 1);
  assert.equal(state.changesSince().changes.found.length, maxFound);
});
