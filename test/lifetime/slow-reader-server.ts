// The other process of the slow reader's test: streams without end, that wait wherever the client says.

import { setTimeout } from "node:timers/promises";
import { registerEchoService } from "../../gen/echo/v1/echo_quic.ts";
import { createPeerRouter, Endpoint } from "../../src/index.ts";
import { holdings } from "../support/holdings.ts";
import { serveParent } from "../support/process.ts";

const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
const router = createPeerRouter(endpoint);
/** Messages that the reader may take; the client raises it. */
let allowed = 0;
let read = 0;
let offered = 0;

async function allowance(): Promise<void> {
  while (read >= allowed) {
    await setTimeout(1);
  }
}

registerEchoService(router, {
  /** "allow n": lets the reader go on. The answer says what this process holds. */
  echo: ({ message }) => {
    const [command, count] = message.split(" ");
    if (command === "start") {
      allowed = 0;
      read = 0;
      offered = 0;
    } else if (command === "allow") {
      allowed = Number(count);
    }
    return { message: JSON.stringify({ holdings: holdings(endpoint), read, offered }) };
  },
  async *repeat({ message, count }) {
    for (let number = 1; number <= count; number += 1) {
      offered += 1;
      yield { message, number };
    }
  },
  async collect(requests) {
    for await (const _ of requests) {
      read += 1;
      await allowance();
    }
    return { messages: [`${read}`] };
  },
  async *converse(requests) {
    for await (const { message } of requests) {
      read += 1;
      await allowance();
      yield { message };
    }
  },
});
serveParent({ ticket: endpoint.ticket() }, async () => {
  await router.close({ graceMs: 0 });
  await endpoint.close();
});
