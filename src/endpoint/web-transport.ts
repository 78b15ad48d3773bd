import { defaultTransportOptions, type TransportOptions } from "../engine/engine.ts";

/**
 * What differs from connections between peers where certificates count: no paths of iroh's kind, and nobody is kept alive
 * who does nothing.
 */
export const webTransportOptions: TransportOptions = {
  ...defaultTransportOptions,
  multipath: false,
  keepAliveIntervalMs: 0,
};
