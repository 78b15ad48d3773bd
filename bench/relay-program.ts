// A relay of ours as a process of its own, for relay.ts. Says on its first line where it is, and ends with its stdin.

import { RelayServer } from "../src/relay/server/relay-server.ts";

const relay = await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } });
console.log(JSON.stringify({ url: relay.url }));
process.stdin.on("end", () => process.exit()).resume();
