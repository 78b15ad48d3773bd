import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  formatSocketAddress,
  parseSocketAddress,
  type SocketAddress,
} from "../base/socket-address.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import type { PathPort, PathState } from "./connection-paths.ts";
import { RemotePaths } from "./remote-paths.ts";

const relay = parseSocketAddress("[fd15:70a:510b:1::1]:12345");
const direct = parseSocketAddress("203.0.113.1:1000");
const other = parseSocketAddress("203.0.113.2:2000");
const own = parseSocketAddress("198.51.100.1:3000");

/** A connection whose paths the test makes, and which notes what it is asked for. */
class FakePort implements PathPort {
  readonly role: "client" | "server";
  readonly offered: readonly SocketAddress[];
  readonly calls: string[] = [];
  states: (PathState & { status: "available" | "backup" })[] = [];
  /** What the server has told. */
  remote: readonly SocketAddress[] = [];
  opens: "opened" | "later" = "opened";
  punches: "started" | "nothing" = "started";
  #nextId = 0;

  constructor(
    role: "client" | "server" = "client",
    { offered = [] }: { readonly offered?: readonly SocketAddress[] } = {},
  ) {
    this.role = role;
    this.offered = offered;
  }

  add(remote: SocketAddress, rttMs = 40): PathState {
    const state = {
      id: this.#nextId,
      remote,
      status: "available" as const,
      rttMs,
      bytesSent: 0,
      bytesReceived: 0,
      packetsWaiting: 0,
      packetsAcknowledged: 0,
      packetsLost: 0,
    } as unknown as (typeof this.states)[number];
    this.#nextId += 1;
    this.states.push(state);
    return state;
  }

  remove(remote: SocketAddress): void {
    this.states = this.states.filter((state) => state.remote !== remote);
  }

  change(remote: SocketAddress, change: Partial<PathState>): void {
    this.states = this.states.map((state) =>
      state.remote === remote ? { ...state, ...change } : state,
    );
  }

  /** Takes the calls so far, those that begin so. */
  take(beginning: string): string[] {
    const taken = this.calls.filter((call) => call.startsWith(beginning));
    this.calls.splice(0);
    return taken;
  }

  paths(): PathState[] {
    return this.states;
  }

  open(remote: SocketAddress, status: "available" | "backup"): "opened" | "later" | "unavailable" {
    if (this.role === "server") {
      return "unavailable";
    }
    this.calls.push(`open ${formatSocketAddress(remote)} ${status}`);
    return this.opens;
  }

  close(id: number): boolean {
    this.calls.push(`close ${id}`);
    return true;
  }

  setStatus(id: number, status: "available" | "backup"): void {
    this.calls.push(`status ${id} ${status}`);
    this.states = this.states.map((state) => (state.id === id ? { ...state, status } : state));
  }

  setIdleTimeout(id: number, timeoutMs: number): void {
    this.calls.push(`idle ${id} ${timeoutMs}`);
  }

  probeMtu(id: number, mtu: number): void {
    this.calls.push(`mtu ${id} ${mtu}`);
  }

  ping(id: number): void {
    this.calls.push(`ping ${id}`);
  }

  addCandidate(address: SocketAddress): boolean {
    this.calls.push(`offer ${formatSocketAddress(address)}`);
    return true;
  }

  removeCandidate(address: SocketAddress): void {
    this.calls.push(`withdraw ${formatSocketAddress(address)}`);
  }

  remoteCandidates(): readonly SocketAddress[] | undefined {
    return this.role === "client" ? this.remote : undefined;
  }

  punch(): "started" | "nothing" | "unavailable" {
    if (this.role === "server") {
      return "unavailable";
    }
    this.calls.push("punch");
    return this.punches;
  }

  giveUp(): void {
    this.calls.push("give up");
  }

  networkChanged(dead: readonly number[]): void {
    this.calls.push(`changed ${dead.join(",")}`);
  }
}

class Scene {
  readonly platform = new VirtualPlatform(1);
  readonly events: string[] = [];
  readonly probed: string[] = [];
  candidates: readonly SocketAddress[] = [own];
  relayHeardAt: number | undefined;
  readonly paths: RemotePaths = new RemotePaths({
    platform: this.platform,
    isRelay: ({ host }) => host.startsWith("fd15:"),
    relayHeardAt: () => this.relayHeardAt,
    probeRelay: (address) => this.probed.push(formatSocketAddress(address)),
    candidates: () => this.candidates,
    report: (event) =>
      this.events.push(
        event.type === "punching"
          ? "punching"
          : `${event.type} ${formatSocketAddress(event.remote)}`,
      ),
  });
}

const start = (): Scene => new Scene();

/** A client that has reached its peer over the relay. */
function overRelay(): Scene & { readonly port: FakePort } {
  const port = new FakePort();
  port.add(relay, 80);
  const scene = Object.assign(start(), { port });
  scene.paths.addKnown([relay]);
  scene.paths.opened(port);
  return scene;
}

describe("RemotePaths", () => {
  it("dials everywhere until something is chosen, relays last, and there afterwards", () => {
    const { paths, port } = overRelay();
    paths.addKnown([direct]);
    assert.deepEqual(paths.destinations, [relay]);
    paths.closed(port);
    assert.deepEqual(paths.destinations, [direct, relay]);
  });

  it("remembers 32 addresses, and never forgets the one in use", () => {
    const { paths } = overRelay();
    const many = Array.from({ length: 50 }, (_, index) => ({ ...direct, port: index + 1 }));
    paths.addKnown(many);
    assert.equal(paths.known.length, 32);
    assert.ok(paths.known.includes(relay));
    assert.equal(paths.selected, relay);
  });

  it("offers own addresses where the relay is in use, and what is gone no more", () => {
    const scene = overRelay();
    assert.deepEqual(scene.port.take("offer"), [`offer ${formatSocketAddress(own)}`]);
    scene.candidates = [other];
    scene.paths.ownCandidatesChanged({ major: false });
    assert.deepEqual(
      scene.port.calls.filter((call) => /offer|withdraw/.test(call)),
      [`withdraw ${formatSocketAddress(own)}`, `offer ${formatSocketAddress(other)}`],
    );
  });

  it("offers nothing to peers that are reached without a relay", () => {
    const { paths } = start();
    const port = new FakePort();
    port.add(direct);
    paths.opened(port);
    assert.deepEqual(port.take("offer"), []);
  });

  it("gives relays 30 s of silence", () => {
    const { port } = overRelay();
    assert.deepEqual(port.take("idle"), ["idle 0 30000"]);
  });

  it("tries large datagrams once on a relay that carries bulk, and never on a direct path", () => {
    const { paths, port, platform } = overRelay();
    const look = (bytesSent: number): string[] => {
      port.change(relay, { bytesSent });
      port.change(direct, { bytesSent });
      paths.touched();
      platform.runFor(150);
      return port.take("mtu");
    };
    port.add(direct);
    paths.changed(port);
    assert.deepEqual(look(65_535), []);
    assert.deepEqual(look(65_536), ["mtu 0 16000"]);
    assert.deepEqual(look(10_000_000), []);
  });

  it("does not offer again what the peer was told in the handshake, and withdraws it when it is gone", () => {
    const scene = start();
    const port = new FakePort("server", { offered: [own, other] });
    port.add(relay);
    scene.paths.opened(port);
    assert.deepEqual(
      port.calls.filter((call) => /offer|withdraw/.test(call)),
      [`withdraw ${formatSocketAddress(other)}`],
    );
  });

  it("punches at once, when it is not known yet where the server is", () => {
    const { port, events } = overRelay();
    assert.deepEqual(port.take("punch"), ["punch"]);
    assert.deepEqual(events.slice(-1), ["punching"]);
  });

  it("does not punch for a better path than the direct one before the server tells of addresses", () => {
    const { paths } = start();
    const port = new FakePort();
    port.add(direct);
    paths.opened(port);
    assert.deepEqual(port.take("punch"), []);
  });

  it("punches when the server tells of addresses, then at most every 5 s", () => {
    const { paths, port, platform, events } = overRelay();
    port.take("punch");
    port.remote = [direct];
    paths.candidatesChanged();
    assert.deepEqual(port.take("punch"), ["punch"]);
    assert.deepEqual(events.slice(-1), ["punching"]);
    paths.candidatesChanged();
    platform.runFor(4_900);
    assert.deepEqual(port.take("punch"), []);
    platform.runFor(200);
    assert.deepEqual(port.take("punch"), ["punch"]);
  });

  it("punches at once for a new address of either side", () => {
    const scene = overRelay();
    const { paths, port } = scene;
    port.take("punch");
    port.remote = [direct];
    paths.candidatesChanged();
    port.remote = [direct, other];
    paths.candidatesChanged();
    assert.equal(port.take("punch").length, 2);
    scene.candidates = [own, other];
    paths.ownCandidatesChanged({ major: false });
    assert.equal(port.take("punch").length, 1);
  });

  it("tries again in 100 ms when there was nothing to punch, 20 times", () => {
    const { paths, port, platform } = overRelay();
    port.take("punch");
    port.remote = [direct];
    port.punches = "nothing";
    paths.candidatesChanged();
    platform.runFor(10_000);
    assert.equal(port.take("punch").length, 21);
  });

  it("does not punch where a direct path takes 10 ms or less", () => {
    const { paths, port } = overRelay();
    port.take("punch");
    port.add(direct, 10);
    paths.changed(port);
    port.remote = [direct, other];
    paths.candidatesChanged();
    assert.deepEqual(port.take("punch"), []);
  });

  it("has data go directly once there is such a path, and keeps the relay for later", () => {
    const { paths, port, events } = overRelay();
    port.add(direct);
    paths.changed(port);
    assert.deepEqual(port.take("status"), ["status 0 backup"]);
    assert.equal(paths.selected, direct);
    assert.deepEqual(events.slice(-2), [
      `opened ${formatSocketAddress(direct)}`,
      `selected ${formatSocketAddress(direct)}`,
    ]);
  });

  it("closes direct paths that are left over, as a client and never the relay's", () => {
    for (const role of ["client", "server"] as const) {
      const { paths } = start();
      const port = new FakePort(role);
      port.add(relay);
      port.add(direct);
      port.add(other, 20);
      paths.opened(port);
      assert.deepEqual(port.take("close"), role === "client" ? ["close 1"] : []);
      assert.equal(paths.selected, other);
    }
  });

  it("opens the relay as a backup for a connection that began directly", () => {
    const { paths } = start();
    const port = new FakePort();
    port.add(direct);
    paths.addKnown([relay, direct]);
    paths.opened(port);
    assert.deepEqual(port.take("open"), [`open ${formatSocketAddress(relay)} backup`]);
  });

  it("opens what could not be opened again after 333 ms", () => {
    const { paths, platform } = start();
    const port = new FakePort();
    port.opens = "later";
    port.add(direct);
    paths.addKnown([relay]);
    paths.opened(port);
    platform.runFor(330);
    assert.equal(port.take("open").length, 1);
    port.opens = "opened";
    platform.runFor(10);
    assert.equal(port.take("open").length, 1);
    platform.runFor(10_000);
    assert.equal(port.take("open").length, 0);
  });

  it("moves to the relay when the direct path is silent for a second, and closes that when the relay lives", () => {
    const { paths, port, platform, events, probed } = overRelay();
    port.add(direct);
    paths.changed(port);
    port.change(direct, { packetsWaiting: 1 });
    paths.touched();
    platform.runFor(1_000);
    assert.equal(paths.selected, direct);
    assert.deepEqual(port.take("ping"), ["ping 0", "ping 1"]);
    assert.deepEqual(probed, [formatSocketAddress(relay)]);
    port.change(relay, { bytesReceived: 50 });
    platform.runFor(300);
    assert.ok(events.includes(`stalled ${formatSocketAddress(direct)}`));
    assert.equal(paths.selected, relay);
    assert.ok(port.take("close 1").length > 0);
  });

  it("leaves the address of a path that was closed alone for a second", () => {
    const { paths, port, platform } = overRelay();
    port.add(direct);
    paths.changed(port);
    port.remove(direct);
    paths.changed(port);
    platform.runFor(900);
    assert.deepEqual(port.take(`open ${formatSocketAddress(direct)}`), []);
    platform.runFor(600);
    assert.deepEqual(port.take(`open ${formatSocketAddress(direct)}`).length > 0, true);
  });

  it("tells a client's connection which paths are of the old network, and a server closes them", () => {
    for (const role of ["client", "server"] as const) {
      const { paths } = start();
      const port = new FakePort(role);
      port.add(relay);
      port.add(direct);
      paths.opened(port);
      port.take("");
      paths.ownCandidatesChanged({ major: true });
      assert.deepEqual(
        port.calls.filter((call) => /changed|close/.test(call)),
        role === "client" ? ["changed 1"] : ["close 1", "changed "],
      );
    }
  });

  it("has no timer left when all connections are closed", () => {
    const { paths, port, platform } = overRelay();
    port.remote = [direct];
    paths.candidatesChanged();
    paths.touched();
    paths.ownCandidatesChanged({ major: true });
    paths.closed(port);
    port.take("");
    platform.runFor(3_600_000);
    assert.deepEqual(port.calls, []);
    assert.equal(paths.hasConnections, false);
  });

  it("does not wake up for a peer with which nothing goes on, but once a minute", () => {
    const { paths, platform } = overRelay();
    paths.touched();
    platform.runFor(1_000);
    let timers = 0;
    const { setTimer } = platform;
    platform.setTimer = (...args) => {
      timers += 1;
      return setTimer.apply(platform, args);
    };
    platform.runFor(600_000);
    assert.ok(timers <= 11, `${timers} timers in 10 minutes`);
  });
});
