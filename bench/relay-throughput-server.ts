// The serving peer of relay-throughput.ts: one endpoint that is reached directly, and one by a relay alone. Says on its
// first line where they are, and ends with its stdin.

import { EchoService } from "../gen/echo/v1/echo_pb.ts";
import { createPeerRouter, Endpoint } from "../src/index.ts";
import { bindMutedUdp } from "../test/support/muted-udp.ts";

const [relay = ""] = process.argv.slice(2);
const direct = await Endpoint.bind({ bind: "127.0.0.1:0" });
const relayed = await Endpoint.bind({
  bind: "127.0.0.1:0",
  relays: [relay],
  network: { bindSocket: bindMutedUdp },
});
for (const endpoint of [direct, relayed]) {
  createPeerRouter(endpoint).service(EchoService, {
    async *repeat({ message, count }) {
      for (let number = 0; number < count; number += 1) {
        yield { message, number };
      }
    },
    async collect(requests) {
      let messages = 0;
      for await (const _ of requests) {
        messages += 1;
      }
      return { messages: [`${messages}`] };
    },
  });
}
await relayed.online();
console.log(
  JSON.stringify({ direct: direct.ticket().toString(), relayed: relayed.ticket().toString() }),
);
process.stdin.on("end", () => process.exit()).resume();
