import type { RelayUrl } from "../identity/relay-url.ts";
import type { RelayVersion } from "./relay-frame.ts";

/** WebSocket subprotocols of the versions, most wanted first. */
export const relaySubprotocols = ["iroh-relay-v2", "iroh-relay-v1"] as const;

/** A longer message ends the connection, on both sides. */
export const maxRelayMessageBytes: number = 1_048_576;

/** The version that goes by the name of a subprotocol. */
export function relayVersionOf(subprotocol: string): RelayVersion | undefined {
  switch (subprotocol) {
    case "iroh-relay-v2":
      return 2;
    case "iroh-relay-v1":
      return 1;
    default:
      return undefined;
  }
}

/** Where the WebSocket of a relay is: `/relay` in place of the path, the query kept, TLS unless the URL says http or ws. */
export function relayWebSocketUrl(url: RelayUrl): URL {
  const { protocol, host, search } = new URL(url);
  const plain = protocol === "http:" || protocol === "ws:";
  return new URL(`${plain ? "ws" : "wss"}://${host}/relay${search}`);
}
