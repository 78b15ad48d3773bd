// A peer that serves the echo service and is registered at a place, until its stdin ends. Answers with its id.

import { createPeerRouter, createQuicTransport, Endpoint } from "../../src/index.ts";
import { Rendezvous } from "../../src/rendezvous.ts";
import { EchoService, echoImplementation } from "../support/echo-service.ts";
import { serveParent } from "../support/process.ts";

const { PLACE = "" } = process.env;
const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
const id = endpoint.id.toString();
const router = createPeerRouter(endpoint);
router.service(EchoService, { ...echoImplementation, echo: () => ({ message: id }) });
const rendezvous = new Rendezvous({ transport: createQuicTransport({ endpoint, to: PLACE }) });
const registration = rendezvous.register(endpoint, {
  services: [EchoService],
  labels: { fleet: "one" },
});
await registration.ready();
serveParent({ id }, async () => {
  await registration.close();
  await router.close({ graceMs: 0 });
  await endpoint.close();
});
