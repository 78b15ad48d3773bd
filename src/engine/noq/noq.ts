import type { Engine } from "../engine.ts";
import { NoqEndpoint } from "./noq-endpoint.ts";

/** iroh's own QUIC core, noq-proto, as WebAssembly. An endpoint is an instance of its own. */
export const noq: Engine = {
  name: "noq",
  createEndpoint: (options) => new NoqEndpoint(options),
};
