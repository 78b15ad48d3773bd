// The other process of the lifetime tests: serves EchoService until its stdin ends. Prints its ticket.
// With --hang-in-stream, Repeat sends its first message and then nothing more.

import { registerEchoService } from "../../gen/echo/v1/echo_quic.ts";
import { createPeerRouter, Endpoint, SecretKey } from "../../src/index.ts";
import { serveParent } from "../support/process.ts";

const { SECRET_KEY, BIND = "127.0.0.1:0" } = process.env;
const endpoint = await Endpoint.bind({
  bind: BIND,
  ...(SECRET_KEY === undefined ? {} : { secretKey: SecretKey.parse(SECRET_KEY) }),
});
const router = createPeerRouter(endpoint);
registerEchoService(router, {
  echo: ({ message }) => ({ message }),
  async *repeat(request, context) {
    yield { message: request.message, number: 1 };
    await new Promise<void>((resolve) => context.signal.addEventListener("abort", () => resolve()));
  },
});
serveParent({ ticket: endpoint.ticket() }, async () => {
  await router.close({ graceMs: 0 });
  await endpoint.close();
});
