// Bulk data by RPC from peer to peer over a relay of ours, and directly: three processes on loopback, in turns.

import { parseArgs } from "node:util";
import { createClient } from "@connectrpc/connect";
import { EchoService } from "../gen/echo/v1/echo_pb.ts";
import { createQuicTransport, Endpoint, type QuicTransport } from "../src/index.ts";
import { bindMutedUdp } from "../test/support/muted-udp.ts";
import { startProgram } from "../test/support/process.ts";
import { ProcessorTime } from "./processor-time.ts";
import { median } from "./statistics.ts";

const usage = `Usage: node --import tsx bench/relay-throughput.ts [options]

Streams data from one peer to another, over a relay of ours and directly by turns, and prints the medians of both and
their ratio, and the processor time of each process, which other work on the machine changes less. Linux alone, for /proc.

Options
  --rounds <n>       that count, after one that warms up (default 7)
  --megabytes <n>    in a round (default 64)
  --require <ratio>  exit code 1 unless the relay makes so much of the direct path's rate, in both directions
  --help
`;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    megabytes: { type: "string", default: "64" },
    require: { type: "string", default: "0" },
    help: { type: "boolean", default: false },
  },
});
const message = "x".repeat(65_536);
const count = Math.round((Number(values.megabytes) * 1_000_000) / message.length);

/** MB/s. */
type Play = (transport: QuicTransport) => Promise<number>;

const plays: Readonly<Record<string, Play>> = {
  download: async (transport) => {
    const startedAt = performance.now();
    let messages = 0;
    for await (const _ of createClient(EchoService, transport).repeat({ message, count })) {
      messages += 1;
    }
    return rate(messages, startedAt);
  },
  upload: async (transport) => {
    const startedAt = performance.now();
    const requests = async function* () {
      for (let sent = 0; sent < count; sent += 1) {
        yield { message };
      }
    };
    const { messages } = await createClient(EchoService, transport).collect(requests());
    return rate(Number(messages[0]), startedAt);
  },
};

if (values.help) {
  console.log(usage);
} else {
  process.exit((await run()) ? 0 : 1);
}

async function run(): Promise<boolean> {
  await using relay = await startProgram(new URL("relay-program.ts", import.meta.url));
  const { url } = relay.greeting as { url: string };
  await using server = await startProgram(new URL("relay-throughput-server.ts", import.meta.url), {
    args: [url],
  });
  const tickets = server.greeting as { direct: string; relayed: string };
  await using direct = await Endpoint.bind({ bind: "127.0.0.1:0" });
  await using relayed = await Endpoint.bind({
    bind: "127.0.0.1:0",
    relays: [url],
    network: { bindSocket: bindMutedUdp },
  });
  const ways = {
    direct: createQuicTransport({ endpoint: direct, to: tickets.direct, acceptCompression: [] }),
    relay: createQuicTransport({ endpoint: relayed, to: tickets.relayed, acceptCompression: [] }),
  };
  const processes = { client: process.pid, relay: relay.pid, server: server.pid };
  let isMet = true;
  for (const [name, play] of Object.entries(plays)) {
    const rates: Record<keyof typeof ways, number[]> = { direct: [], relay: [] };
    const costs = { direct: new ProcessorTime(processes), relay: new ProcessorTime(processes) };
    for (let round = 0; round <= Number(values.rounds); round += 1) {
      for (const way of ["direct", "relay"] as const) {
        costs[way].begin();
        const value = await play(ways[way]);
        if (round > 0) {
          rates[way].push(value);
          costs[way].end();
        }
      }
    }
    const ratio = median(rates.relay) / median(rates.direct);
    isMet &&= ratio >= Number(values.require);
    console.log(
      `${name.padEnd(8)}  relay ${shown(rates.relay)}  direct ${shown(rates.direct)}  ratio ${ratio.toFixed(2)}`,
    );
    const megabytes = (Number(values.rounds) * count * message.length) / 1_000_000;
    for (const way of ["relay", "direct"] as const) {
      console.log(`  processor, ${way}: ${costs[way].per(megabytes)}`);
    }
  }
  return isMet;
}

function rate(messages: number, startedAt: number): number {
  return (messages * message.length) / (performance.now() - startedAt) / 1_000;
}

/** The median, with the least and the greatest. */
function shown(rates: readonly number[]): string {
  const [least, middle, greatest] = [Math.min(...rates), median(rates), Math.max(...rates)];
  return `${middle.toFixed(0)} MB/s (${least.toFixed(0)}-${greatest.toFixed(0)})`;
}
