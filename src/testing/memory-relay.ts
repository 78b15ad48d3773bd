import type { RelayCore } from "../relay/server/relay-core.ts";
import { checkRelayUpgrade } from "../relay/server/relay-http.ts";
import type { MemoryChannelOptions } from "./memory-channel.ts";

/** What {@link MemoryChannels} needs to have a relay at the other end: its HTTP, then its core. */
export function acceptAtRelay(core: RelayCore): MemoryChannelOptions["accept"] {
  return ({ url, options, channel }) => {
    const headers: Readonly<Record<string, string>> = {
      upgrade: "websocket",
      "sec-websocket-key": "",
      "sec-websocket-version": "13",
      "sec-websocket-protocol": options.subprotocols.join(", "),
      ...options.headers,
    };
    const answer = checkRelayUpgrade({
      method: "GET",
      target: `${url.pathname}${url.search}`,
      header: (name) => headers[name],
    });
    if ("status" in answer) {
      throw new Error(`unexpected answer ${answer.status}: ${answer.body}`);
    }
    if (!core.hasRoom) {
      throw new Error("unexpected answer 503");
    }
    return { subprotocol: answer.subprotocol, handler: core.accept(channel, answer) };
  };
}
