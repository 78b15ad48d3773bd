import { parseSocketAddress } from "../base/socket-address.ts";
import type { ListenAddress } from "../relay/server/relay-listener.ts";
import { quote } from "./option-table.ts";
import { UsageError } from "./usage-error.ts";

/** Reads `ip:port`, `[ip6]:port`, or a port alone for all addresses. Throws {@link UsageError}. */
export function parseListenAddress(option: string, text: string): ListenAddress {
  try {
    if (/^:?[0-9]{1,5}$/.test(text)) {
      return { port: parseSocketAddress(`0.0.0.0:${text.replace(":", "")}`).port };
    }
    const { host, port } = parseSocketAddress(text);
    return { host, port };
  } catch {
    throw new UsageError(`--${option} takes ip:port, [ip6]:port or a port, found ${quote(text)}`);
  }
}
