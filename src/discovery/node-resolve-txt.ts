import { Resolver } from "node:dns/promises";
import { onAbort } from "../base/on-abort.ts";
import { formatSocketAddress } from "../base/socket-address.ts";
import type { ResolveTxt } from "./discovery-network.ts";

/** TXT records by the resolver inside Node.js, which falls back to TCP for answers that do not fit a datagram. */
export const resolveTxt: ResolveTxt = async (name, { servers, signal }) => {
  signal.throwIfAborted();
  // Who asks repeats by itself.
  const resolver = new Resolver({ timeout: timeoutMs, tries: 1 });
  if (servers !== undefined) {
    resolver.setServers(servers.map(formatSocketAddress));
  }
  const stopListening = onAbort(signal, () => resolver.cancel());
  try {
    const records = await resolver.resolveTxt(name);
    // Node.js takes each byte for a character.
    return records.map((strings) => new Uint8Array(Buffer.from(strings.join(""), "latin1")));
  } catch (error) {
    signal.throwIfAborted();
    if (isNothing(error)) {
      return [];
    }
    throw error;
  } finally {
    stopListening();
  }
};

/** A bound on what the signal should end before. */
const timeoutMs = 10_000;

/** The name does not exist, or has no such records. */
function isNothing(error: unknown): boolean {
  return (
    error instanceof Error &&
    "code" in error &&
    (error.code === "ENOTFOUND" || error.code === "ENODATA")
  );
}
