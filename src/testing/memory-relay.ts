import type { MessageChannel, MessageChannelOptions } from "../relay/message-channel.ts";
import type { RelayCore } from "../relay/server/relay-core.ts";
import { checkRelayUpgrade } from "../relay/server/relay-http.ts";
import type { AcceptedChannel } from "./memory-channel.ts";

/** A WebSocket that somebody asks for. */
export interface ChannelRequest {
  readonly url: URL;
  readonly options: MessageChannelOptions;
  /** The end of the side that is asked. */
  readonly channel: MessageChannel;
}

/** Has a relay at the other end of simulated WebSockets: its HTTP, then its core. Throws for what it refuses. */
export function acceptAtRelay(core: RelayCore): (request: ChannelRequest) => AcceptedChannel {
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
