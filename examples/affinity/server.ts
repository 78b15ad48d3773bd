// One of several servers of the same service: remembers its callers' words in memory, where the others cannot see them.

import { once } from "node:events";
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { createTunnelHost, TunnelService } from "connect-quic/tunnel";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";

const [name = "nameless"] = process.argv.slice(2);
let calls = 0;

function routes(router: ConnectRouter): void {
  router.service(EchoService, {
    echo: ({ message }) => ({ message: `${name}, call ${++calls}: ${message}` }),
  });
}

// The same service twice: for plain calls, and for calls through tunnels.
const tunnels = createTunnelHost({ routes });
const server = createServer(
  connectNodeAdapter({
    routes: (router) => {
      routes(router);
      router.service(TunnelService, tunnels.service);
    },
  }),
);
server.listen(0, "127.0.0.1");
await once(server, "listening");
console.log((server.address() as AddressInfo).port);

process.once("SIGTERM", async () => {
  // Calls through tunnels may end; new ones are refused, and their callers open a tunnel to another server.
  await tunnels.close({ graceMs: 5_000 });
  process.exit(0);
});
