// An instance of a place, in a process of its own: tells its URL, and ends with its stdin.

import { nodePlatform } from "../../../src/base/node-platform.ts";
import { Endpoint } from "../../../src/index.ts";
import { redisState } from "../../../src/rendezvous/redis/redis-state.ts";
import { RendezvousServer } from "../../../src/rendezvous/server/rendezvous-server.ts";

const [url = "", limits = "{}"] = process.argv.slice(2);
const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0", platform: nodePlatform });
const server = await RendezvousServer.start({
  endpoint,
  listen: { host: "127.0.0.1", port: 0 },
  pages: "here",
  state: redisState({ url }),
  limits: JSON.parse(limits),
  onError: () => {},
});
console.log(JSON.stringify({ url: server.url }));
process.stdin.resume().once("end", () => {
  void server.close().then(() => process.exit(0));
});
