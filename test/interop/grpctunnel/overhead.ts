// What a tunnel costs, ours and grpctunnel's own, each beside direct calls between the same two processes.

import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { parseArgs } from "node:util";
import { type ConnectRouter, createClient, type Transport } from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { createProgress } from "../../../bench/progress.ts";
import { median, spread } from "../../../bench/statistics.ts";
import { alignColumns } from "../../../bench/table.ts";
import { BytesService } from "../../../gen/connectquic/interop/v1/bytes_pb.ts";
import { createPeerRouter, createQuicTransport, Endpoint } from "../../../src/index.ts";
import { createTunnelHost, createTunnelTransport, TunnelService } from "../../../src/tunnel.ts";
import { serveParent, startProgram } from "../../support/process.ts";
import { ForeignProcess } from "../http3/foreign-process.ts";
import { GoProgram } from "../http3/go-program.ts";
import { bytesService } from "./bytes-service.ts";

const usage = `Usage: node --import tsx test/interop/grpctunnel/overhead.ts [options]

Calls Echo with 100 bytes, one at a time, direct and through a forward tunnel: ours over QUIC and over connect-node's
HTTP/2, and the Go module grpctunnel over grpc-go, each between two processes on loopback, in rounds by turns. Prints the
medians of the rounds and how many times as long as a direct call one through the tunnel takes. Needs Go for the last.

Options
  --rounds <n>  (default 5)
  --calls <n>   of each kind in a round that count, after as many for the compiler; in Go always 2000 (default 2000)
  --help
`;

/** Microseconds for a call, in the median of a round. */
interface Round {
  readonly direct: number;
  readonly tunnel: number;
}

interface Greeting {
  readonly ticket: string;
  readonly port: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "5" },
    calls: { type: "string", default: "2000" },
    help: { type: "boolean", default: false },
  },
});
const [rounds, calls] = [values.rounds, values.calls].map(Number) as [number, number];

if (positionals[0] === "serve") {
  await serve();
} else if (values.help) {
  console.log(usage);
} else if (!(rounds >= 1 && calls >= 1)) {
  console.error("--rounds and --calls are numbers from 1 on");
  process.exitCode = 2;
} else {
  await compare();
}

async function compare(): Promise<void> {
  await using server = await startProgram(new URL(import.meta.url), { args: ["serve"] });
  const { ticket, port } = server.greeting as Greeting;
  await using endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const sessionManager = new Http2SessionManager(`http://127.0.0.1:${port}`);
  const transports: readonly [name: string, transport: Transport][] = [
    ["connect-quic", createQuicTransport({ endpoint, to: ticket })],
    ["connect-quic, gRPC", createQuicTransport({ endpoint, to: ticket, protocol: "grpc" })],
    [
      "connect-node, gRPC",
      createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}`, sessionManager }),
    ],
  ];
  const go = new GoProgram(new URL(".", import.meta.url), "grpctunnel-peer");
  const missing = go.build();
  const contestants: readonly [name: string, measure: () => Promise<Round>][] = [
    ...transports.map(
      ([name, transport]) => [name, () => measure(transport)] as [string, () => Promise<Round>],
    ),
    ...(missing === undefined
      ? [["grpctunnel, grpc-go", () => measureGo(go)] as [string, () => Promise<Round>]]
      : []),
  ];
  const progress = createProgress(process.stderr);
  const measured = new Map<string, Round[]>(contestants.map(([name]) => [name, []]));
  for (let round = 1; round <= rounds; round += 1) {
    for (const [name, play] of contestants) {
      progress(`round ${round}`, name);
      measured.get(name)?.push(await play());
    }
  }
  print(measured);
  if (missing !== undefined) {
    console.log(`grpctunnel: ${missing}`);
  }
  sessionManager.abort();
}

function print(measured: ReadonlyMap<string, readonly Round[]>): void {
  const us = (values: readonly number[]): string[] => {
    const { median, least, most } = spread(values);
    return [median.toFixed(0), `±${Math.round(((most - least) / 2 / median) * 100)}%`];
  };
  const rows = [...measured].map(([name, all]) => {
    const ratio = spread(all.map(({ direct, tunnel }) => tunnel / direct));
    return [
      name,
      ...us(all.map(({ direct }) => direct)),
      ...us(all.map(({ tunnel }) => tunnel)),
      ratio.median.toFixed(2),
      `${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)}`,
    ];
  });
  const head = ["", "direct, us", "", "tunnel, us", "", "tunnel ÷ direct", ""];
  console.log(
    `${process.stderr.isTTY ? "\r\x1b[K" : ""}Node.js ${process.versions.node}, medians of ${rounds} rounds by turns`,
  );
  for (const line of alignColumns([head, ...rows], "left")) {
    console.log(line.trimEnd());
  }
}

async function measure(transport: Transport): Promise<Round> {
  await using tunnel = createTunnelTransport(createClient(TunnelService, transport));
  return { direct: await timeOfCall(transport), tunnel: await timeOfCall(tunnel) };
}

async function timeOfCall(transport: Transport): Promise<number> {
  const client = createClient(BytesService, transport);
  const times: number[] = [];
  for (let call = 0; call < 2 * calls; call += 1) {
    const startMs = performance.now();
    await client.echo({ value: new Uint8Array(100) });
    if (call >= calls) {
      times.push((performance.now() - startMs) * 1e3);
    }
  }
  return median(times);
}

async function measureGo(program: GoProgram): Promise<Round> {
  const { process: server, line } = await ForeignProcess.start(
    program.path,
    ["serve"],
    "listening",
  );
  await using _server = server;
  const { process: client } = await ForeignProcess.start(
    program.path,
    ["dial", String(line.port)],
    "ready",
  );
  await using _client = client;
  client.say("measure");
  const { direct, tunnel } = await client.expect("measured");
  return { direct: Number(direct), tunnel: Number(tunnel) };
}

async function serve(): Promise<void> {
  const services = (router: ConnectRouter): void => {
    router.service(
      BytesService,
      bytesService(() => {}),
    );
  };
  const tunnels = createTunnelHost({ routes: services });
  const routes = (router: ConnectRouter): void => {
    services(router);
    router.service(TunnelService, tunnels.service);
  };
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint);
  routes(router);
  const server = createServer(connectNodeAdapter({ routes }));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const greeting: Greeting = {
    ticket: endpoint.ticket(),
    port: (server.address() as AddressInfo).port,
  };
  serveParent(greeting, async () => process.exit(0));
}
