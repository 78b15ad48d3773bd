// A program for our-server.test.ts: two iroh endpoints that have nothing but our relay between them, because UDP gets lost
// where this runs. Prints what came of it as JSON.

import type { Connection as IrohConnection } from "@number0/iroh";
import { RelayServer } from "../../../src/relay/server/relay-server.ts";
import { IrohPeer, numbers } from "../iroh/iroh-peer.ts";
import { call, echo } from "./iroh-echo.ts";

export interface OverRelayReport {
  readonly hello: string;
  readonly bulkBytes: number;
  readonly bulkIntact: boolean;
  readonly slowestCallMs: number;
  readonly relayedBytes: number;
  readonly droppedFrames: number;
  readonly afterRestart: string;
  readonly directPaths: number;
}

const alpn = "connect-quic-interop/relay";
const bulkBytes = 8_000_000;

const first = await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } });
const server = await IrohPeer.bind(alpn, "127.0.0.1:0", first.url);
const client = await IrohPeer.bind(alpn, "127.0.0.1:0", first.url);
const dialed = await client.connectByRelay(server, first.url, alpn);
void echo(await server.accept());

const text = async (words: string): Promise<string> =>
  new TextDecoder().decode(Uint8Array.from(await call(dialed, numbers(words))));
const hello = await text("hello");

const bulk = Array.from({ length: bulkBytes }, (_, index) => index % 251);
let echoed: number[] | undefined;
const moved = call(dialed, bulk).then((bytes) => {
  echoed = bytes;
});
let slowestCallMs = 0;
while (echoed === undefined) {
  const started = performance.now();
  await text("still there?");
  slowestCallMs = Math.max(slowestCallMs, performance.now() - started);
}
await moved;

const { bytesSent, framesDropped } = first.metrics;
await first.close({ restartInMs: 10 });
const second = await RelayServer.start({ listen: { host: "127.0.0.1", port: first.address.port } });
const report: OverRelayReport = {
  hello,
  bulkBytes: echoed.length,
  bulkIntact: echoed.every((byte, index) => byte === index % 251),
  slowestCallMs,
  relayedBytes: bytesSent,
  droppedFrames: framesDropped,
  afterRestart: await text("after"),
  directPaths: countDirect(dialed),
};
console.log(JSON.stringify(report));
await Promise.all([client.endpoint.close(), server.endpoint.close()]);
await second.close();
process.exit();

function countDirect(connection: IrohConnection): number {
  return connection.paths().filter(({ isIp }) => isIp).length;
}
