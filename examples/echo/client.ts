// Calls EchoService on a peer.

import { parseArgs } from "node:util";
import { type Connection, createQuicTransport, Endpoint, formatTransportAddr } from "connect-quic";
import { createEchoClient } from "../../gen/echo/v1/echo_quic.ts";
import { clientStream, conversation, ping, serverStream, unary } from "./calls.ts";
import { printMoves } from "./paths.ts";
import {
  formatBytes,
  formatMs,
  positiveInteger,
  printRow,
  runProgram,
  UsageError,
} from "./terminal.ts";

const usage = `Usage: node --import tsx examples/echo/client.ts --to <ticket> [options]

Sends a message to an echo server and prints what comes back, and when.

Options
  --to <ticket>      whom to call: the ticket that the server prints
  --message <text>   what to say (default: hello)
  --count <n>        how many times (default: 1, with --ping 100)
  --stream           say it in one call that goes both ways
  --all              every kind of call: unary, server stream, client stream, both ways
  --ping             print statistics of round trips
  --timeout <ms>     how long the peer may take to be reached, and to answer (default: 5000)
  --relay <url>      a relay server to be reached by, as for the server; not needed to reach one by its relay
  --verbose          print the connection and its path as well, and when it moves from a relay to a direct path
  --help

Exit code: 0 when everything came back, 1 when a call failed, 2 when the options make no sense.
`;

async function main(signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    options: {
      to: { type: "string" },
      message: { type: "string", default: "hello" },
      count: { type: "string" },
      stream: { type: "boolean", default: false },
      all: { type: "boolean", default: false },
      ping: { type: "boolean", default: false },
      timeout: { type: "string" },
      relay: { type: "string", multiple: true, default: [] },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  if (values.to === undefined) {
    throw new UsageError("--to is missing: the ticket that the server prints (--help says more)");
  }
  const timeoutMs = positiveInteger("timeout", values.timeout) ?? 5_000;
  const count = positiveInteger("count", values.count) ?? (values.ping ? 100 : 1);

  await using endpoint = await Endpoint.bind({ relays: values.relay });
  const calls = {
    client: createEchoClient(endpoint, values.to, { dialTimeoutMs: timeoutMs }),
    message: values.message,
    count,
    // A deadline begins with the call, so the first one has to have time to dial.
    options: { signal, timeoutMs: 2 * timeoutMs },
  };
  if (values.verbose) {
    printRow("this peer", endpoint.id.toString());
    // Of the connection that the calls share. Where there is none, they tell why.
    createQuicTransport({ endpoint, to: values.to, dialTimeoutMs: timeoutMs })
      .connect({ signal })
      .then(printMoves, () => {});
  }
  if (values.all) {
    await unary(calls);
    await serverStream(calls);
    await clientStream(calls);
    await conversation(calls);
  } else if (values.ping) {
    await ping(calls);
  } else if (values.stream) {
    await conversation(calls);
  } else {
    await unary(calls);
  }
  if (values.verbose) {
    for (const connection of endpoint.connections) {
      describe(connection);
    }
  }
}

function describe(connection: Connection): void {
  const stats = connection.stats();
  printRow("called", connection.remoteId.toString());
  printRow("protocol", connection.alpn);
  for (const path of connection.paths()) {
    const use = path.active ? "" : ", not in use";
    const packets = `packets up to ${path.mtu} bytes, ${path.packetsLost} lost`;
    printRow(
      "path",
      `${formatTransportAddr(path.remote)}, round trip ${formatMs(path.rttMs)}, ${packets}${use}`,
    );
  }
  const sent = `${formatBytes(stats.bytesSent)} in ${stats.datagramsSent} packets`;
  const received = `${formatBytes(stats.bytesReceived)} in ${stats.datagramsReceived}`;
  printRow("traffic", `sent ${sent}, received ${received}`);
}

await runProgram("client", main);
