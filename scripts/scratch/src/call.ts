import assert from "node:assert/strict";
import { createPeerRouter, Endpoint } from "connect-quic";
import { createGreetClient, registerGreetService } from "./gen/greet/v1/greet_quic.js";

await using server = await Endpoint.bind();
const router = createPeerRouter(server);
registerGreetService(router, {
  greet: (request) => ({ greeting: `Hello ${request.name}` }),
  async *count(request) {
    for (let number = 1; number <= request.to; number++) {
      yield { number };
    }
  },
});

await using endpoint = await Endpoint.bind();
const client = createGreetClient(endpoint, server.ticket());
assert.equal((await client.greet({ name: "tarball" })).greeting, "Hello tarball");
const numbers: number[] = [];
for await (const { number } of client.count({ to: 3 })) {
  numbers.push(number);
}
assert.deepEqual(numbers, [1, 2, 3]);
