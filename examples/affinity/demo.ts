// Two server processes behind a proxy that deals out connections. Plain calls spread over the servers; calls through a
// tunnel all reach the one that the tunnel was opened to.
//
//   node --import tsx examples/affinity/demo.ts

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createClient, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { createTunnelTransport, TunnelService } from "connect-quic/tunnel";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";
import { printRow, runProgram } from "../echo/terminal.ts";
import { startProxy } from "./proxy.ts";

const callCount = 4;

async function main(): Promise<void> {
  const servers = ["server A", "server B"].map(startServer);
  try {
    const proxy = await startProxy(await Promise.all(servers.map(({ port }) => port)));
    const baseUrl = `http://127.0.0.1:${proxy.port}`;

    // Each caller has a connection of its own, as the visitors of a site have.
    for (let call = 1; call <= callCount; call++) {
      const sessionManager = new Http2SessionManager(baseUrl);
      await say("plain", createGrpcTransport({ baseUrl, sessionManager }), call);
      sessionManager.abort();
    }

    // The tunnel is one call on one connection: where that has gone, all calls through it go.
    const sessionManager = new Http2SessionManager(baseUrl);
    const outer = createGrpcTransport({ baseUrl, sessionManager });
    const tunnel = createTunnelTransport(createClient(TunnelService, outer));
    for (let call = 1; call <= callCount; call++) {
      await say("tunnel", tunnel, call);
    }
    await tunnel.close();
    sessionManager.abort();
    proxy.server.close();
  } finally {
    for (const { child } of servers) {
      child.kill();
    }
    await Promise.all(servers.map(({ ended }) => ended));
  }
}

async function say(label: string, transport: Transport, call: number): Promise<void> {
  const start = performance.now();
  const { message } = await createClient(EchoService, transport).echo({ message: `hello ${call}` });
  printRow(label, message, performance.now() - start);
}

interface RunningServer {
  readonly child: ChildProcess;
  readonly port: Promise<number>;
  readonly ended: Promise<unknown>;
}

function startServer(name: string): RunningServer {
  const program = fileURLToPath(new URL("./server.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import=tsx", program, name], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "close");
  const lines = createInterface({ input: child.stdout });
  const port = Promise.race([
    once(lines, "line").then(([line]) => Number(line)),
    ended.then(() => Promise.reject(new Error(`${name} ended before it was ready`))),
  ]);
  return { child, port, ended };
}

await runProgram("affinity", main);
