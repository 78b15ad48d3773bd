// That the networks of the laboratory do what they are said to: with plain UDP sockets in place of peers.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { test } from "node:test";
import { peerPort, publicAddress, servicesNode } from "./address-plan.ts";
import { LabNetwork } from "./lab-network.ts";
import { missingRequirement } from "./requirements.ts";
import { startWatchdog } from "./start-watchdog.ts";
import type { HostName, Router, Topology } from "./topology.ts";

const missing = await missingRequirement();
const options = { skip: missing ?? false, timeout: 60_000 };
if (missing === undefined) {
  startWatchdog();
}

const services = publicAddress(servicesNode).ipv4;
/** The services tell whoever asks under which address they see it. */
const mirrors = [1_001, 1_002] as const;

/** A UDP socket on the peer's port of a host. */
class Probe {
  readonly #write: (line: string) => void;
  readonly #lines: Interface;
  /** What came before somebody waited for it. */
  readonly #received: string[] = [];

  private constructor(write: (line: string) => void, lines: Interface) {
    this.#write = write;
    this.#lines = lines;
    lines.on("line", (line) => this.#received.push(line));
  }

  static async open(network: LabNetwork, host: HostName): Promise<Probe> {
    const child = network.spawn(host, process.execPath, ["-e", probeProgram], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    assert.ok(child.stdin && child.stdout);
    const { stdin } = child;
    const probe = new Probe((line) => stdin.write(`${line}\n`), createInterface(child.stdout));
    assert.equal(await probe.receive(), "bound");
    return probe;
  }

  send(address: string, text: string): void {
    this.#write(`${address} ${text}`);
  }

  async receive(): Promise<string> {
    while (this.#received.length === 0) {
      await once(this.#lines, "line");
    }
    return this.#received.shift() ?? "";
  }

  /** What a mirror sees; whatever else has come before is passed over. */
  async reflection(port: number): Promise<string> {
    this.send(`${services}:${port}`, "who am I");
    for (;;) {
      const [from, , text] = (await this.receive()).split(" ");
      if (from === `${services}:${port}`) {
        return text ?? "";
      }
    }
  }
}

const probeProgram = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (text, { address, port }) => console.log(address + ":" + port, "says", String(text)));
  socket.bind(${peerPort}, () => console.log("bound"));
  require("node:readline").createInterface(process.stdin).on("line", (line) => {
    const [, address, port, text] = /^(.*):(\\d+) (.*)$/.exec(line);
    socket.send(text, port, address);
  }).on("close", () => process.exit());
`;

const mirrorProgram = `
  let bound = 0;
  for (const port of [${mirrors}]) {
    const socket = require("node:dgram").createSocket("udp4");
    socket.on("message", (text, { address, port }) => socket.send(address + ":" + port, port, address));
    socket.bind(port, () => ++bound === 2 && console.log("bound"));
  }
`;

async function build(topology: Topology): Promise<LabNetwork> {
  const network = await LabNetwork.create(topology, { delayMs: 1 });
  const child = network.spawn("services", process.execPath, ["-e", mirrorProgram], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  assert.ok(child.stdout);
  await once(child.stdout, "data");
  return network;
}

function behind(router: Router): Topology {
  return { routers: { home: router }, hosts: { a: { at: "home" }, b: { at: "internet" } } };
}

test(
  "an endpoint-independent mapping shows every destination the same address",
  options,
  async () => {
    await using network = await build(behind({}));
    const a = await Probe.open(network, "a");
    const seen = [await a.reflection(mirrors[0]), await a.reflection(mirrors[1])];
    const external = network.externalAddress("a");
    assert.deepEqual(seen, [external, external]);
  },
);

test("a mapping by destination shows each another address", options, async () => {
  await using network = await build(behind({ mapping: "address-and-port-dependent" }));
  const a = await Probe.open(network, "a");
  assert.notEqual(await a.reflection(mirrors[0]), await a.reflection(mirrors[1]));
  assert.equal(network.externalAddress("a"), undefined);
});

test("who was not sent to cannot send, unless nothing is filtered", options, async () => {
  for (const filtering of ["address-and-port-dependent", "endpoint-independent"] as const) {
    await using network = await build(behind({ filtering }));
    const [a, b] = [await Probe.open(network, "a"), await Probe.open(network, "b")];
    const seen = await a.reflection(mirrors[0]);
    b.send(seen, "hello");
    // The way out and back takes longer than b's.
    await b.reflection(mirrors[0]);
    a.send(`${services}:${mirrors[1]}`, "is there anything");
    const first = await a.receive();
    if (filtering === "endpoint-independent") {
      assert.equal(first, `${network.externalAddress("b")} says hello`);
    } else {
      assert.equal(first, `${services}:${mirrors[1]} says ${seen}`);
      // b may, once a has sent to it: a packet that came too early does no harm.
      a.send(network.externalAddress("b") ?? "", "hello");
      assert.equal(await b.receive(), `${seen} says hello`);
      b.send(seen, "and back");
      assert.equal(await a.receive(), `${network.externalAddress("b")} says and back`);
    }
  }
});

test(
  "behind one carrier, hosts reach each other by outside addresses with hairpin alone",
  options,
  async () => {
    for (const hairpin of [true, false]) {
      await using network = await build({
        routers: {
          carrier: { hairpin },
          home: { behind: "carrier", filtering: "endpoint-independent" },
          flat: { behind: "carrier", filtering: "endpoint-independent" },
        },
        hosts: { a: { at: "home" }, b: { at: "flat" } },
      });
      const [a, b] = [await Probe.open(network, "a"), await Probe.open(network, "b")];
      const [fromA, fromB] = [await a.reflection(mirrors[0]), await b.reflection(mirrors[0])];
      a.send(fromB, "hello");
      await a.reflection(mirrors[0]);
      b.send(`${services}:${mirrors[1]}`, "is there anything");
      const expected = hairpin ? `${fromA} says hello` : `${services}:${mirrors[1]} says ${fromB}`;
      assert.equal(await b.receive(), expected);
    }
  },
);

test("a router that forgets its mappings gives out others", options, async () => {
  await using network = await build(behind({}));
  const a = await Probe.open(network, "a");
  const before = await a.reflection(mirrors[0]);
  await network.forgetMappings("home");
  const after = await a.reflection(mirrors[0]);
  assert.notEqual(after, before);
  assert.equal(after, network.externalAddress("a"));
});

test("a host that moves is seen under another address", options, async () => {
  await using network = await build({
    routers: { home: {}, mobile: {} },
    hosts: { a: { at: "home", movesTo: "mobile" }, b: { at: "internet" } },
  });
  const a = await Probe.open(network, "a");
  const before = await a.reflection(mirrors[0]);
  await network.move("a");
  const after = await a.reflection(mirrors[0]);
  assert.notEqual(after, before);
  assert.equal(after, network.externalAddress("a"));
});

test(
  "UDP between the peers can be cut, and what they have with others goes on",
  options,
  async () => {
    await using network = await build(behind({ filtering: "endpoint-independent" }));
    const [a, b] = [await Probe.open(network, "a"), await Probe.open(network, "b")];
    const seen = await a.reflection(mirrors[0]);
    await network.setTrouble({ directLossPercent: 100 });
    b.send(seen, "hello");
    await b.reflection(mirrors[0]);
    a.send(`${services}:${mirrors[1]}`, "is there anything");
    assert.equal(await a.receive(), `${services}:${mirrors[1]} says ${seen}`);
    await network.setTrouble({});
    b.send(seen, "hello");
    assert.equal(await a.receive(), `${network.externalAddress("b")} says hello`);
  },
);

test("the kernel's count tells direct bytes from those of services", options, async () => {
  await using network = await build(behind({}));
  const [a, b] = [await Probe.open(network, "a"), await Probe.open(network, "b")];
  a.send(network.externalAddress("b") ?? "", "hello");
  const [from = ""] = (await b.receive()).split(" ");
  b.send(from, "x".repeat(1_000));
  await a.receive();
  await a.reflection(mirrors[0]);
  // With the headers of UDP and IPv4.
  assert.deepEqual(await network.traffic("a"), { direct: 1_028, relayed: 0 });
});
