// The hub of bench/reverse.ts: calls the peers that have dialed it, as it is told by calls of the echo service.

import { createClient, type Transport } from "@connectrpc/connect";
import { EchoService } from "../gen/echo/v1/echo_pb.ts";
import { createPeerRouter, Endpoint, SecretKey } from "../src/index.ts";
import { holdings } from "../test/support/holdings.ts";
import { serveParent } from "../test/support/process.ts";
import { callInTurns, type HubCommand, type HubMemory, type HubReport } from "./reverse-calls.ts";

const [key = "", bind = ""] = process.argv.slice(2);
const endpoint = await Endpoint.bind({ secretKey: SecretKey.parse(key), bind });
const router = createPeerRouter(endpoint);
router.service(EchoService, {
  echo: async ({ message }) => ({
    message: message.startsWith("{") ? JSON.stringify(await obey(JSON.parse(message))) : message,
  }),
});

async function obey(command: HubCommand): Promise<HubReport> {
  const transports: Transport[] = [...router.peers]
    .filter(({ id }) => command.of === undefined || id.toString() === command.of)
    .map((peer) => peer.transport());
  const clients = transports.map((transport) => createClient(EchoService, transport));
  const calls = clients.flatMap((client) =>
    Array.from(
      { length: command.each },
      (_, number) => () => client.echo({ message: `${number}`.padStart(100, "x") }),
    ),
  );
  const outcome = await callInTurns(calls, command.atOnce);
  return {
    ...outcome,
    peers: router.peers.size,
    memory: command.memory === true ? memory() : undefined,
  };
}

function memory(): HubMemory {
  const { heap, external } = holdings(endpoint);
  return { heldBytes: heap + external, residentBytes: process.memoryUsage().rss };
}

serveParent({ port: endpoint.boundAddresses[0]?.port }, async () => {
  await router.close({ graceMs: 1_000 });
  await endpoint.close();
});
