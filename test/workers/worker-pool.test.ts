import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import { createClient, Code, ConnectError } from "@connectrpc/connect";
import {
  bindWorkerEndpoint,
  createQuicTransport,
  Endpoint,
  EndpointError,
  serveOnWorkers,
  type WorkerPool,
  type WorkerPoolOptions,
} from "connect-quic";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";
import { runTypeScript } from "../support/run-typescript.ts";

const file = new URL("../support/echo-worker.ts", import.meta.url);
const loopback = { bind: "127.0.0.1:0" } as const;

function serve(
  endpoint: Endpoint,
  options: WorkerPoolOptions & { readonly behaviour?: string } = {},
): Promise<WorkerPool> {
  const { behaviour = "serve", ...others } = options;
  return serveOnWorkers(endpoint, file, {
    workers: 2,
    ...others,
    workerOptions: { execArgv: [runTypeScript], workerData: { behaviour } },
  });
}

/** A peer of its own for each client, and so a connection. */
async function dial(endpoint: Endpoint) {
  const own = await Endpoint.bind(loopback);
  const transport = createQuicTransport({ endpoint: own, to: endpoint.ticket() });
  const client = createClient(EchoService, transport);
  return {
    endpoint: own,
    echo: async (message: string) => (await client.echo({ message })).message,
    client,
    [Symbol.asyncDispose]: async () => {
      await transport.close();
      await own.close({ timeoutMs: 0 });
    },
  };
}

describe("serveOnWorkers", () => {
  it("serves each connection on one worker, and connections on all by turns", async () => {
    await using endpoint = await Endpoint.bind(loopback);
    await using pool = await serve(endpoint);
    assert.equal(pool.workers.length, 2);
    const threads: string[] = [];
    for (let count = 0; count < 6; count += 1) {
      await using caller = await dial(endpoint);
      const thread = await caller.echo("thread");
      for (let call = 0; call < 20; call += 1) {
        assert.equal(await caller.echo("thread"), thread);
      }
      threads.push(thread);
    }
    for (const { threadId } of pool.workers) {
      assert.equal(threads.filter((thread) => thread === String(threadId)).length, 3);
    }
  });
});
