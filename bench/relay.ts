// What a relay costs with many clients: ours, and beside it iroh-relay under the same load. Linux alone, for /proc.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { nodePlatform } from "../src/base/node-platform.ts";
import { parseRelayUrl } from "../src/identity/relay-url.ts";
import { SecretKey } from "../src/identity/secret-key.ts";
import { openNodeMessageChannel } from "../src/relay/node-message-channel.ts";
import { RelayClient } from "../src/relay/relay-client.ts";
import { startProgram } from "../test/support/process.ts";
import { processorSeconds } from "./processor-time.ts";

const usage = `Usage: node --import tsx bench/relay.ts [options]

Connects idle clients and busy pairs to a relay in a process of its own, and prints its memory and processor time.
The clients are all in this process: what they cost is not in the figures, but takes its share of the machine.

Options
  --relay <name>     ours, iroh, or both (default both)
  --idle <n>         clients that do nothing (default 1000)
  --pairs <n>        pairs that send to each other (default 200)
  --rate <n>         datagrams per second from each of a pair (default 25)
  --size <bytes>     of a datagram (default 1200)
  --seconds <n>      of load (default 10)
  --help
`;

const { values } = parseArgs({
  options: {
    relay: { type: "string", default: "both" },
    idle: { type: "string", default: "1000" },
    pairs: { type: "string", default: "200" },
    rate: { type: "string", default: "25" },
    size: { type: "string", default: "1200" },
    seconds: { type: "string", default: "10" },
    help: { type: "boolean", default: false },
  },
});
const [idle, pairs, rate, size, seconds] = [
  values.idle,
  values.pairs,
  values.rate,
  values.size,
  values.seconds,
].map(Number) as [number, number, number, number, number];

/** How often each pair sends. */
const tickMs = 40;
/** Clients that connect at a time. */
const connectAtOnce = 50;

interface RunningRelay extends AsyncDisposable {
  readonly pid: number;
  readonly url: string;
}

if (values.help) {
  console.log(usage);
} else {
  console.log(
    `${idle} idle clients, ${pairs} pairs sending ${rate} × ${size} bytes/s each way, ${seconds} s`,
  );
  for (const name of values.relay === "both" ? ["ours", "iroh"] : [values.relay]) {
    await using relay = await (name === "ours" ? startOurs() : startIroh());
    console.log(`${name.padEnd(5)} ${await measure(relay)}`);
  }
  process.exit();
}

async function startOurs(): Promise<RunningRelay> {
  const program = await startProgram(new URL("relay-program.ts", import.meta.url));
  const { url } = program.greeting as { url: string };
  return { pid: program.pid, url, [Symbol.asyncDispose]: () => program.kill() };
}

async function startIroh(): Promise<RunningRelay> {
  const { IrohRelay, noIrohRelay } = await import("../test/support/iroh-relay.ts");
  if (noIrohRelay !== false) {
    throw new Error(noIrohRelay);
  }
  return await IrohRelay.start();
}

async function measure({ pid, url }: RunningRelay): Promise<string> {
  const empty = residentMiB(pid);
  const latencies: number[] = [];
  const onDatagram = (bytes: Uint8Array): void => {
    latencies.push(performance.now() - new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0));
  };
  const started = performance.now();
  const clients = await connectAll(url, idle + 2 * pairs, onDatagram);
  const connectMs = performance.now() - started;
  const connected = residentMiB(pid);
  const busy = clients.slice(0, 2 * pairs);
  const cpu = processorSeconds(pid);
  await sendAll(busy);
  const used = (processorSeconds(pid) - cpu) / seconds;
  const underLoad = residentMiB(pid);
  let sent = 0;
  for (const { client } of clients) {
    sent += client.stats().datagramsSent;
    client.close();
  }
  latencies.sort((a, b) => a - b);
  const at = (share: number): string =>
    (latencies[Math.floor(latencies.length * share)] ?? Number.NaN).toFixed(1);
  return [
    `${clients.length} connected in ${(connectMs / 1_000).toFixed(1)} s`,
    `memory ${empty} MiB empty, ${connected} connected, ${underLoad} under load`,
    `processor ${(used * 100).toFixed(0)} %`,
    `${latencies.length} of ${sent} datagrams, latency ${at(0.5)} ms median, ${at(0.99)} p99`,
  ].join("; ");
}

interface Client {
  readonly client: RelayClient;
  readonly key: SecretKey;
}

async function connectAll(
  url: string,
  count: number,
  onDatagram: (bytes: Uint8Array) => void,
): Promise<Client[]> {
  const clients: Client[] = [];
  while (clients.length < count) {
    const next = Array.from({ length: Math.min(connectAtOnce, count - clients.length) }, () =>
      connectOne(url, onDatagram),
    );
    clients.push(...(await Promise.all(next)));
  }
  return clients;
}

function connectOne(url: string, onDatagram: (bytes: Uint8Array) => void): Promise<Client> {
  const key = SecretKey.generate();
  return new Promise((resolve) => {
    const client = new RelayClient({
      url: parseRelayUrl(url),
      secretKey: key,
      platform: nodePlatform,
      openChannel: openNodeMessageChannel,
      handler: {
        datagrams: (_, bytes) => onDatagram(bytes),
        endpointGone: () => {},
        stateChanged: (state) => {
          if (state.type === "connected") {
            resolve({ client, key });
          }
        },
      },
    });
  });
}

/** Client 0 with 1, 2 with 3 and so on, both ways; ends when the last datagrams have had time to arrive. */
async function sendAll(clients: readonly Client[]): Promise<void> {
  const perTick = (rate * tickMs) / 1_000;
  const end = performance.now() + seconds * 1_000;
  let due = 0;
  for (let next = performance.now(); next < end; next += tickMs) {
    due += perTick;
    for (; due >= 1; due -= 1) {
      for (const [index, { client }] of clients.entries()) {
        const to = clients[index ^ 1];
        const datagram = new Uint8Array(size);
        new DataView(datagram.buffer).setFloat64(0, performance.now());
        if (to !== undefined) {
          client.send(to.key.publicKey, datagram, size);
        }
      }
    }
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(next + tickMs - performance.now(), 0)),
    );
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
}

function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(/^VmRSS:\s+([0-9]+) kB/m.exec(status)?.[1]) / 1_024);
}
