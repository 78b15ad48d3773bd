import type { OpenMessageChannel } from "../../src/relay/message-channel.ts";
import { openNodeMessageChannel } from "../../src/relay/node-message-channel.ts";

/** Opens WebSockets as usual, and keeps the first byte of each message that comes: the type of a relay's frames. */
export function openHeard(): { readonly open: OpenMessageChannel; readonly types: number[] } {
  const types: number[] = [];
  const open: OpenMessageChannel = (url, options, handler) =>
    openNodeMessageChannel(url, options, {
      opened: (subprotocol) => handler.opened(subprotocol),
      message: (bytes) => {
        types.push(bytes[0] ?? -1);
        handler.message(bytes);
      },
      drained: () => handler.drained(),
      closed: (error) => handler.closed(error),
    });
  return { open, types };
}
