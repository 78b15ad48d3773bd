// Calls back: what one costs beside a call forth on the same connection, and a hub with many devices that is started anew.
// Linux alone, for /proc.

import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { type Client, createClient } from "@connectrpc/connect";
import { EchoService } from "../gen/echo/v1/echo_pb.ts";
import {
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  EndpointAddr,
  SecretKey,
} from "../src/index.ts";
import { type Program, startProgram } from "../test/support/process.ts";
import { processorSeconds } from "./processor-time.ts";
import {
  type CallsOutcome,
  callInTurns,
  type HubCommand,
  type HubMemory,
  type HubReport,
} from "./reverse-calls.ts";
import { median } from "./statistics.ts";

const usage = `Usage: node --import tsx bench/reverse.ts [options]

Prints what a call back costs beside a call forth, between two processes. Then devices, all in this process, dial a hub in
another one, which calls each of them; it is started anew, and calls them again. Exit code 1 when a call was lost.

Options
  --rounds <n>     of calls forth and back by turns (default 9)
  --calls <n>      in a round (default 2000)
  --devices <n>    (default 1000)
  --each <n>       calls of each device (default 10)
  --at-once <n>    calls of devices that are under way at a time (default 64)
  --help
`;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "9" },
    calls: { type: "string", default: "2000" },
    devices: { type: "string", default: "1000" },
    each: { type: "string", default: "10" },
    "at-once": { type: "string", default: "64" },
    help: { type: "boolean", default: false },
  },
});
const [rounds, callsOfRound, deviceCount, each, atOnce] = [
  values.rounds,
  values.calls,
  values.devices,
  values.each,
  values["at-once"],
].map(Number) as [number, number, number, number, number];

/** Devices that are bound and connect at a time. */
const comeAtOnce = 50;

/** The hub's process, which can be ended and started again where it was. */
class Hub {
  readonly #seed = randomBytes(32);
  readonly #id = SecretKey.fromBytes(this.#seed).publicKey;
  #program: Program | undefined;
  #port = 0;

  async start(): Promise<void> {
    this.#program = await startProgram(new URL("./reverse-hub.ts", import.meta.url), {
      args: [this.#seed.toString("hex"), `127.0.0.1:${this.#port}`],
    });
    ({ port: this.#port } = this.#program.greeting as { port: number });
  }

  async stop(): Promise<void> {
    await this.#program?.close();
  }

  get pid(): number {
    return this.#program?.pid ?? 0;
  }

  get addr(): EndpointAddr {
    return EndpointAddr.from({ id: this.#id, addrs: [`127.0.0.1:${this.#port}`] });
  }
}

interface Device {
  readonly endpoint: Endpoint;
  readonly echo: Client<typeof EchoService>;
}

async function startDevice(hub: Hub): Promise<Device> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const serve = createPeerRouter(endpoint).service(EchoService, {
    echo: ({ message }) => ({ message }),
  });
  const transport = createQuicTransport({ endpoint, to: hub.addr, serve });
  return { endpoint, echo: createClient(EchoService, transport) };
}

/** Has the hub make calls, and says what came of them. */
type Order = (command: HubCommand) => Promise<HubReport>;

/** What calls in one direction take, one entry a round. Microseconds a call. */
class Way {
  readonly elapsed: number[] = [];
  /** Of both processes. */
  readonly processor: number[] = [];

  async measure(hub: Hub, work: () => Promise<CallsOutcome>): Promise<void> {
    const spent = (): number => processorSeconds(process.pid) + processorSeconds(hub.pid);
    const before = spent();
    const outcome = await work();
    checkDone(outcome, callsOfRound);
    this.processor.push(((spent() - before) * 1e6) / callsOfRound);
    this.elapsed.push((outcome.milliseconds * 1_000) / callsOfRound);
  }
}

/** Both directions by turns, so that both see the same machine. The first round is not counted. */
async function compare(
  hub: Hub,
  order: Order,
  device: Device,
  callersAtOnce: number,
): Promise<void> {
  const of = device.endpoint.id.toString();
  const message = "x".repeat(100);
  const calls = Array.from({ length: callsOfRound }, () => () => device.echo.echo({ message }));
  const [forth, back] = [new Way(), new Way()];
  for (let round = 0; round <= rounds; round += 1) {
    await forth.measure(hub, () => callInTurns(calls, callersAtOnce));
    await back.measure(hub, () => order({ each: callsOfRound, atOnce: callersAtOnce, of }));
  }
  const compared = (which: "elapsed" | "processor"): string => {
    const [a, b] = [median(forth[which].slice(1)), median(back[which].slice(1))];
    return `forth ${a.toFixed(0)} us, back ${b.toFixed(0)} us, ratio ${(b / a).toFixed(2)}`;
  };
  console.log(`${callersAtOnce} at a time, time of a call: ${compared("elapsed")}`);
  console.log(`${callersAtOnce} at a time, processor time: ${compared("processor")}`);
}

function checkDone({ done, errors }: CallsOutcome, expected: number): void {
  if (done !== expected) {
    process.exitCode = 1;
    console.log(`LOST: ${expected - done} of ${expected} calls; ${errors[0] ?? "no errors"}`);
  }
}

/** Waits until the hub can call so many. */
async function untilPeers(order: Order, count: number): Promise<void> {
  for (;;) {
    const { peers } = await order({ each: 0, atOnce: 1 });
    if (peers === count) {
      return;
    }
    await sleep(50);
  }
}

async function memoryOf(order: Order): Promise<HubMemory> {
  const { memory } = await order({ each: 0, atOnce: 1, memory: true });
  if (memory === undefined) {
    throw new Error("the hub does not tell its memory");
  }
  return memory;
}

async function main(): Promise<void> {
  const hub = new Hub();
  await hub.start();
  // Whoever orders is no device: it serves nothing.
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const operator = createClient(
    EchoService,
    createQuicTransport({ endpoint, to: hub.addr, dialTimeoutMs: 60_000 }),
  );
  const order: Order = async (command) =>
    JSON.parse((await operator.echo({ message: JSON.stringify(command) })).message);

  const first = await startDevice(hub);
  await untilPeers(order, 1);
  for (const callersAtOnce of [1, 32]) {
    await compare(hub, order, first, callersAtOnce);
  }

  // The memory of one that has done nothing yet.
  await hub.stop();
  await hub.start();
  await untilPeers(order, 1);
  const before = await memoryOf(order);
  const devices = [first];
  const beganMs = performance.now();
  while (devices.length < deviceCount) {
    const next = Math.min(comeAtOnce, deviceCount - devices.length);
    devices.push(...(await Promise.all(Array.from({ length: next }, () => startDevice(hub)))));
    await untilPeers(order, devices.length);
  }
  const seconds = (performance.now() - beganMs) / 1_000;
  const { heldBytes, residentBytes } = await memoryOf(order);
  const perDevice = (bytes: number): string =>
    `${(bytes / Math.max(1, deviceCount - 1) / 1_024).toFixed(0)} KiB`;
  console.log(
    `${deviceCount} devices connected in ${seconds.toFixed(1)} s; for each that is idle the hub holds ${perDevice(heldBytes - before.heldBytes)}, and has ${perDevice(residentBytes - before.residentBytes)} more of the machine's memory`,
  );
  const callAll = async (when: string): Promise<void> => {
    const report = await order({ each, atOnce });
    checkDone(report, deviceCount * each);
    const rate = report.done / (report.milliseconds / 1_000);
    console.log(
      `${report.done} of ${deviceCount * each} calls ${when}, ${atOnce} at a time: ${rate.toFixed(0)} calls/s`,
    );
  };
  await callAll("back");
  await hub.stop();
  const stoppedMs = performance.now();
  await hub.start();
  const startedMs = performance.now();
  await untilPeers(order, deviceCount);
  const backMs = performance.now() - startedMs;
  console.log(
    `hub started anew after ${(startedMs - stoppedMs).toFixed(0)} ms: all devices there ${backMs.toFixed(0)} ms later`,
  );
  await callAll("after that");
  await hub.stop();
}

if (values.help) {
  console.log(usage);
} else {
  await main();
  process.exit();
}
