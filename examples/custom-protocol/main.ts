// One endpoint serves two protocols to whoever dials it: RPC, and one that we made up. Run it with
// `node --import tsx examples/custom-protocol/main.ts`.

import { createReadStream } from "node:fs";
import { fileURLToPath } from "node:url";
import { createPeerRouter, Endpoint, Router } from "connect-quic";
import { createEchoClient, registerEchoService } from "../../gen/echo/v1/echo_quic.ts";
import { digest, digestAlpn, digestHandler } from "./digest-protocol.ts";

// The serving peer. Both routers live on one endpoint: one id, one port.
await using server = await Endpoint.bind();
await using protocols = new Router(server);
protocols.accept(digestAlpn, digestHandler);
await using rpc = createPeerRouter(server);
registerEchoService(rpc, { echo: (request) => ({ message: request.message }) });

// The calling peer, which would be another process on another machine.
await using caller = await Endpoint.bind();
const echo = createEchoClient(caller, server.ticket());
console.log("echo:  ", (await echo.echo({ message: "hello" })).message);

await using connection = await caller.connect(server.ticket(), digestAlpn);
const thisFile = fileURLToPath(import.meta.url);
const sum = await digest(connection, createReadStream(thisFile));
console.log("sha256:", Buffer.from(sum).toString("hex"));
