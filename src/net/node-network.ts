import { openMulticast } from "../discovery/node-multicast.ts";
import { resolveTxt } from "../discovery/node-resolve-txt.ts";
import { openNodeMessageChannel } from "../relay/node-message-channel.ts";
import type { Network } from "./network.ts";
import { nodeInterfaces } from "./node-interfaces.ts";
import { resolveHost } from "./resolve-host.ts";
import { bindUdp } from "./udp-socket.ts";

/** The network as Node.js gives it. Nothing in it keeps the process alive, but the system's resolver while it looks. */
export const nodeNetwork: Network = {
  bindSocket: bindUdp,
  interfaces: nodeInterfaces,
  resolveHost,
  // Loaded when it is needed: most programs ask nothing over HTTP.
  request: async (url, request) => (await import("./node-http.ts")).nodeRequest(url, request),
  openMessageChannel: openNodeMessageChannel,
  resolveTxt,
  openMulticast,
};
