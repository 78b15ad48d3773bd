// Calls back: what one costs beside a call forth on the same connection, and a hub with many devices that is started anew.

import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
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
import { defaultBackoff } from "../src/rpc/redial-plan.ts";
import { lastingPort } from "../test/support/lasting-port.ts";
import { LineProcess } from "./line-process.ts";
import { createProgress } from "./progress.ts";
import {
  type Arrivals,
  type CallsOutcome,
  callInTurns,
  echoCall,
  type HubCommand,
  type HubUsage,
  processorMs,
} from "./reverse-calls.ts";
import {
  type CallsOfAll,
  formatReverse,
  type IdleDevices,
  losses,
  type Return,
  type ReverseReport,
  type Way,
  type WaysCompared,
} from "./reverse-report.ts";
import { median } from "./statistics.ts";

const usage = `Usage: node --import tsx bench/reverse.ts [options]

Prints what a call back costs beside a call forth on the same connection, between two processes. Then devices, each with a
key and a connection of its own and all in this process, dial a hub in another one, which calls each of them. The hub's
process is stopped, which it tells its devices, and later killed, which they notice after the idle timeout; each time
another one takes its place, with the same key, and calls them as soon as they are back by themselves. Exit code 1 when a
call was lost, or a device was not back within twice what its options promise: the longest wait between two dials, the
longest dial, and after a kill the idle timeout and one interval of keep-alive. Whether targets are met is only printed.
A few minutes with the defaults, in which the machine should do nothing else.

Options
  --rounds <n>         of calls forth and back by turns (default 15)
  --calls <n>          in a round (default 2000)
  --devices <n>        (default 1000)
  --each <n>           calls of each device, each time (default 10)
  --at-once <n>        calls of devices that are under way at a time (default 64)
  --idle-timeout <ms>  of devices (default 30000)
  --json <file>        writes what was measured there
  --quick              50 devices, few calls forth and back, an idle timeout of 6000: shows that nothing is lost
  --help
`;

const { values } = parseArgs({
  options: {
    rounds: { type: "string" },
    calls: { type: "string" },
    devices: { type: "string" },
    each: { type: "string" },
    "at-once": { type: "string" },
    "idle-timeout": { type: "string" },
    json: { type: "string" },
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const { quick } = values;
const rounds = count("rounds", quick ? 3 : 15);
const callsOfRound = count("calls", quick ? 300 : 2_000);
const deviceCount = count("devices", quick ? 50 : 1_000);
const each = count("each", 10);
const atOnce = count("at-once", 64);
const idleTimeoutMs = count("idle-timeout", quick ? 6_000 : 30_000);

/** Devices that are bound and connect at a time. */
const comeAtOnce = 50;
/** The default of transports. */
const dialTimeoutMs = 10_000;
/** Often enough for the idle timeout of `--quick` on a machine that stands still for seconds. */
const keepAliveIntervalMs = Math.min(5_000, idleTimeoutMs / 6);
/** Until all devices are connected for the first time. */
const patientMs = 600_000;
const progress = createProgress(process.stderr);

/** The hub: its process can be ended, and another one takes its place with the same key and address. */
class Hub {
  readonly #seed = randomBytes(32);
  readonly #id = SecretKey.fromBytes(this.#seed).publicKey;
  readonly #address: string;
  #process: LineProcess<HubCommand> | undefined;

  constructor(port: number) {
    this.#address = `127.0.0.1:${port}`;
  }

  async start(): Promise<void> {
    this.#process = new LineProcess<HubCommand>("./reverse-hub.ts", [
      this.#seed.toString("hex"),
      this.#address,
    ]);
    await this.#process.read();
  }

  ask<Answer>(command: HubCommand): Promise<Answer> {
    if (this.#process === undefined) {
      throw new Error("the hub was not started");
    }
    return this.#process.ask<Answer>(command);
  }

  /** Ends it: "stopped" tells its devices, "killed" tells nobody. */
  async end(how: Return["how"]): Promise<void> {
    if (how === "stopped") {
      await this.ask({ type: "stop" });
    }
    await this.#process?.kill();
  }

  get addr(): EndpointAddr {
    return EndpointAddr.from({ id: this.#id, addrs: [this.#address] });
  }
}

interface Device {
  readonly endpoint: Endpoint;
  /** The hub. */
  readonly echo: Client<typeof EchoService>;
}

async function startDevice(hub: Hub): Promise<Device> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0", transport: { idleTimeoutMs } });
  const serve = createPeerRouter(endpoint).service(EchoService, {
    echo: ({ message }) => ({ message }),
  });
  const transport = createQuicTransport({
    endpoint,
    to: hub.addr,
    serve,
    dialTimeoutMs,
    keepAliveIntervalMs,
  });
  return { endpoint, echo: createClient(EchoService, transport) };
}

/** Both directions by turns, so that both see the same machine; each is the first one every second time. */
async function compareWays(hub: Hub, device: Device, callersAtOnce: number): Promise<WaysCompared> {
  const of = device.endpoint.id.toString();
  const calls = Array.from({ length: callsOfRound }, (_, number) => echoCall(device.echo, number));
  const forth: Way = { elapsedUs: [], processorUs: [] };
  const back: Way = { elapsedUs: [], processorUs: [] };
  const spent = async (): Promise<number> => {
    const hubs = await hub.ask<HubUsage>({ type: "usage", collectGarbage: false });
    return processorMs() + hubs.processorMs;
  };
  const measure = async (way: Way, work: () => Promise<CallsOutcome>): Promise<void> => {
    const before = await spent();
    const { milliseconds, done, errors } = await work();
    if (done !== callsOfRound) {
      throw new Error(`a call has failed between two that stayed connected: ${errors[0]}`);
    }
    way.processorUs.push((((await spent()) - before) * 1_000) / callsOfRound);
    way.elapsedUs.push((milliseconds * 1_000) / callsOfRound);
  };
  const inTurn = [
    () => measure(forth, () => callInTurns(calls, callersAtOnce)),
    () =>
      measure(back, () => hub.ask({ type: "call", each: callsOfRound, atOnce: callersAtOnce, of })),
  ];
  for (let round = 0; round <= rounds; round += 1) {
    for (const measureNext of inTurn) {
      await measureNext();
    }
    inTurn.reverse();
  }
  // The first round is for the compiler.
  for (const values of [forth, back].flatMap((way) => [way.elapsedUs, way.processorUs])) {
    values.shift();
  }
  return { atOnce: callersAtOnce, forth, back };
}

async function untilThere(hub: Hub, peers: number): Promise<void> {
  const arrivals = await hub.ask<Arrivals>({ type: "await", peers, timeoutMs: patientMs });
  if (arrivals.peers !== peers) {
    throw new Error(`${arrivals.peers} of ${peers} devices are connected`);
  }
}

/** Connects all other devices, and measures what they make the hub hold. */
async function connectAll(hub: Hub, devices: Device[]): Promise<IdleDevices> {
  const memory = (): Promise<HubUsage> => hub.ask({ type: "usage", collectGarbage: true });
  await untilThere(hub, devices.length);
  const before = await memory();
  const connectedBefore = devices.length;
  const beganMs = performance.now();
  while (devices.length < deviceCount) {
    const next = Math.min(comeAtOnce, deviceCount - devices.length);
    devices.push(...(await Promise.all(Array.from({ length: next }, () => startDevice(hub)))));
    await untilThere(hub, devices.length);
    progress("devices connect", `${devices.length}`);
  }
  const connectedMs = performance.now() - beganMs;
  const after = await memory();
  const count = Math.max(1, devices.length - connectedBefore);
  return {
    connectedMs,
    heldBytes: (after.heldBytes - before.heldBytes) / count,
    residentBytes: (after.residentBytes - before.residentBytes) / count,
  };
}

async function restart(hub: Hub, how: Return["how"]): Promise<Return> {
  progress(`hub ${how}`, "waiting for the devices");
  await hub.end(how);
  const endedMs = performance.now();
  await hub.start();
  const awayMs = performance.now() - endedMs;
  // The idle timeout begins anew with the first packet that is sent after the last that came (RFC 9000 §10.1).
  const unnoticedMs = how === "killed" ? keepAliveIntervalMs + idleTimeoutMs : 0;
  const promisedMs = unnoticedMs + dialTimeoutMs + defaultBackoff.maxMs;
  const allowedMs = 2 * promisedMs;
  const { peers, arrivedMs } = await hub.ask<Arrivals>({
    type: "await",
    peers: deviceCount,
    timeoutMs: allowedMs,
  });
  return {
    how,
    awayMs,
    devices: peers,
    medianMs: median(arrivedMs),
    lastMs: arrivedMs.at(-1) ?? Number.NaN,
    promisedMs,
    allowedMs,
  };
}

async function callBothWays(
  hub: Hub,
  devices: readonly Device[],
  when: string,
): Promise<CallsOfAll[]> {
  progress("calls of all devices", when);
  const back = await hub.ask<CallsOutcome>({ type: "call", each, atOnce });
  const forth = await callInTurns(
    devices.map(({ echo }, number) => echoCall(echo, number)),
    atOnce,
  );
  return [
    // Of one that is not there, all are lost.
    { ...back, expected: deviceCount * each, when: `of devices, ${when}` },
    { ...forth, when: `by devices, ${when}` },
  ];
}

async function measure(): Promise<ReverseReport> {
  const load = loadavg()[0] ?? 0;
  const hub = new Hub(await lastingPort());
  await hub.start();
  const first = await startDevice(hub);
  await untilThere(hub, 1);
  const ways: WaysCompared[] = [];
  for (const callersAtOnce of [1, 32]) {
    progress("calls forth and back", `${callersAtOnce} at a time`);
    ways.push(await compareWays(hub, first, callersAtOnce));
  }
  // The memory of one that has done nothing yet.
  await hub.end("stopped");
  await hub.start();
  const devices = [first];
  const idle = await connectAll(hub, devices);
  const calls = await callBothWays(hub, devices, "connected");
  const returns: Return[] = [];
  for (const how of ["stopped", "killed"] as const) {
    returns.push(await restart(hub, how));
    calls.push(...(await callBothWays(hub, devices, `back after it was ${how}`)));
  }
  await hub.end("stopped");
  return {
    node: process.versions.node,
    cores: availableParallelism(),
    load,
    devices: deviceCount,
    ways,
    idle,
    calls,
    returns,
  };
}

/** An option that is a whole number, at least 1. */
function count(
  name: Exclude<keyof typeof values, "json" | "quick" | "help">,
  otherwise: number,
): number {
  const given = values[name];
  if (given !== undefined && !/^[1-9][0-9]{0,8}$/.test(given)) {
    console.error(`--${name} is a number from 1 on, not ${JSON.stringify(given)}`);
    process.exit(2);
  }
  return Number(given ?? otherwise);
}

async function main(): Promise<boolean> {
  const report = await measure();
  if (process.stderr.isTTY) {
    process.stderr.write("\r\x1b[K");
  }
  console.log(formatReverse(report));
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify(report, undefined, 2)}\n`);
  }
  return losses(report).length === 0;
}

if (values.help) {
  console.log(usage);
} else {
  // The hub ends with this process.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => process.exit(1));
  }
  process.exit((await main()) ? 0 : 1);
}
