import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createQuicTransport, Endpoint } from "../../src/index.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../src/rpc/gen/grpc/health/v1/health_pb.ts";
import { WorkerService } from "../../src/worker/gen/connectquic/worker/v1/worker_pb.js";
import { Worker } from "../../src/worker/worker.ts";
import { loopback } from "../support/peers.ts";

test("a worker is healthy from its start to its end, of which those learn who watch", async (t) => {
  const endpoint = await Endpoint.bind({ bind: loopback });
  const worker = new Worker({ endpoint });
  t.after(() => worker.close());
  const caller = await Endpoint.bind({ bind: loopback });
  t.after(() => caller.close({ timeoutMs: 0 }));
  const client = createClient(
    Health,
    createQuicTransport({ endpoint: caller, to: endpoint.ticket() }),
  );
  for (const service of ["", WorkerService.typeName]) {
    assert.equal((await client.check({ service })).status, ServingStatus.SERVING);
  }
  const seen: ServingStatus[] = [];
  for await (const { status } of client.watch({ service: WorkerService.typeName })) {
    seen.push(status);
    if (seen.length === 1) {
      void worker.close();
    }
  }
  assert.deepEqual(seen, [ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
});
