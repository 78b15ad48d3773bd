// What a tunnel costs: calls of Echo with 100 bytes, one at a time, direct and through a forward tunnel; ours over QUIC and
// over connect-node's HTTP/2, and grpctunnel over grpc-go, each between two processes on loopback. Prints medians of
// several rounds.
//
//   node --import tsx test/interop/grpctunnel/overhead.ts [rounds]

import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { type ConnectRouter, createClient, type Transport } from "@connectrpc/connect";
import { connectNodeAdapter, createGrpcTransport } from "@connectrpc/connect-node";
import { BytesService } from "../../../gen/connectquic/interop/v1/bytes_pb.ts";
import { createPeerRouter, createQuicTransport, Endpoint } from "../../../src/index.ts";
import { createTunnelHost, createTunnelTransport, TunnelService } from "../../../src/tunnel.ts";
import { serveParent, startProgram } from "../../support/process.ts";
import { ForeignProcess } from "../http3/foreign-process.ts";
import { GoProgram } from "../http3/go-program.ts";
import { bytesService } from "./bytes-service.ts";

const calls = 2_000;

interface Medians {
  /** Microseconds. */
  readonly direct: number;
  readonly tunnel: number;
}

interface Greeting {
  readonly ticket: string;
  readonly port: number;
}

if (process.argv[2] === "serve") {
  await serve();
} else {
  await compare(Number(process.argv[2] ?? 3));
}

async function compare(rounds: number): Promise<void> {
  await using server = await startProgram(new URL(import.meta.url), { args: ["serve"] });
  const { ticket, port } = server.greeting as Greeting;
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const transports: [name: string, transport: Transport][] = [
    ["connect-quic", createQuicTransport({ endpoint, to: ticket })],
    ["connect-quic, gRPC", createQuicTransport({ endpoint, to: ticket, protocol: "grpc" })],
    ["connect-node, gRPC", createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` })],
  ];
  const program = new GoProgram(new URL(".", import.meta.url), "grpctunnel-peer");
  const missing = program.build();
  for (let round = 1; round <= rounds; round++) {
    for (const [name, transport] of transports) {
      print(name, await measure(transport));
    }
    if (missing === undefined) {
      print("grpctunnel, grpc-go", await measureGo(program));
    } else {
      console.log(`grpctunnel: ${missing}`);
    }
  }
  await endpoint.close();
  process.exitCode = 0;
}

function print(name: string, { direct, tunnel }: Medians): void {
  const us = (value: number): string => `${value.toFixed(0).padStart(6)} us`;
  const ratio = (tunnel / direct).toFixed(2);
  console.log(`${name.padEnd(22)}direct ${us(direct)}   tunnel ${us(tunnel)}   ${ratio} times`);
}

async function measure(transport: Transport): Promise<Medians> {
  await using tunnel = createTunnelTransport(createClient(TunnelService, transport));
  return { direct: await median(transport), tunnel: await median(tunnel) };
}

async function median(transport: Transport): Promise<number> {
  const client = createClient(BytesService, transport);
  const times: number[] = [];
  for (let call = 0; call < 2 * calls; call++) {
    const start = performance.now();
    await client.echo({ value: new Uint8Array(100) });
    if (call >= calls) {
      times.push(performance.now() - start);
    }
  }
  times.sort((a, b) => a - b);
  return (times[calls / 2] ?? 0) * 1e3;
}

async function measureGo(program: GoProgram): Promise<Medians> {
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
