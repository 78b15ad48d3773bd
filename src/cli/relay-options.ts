import type { RelayOptions } from "../endpoint/endpoint.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { quote } from "./option-table.ts";
import { UsageError } from "./usage-error.ts";

/** Options of the commands that use relays. */
export const relayOptionTable = {
  relay: {
    type: "string",
    multiple: true,
    value: "<url>",
    help: "a relay server, such as https://relay.example",
  },
  "relay-token": {
    type: "string",
    value: "<text>",
    help: "shown to these relays, which may let in nobody without",
  },
} as const;

/** Throws {@link UsageError}, and IdentityError for a URL that is none. */
export function relaysOf(values: {
  readonly relay?: readonly string[] | undefined;
  readonly "relay-token"?: string | undefined;
}): RelayOptions[] {
  const { relay = [], "relay-token": authToken } = values;
  if (authToken !== undefined && relay.length === 0) {
    throw new UsageError("--relay-token is for --relay, which is missing");
  }
  return relay.map((text) => {
    const url = parseRelayUrl(text);
    if (!/^(?:https?|wss?):/.test(url)) {
      throw new UsageError(`--relay takes a URL with https:// or http://, found ${quote(text)}`);
    }
    return { url, ...(authToken === undefined ? {} : { authToken }) };
  });
}
