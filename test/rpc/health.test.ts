// gRPC's health service, which a router serves by itself.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import {
  Health,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../src/rpc/gen/grpc/health/v1/health_pb.ts";
import { createPeerClient } from "../../src/rpc/peer-client.ts";
import { EchoService } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { Peers } from "../support/peers.ts";

const service = EchoService.typeName;

for (const protocol of ["connect", "grpc"] as const) {
  test(`a router tells its health, and that of its services, over ${protocol}`, async () => {
    await using peers = await Peers.start({ transport: { protocol } });
    const health = createPeerClient(Health, peers.transport);
    assert.equal((await health.check({})).status, ServingStatus.SERVING);
    assert.equal((await health.check({ service })).status, ServingStatus.SERVING);
    await assert.rejects(health.check({ service: "other.Service" }), hasCode(Code.NotFound));
    const statuses = health.watch({ service })[Symbol.asyncIterator]();
    const next = async (): Promise<ServingStatus> => (await statuses.next()).value?.status;
    assert.equal(await next(), ServingStatus.SERVING);
    peers.router.health.set(EchoService, false);
    assert.equal(await next(), ServingStatus.NOT_SERVING);
    assert.equal((await health.check({})).status, ServingStatus.SERVING);
    peers.router.health.set(service, true);
    assert.equal(await next(), ServingStatus.SERVING);
    peers.router.health.set("", false);
    assert.equal(await next(), ServingStatus.NOT_SERVING);
    const unknown = health.watch({ service: "later.v1.Service" })[Symbol.asyncIterator]();
    assert.equal((await unknown.next()).value?.status, ServingStatus.SERVICE_UNKNOWN);
    await unknown.return?.();
    peers.router.health.set("", true);
    assert.equal(await next(), ServingStatus.SERVING);
    // Who watches learns that the router closes, and holds nothing up.
    const closed = peers.router.close({ graceMs: 60_000 });
    assert.equal(await next(), ServingStatus.NOT_SERVING);
    assert.equal((await statuses.next()).done, true);
    await closed;
  });
}

test("with health: false a router serves no health service", async () => {
  await using peers = await Peers.start({ router: { health: false } });
  const health = createClient(Health, peers.transport);
  await assert.rejects(health.check({}), hasCode(Code.Unimplemented));
});
