import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createPeerRouter, createQuicTransport, Endpoint } from "connect-quic";
import { batchedUdp } from "connect-quic/koffi";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";

test("calls go over sockets that send in batches, in packets of the internet's size", async () => {
  const options = {
    bind: "127.0.0.1:0",
    network: { bindSocket: await batchedUdp() },
    transport: { loopbackMtu: 0, initialMtu: 1_350, maxMtu: 1_350 },
  };
  await using server = await Endpoint.bind(options);
  await using router = createPeerRouter(server, { acceptCompression: [] });
  router.service(EchoService, { echo: ({ message }) => ({ message }) });
  await using endpoint = await Endpoint.bind(options);
  await using transport = createQuicTransport({ endpoint, to: server.ticket() });
  const client = createClient(EchoService, transport);
  const message = "0123456789".repeat(300_000);
  for (let count = 0; count < 3; count += 1) {
    assert.equal((await client.echo({ message })).message, message);
  }
});
