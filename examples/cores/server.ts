// A peer that serves EchoService on several cores, until Ctrl-C: this is the main thread, worker.ts what each worker does.

import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { Endpoint, SecretKey, serveOnWorkers } from "connect-quic";
import { aborted, positiveInteger, printRow, runProgram } from "../echo/terminal.ts";

const usage = `Usage: node --import tsx examples/cores/server.ts [options]

Serves echo.v1.EchoService on several cores until Ctrl-C. Clients are those of examples/echo.

Options
  --workers <n>      how many (default: as many as there are cores)
  --bind <ip:port>   where to listen, such as 0.0.0.0:4433 or [::]:4433; may be given twice, for IPv4 and IPv6
                     (default: all addresses, free ports)
  --key <file>       who to be: the key in this file, which is made if it does not exist
                     (default: a new key each time)
  --relay <url>      a relay server, with which clients reach this one wherever it is; may be given several times
  --help
`;

async function main(signal: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    options: {
      workers: { type: "string", default: String(availableParallelism()) },
      bind: { type: "string", multiple: true },
      key: { type: "string" },
      relay: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  await using endpoint = await Endpoint.bind({
    ...(values.bind === undefined ? {} : { bind: values.bind }),
    ...(values.key === undefined ? {} : { secretKey: await SecretKey.loadOrCreate(values.key) }),
    relays: values.relay,
    onError: (error) => printRow("error", error instanceof Error ? error.message : String(error)),
  });
  // A compiled program names worker.js here. Node.js 20 knows no TypeScript, and tsx has to be asked to in each worker.
  const file = new URL("worker.mjs", import.meta.url);
  const pool = await serveOnWorkers(endpoint, file, {
    workers: positiveInteger("workers", values.workers) ?? 1,
    signal,
  });
  printRow("workers", String(pool.workers.length));
  printRow("id", endpoint.id.toString());
  printRow("ticket", endpoint.ticket());

  await aborted(signal);
  printRow("stop", "no new calls; those that run may end");
  await pool.close();
}

await runProgram("server", main);
