// A load balancer as simple as can be: each connection goes to the next server, whatever is said on it.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";

/** Starts a proxy on a free port of loopback, and returns it with that port. */
export async function startProxy(
  ports: readonly number[],
): Promise<{ readonly server: Server; readonly port: number }> {
  let connections = 0;
  // Small frames are not to wait for each other.
  const noDelay = true;
  const server = createServer({ noDelay }, (client) => {
    const port = ports[connections++ % ports.length] ?? 0;
    const upstream = connect({ port, host: "127.0.0.1", noDelay });
    client.pipe(upstream).pipe(client);
    client.on("error", () => upstream.destroy());
    upstream.on("error", () => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, port: (server.address() as AddressInfo).port };
}
