import { formatSocketAddress } from "../base/socket-address.ts";
import type { Connection } from "../endpoint/connection.ts";
import { formatTransportAddr, type TransportAddr } from "../identity/transport-addr.ts";

/** Which way data goes: over a relay, or straight to an address. */
export type PathPlace =
  | { readonly type: "relay"; readonly url: string }
  | { readonly type: "direct"; readonly address: string };

/** The way of a connection's path in use. Where none is, it is where the peer's packets came from. */
export function placeInUse(connection: Pick<Connection, "paths" | "remoteAddress">): PathPlace {
  const path = connection.paths().find(({ active }) => active);
  return placeOf(path?.remote ?? connection.remoteAddress);
}

/** `via relay https://relay.example/`, `direct 192.0.2.1:4433`. */
export function describePlace(place: PathPlace): string {
  return place.type === "relay" ? `via relay ${place.url}` : `direct ${place.address}`;
}

export function isSamePlace(a: PathPlace, b: PathPlace): boolean {
  return describePlace(a) === describePlace(b);
}

function placeOf(remote: TransportAddr): PathPlace {
  switch (remote.type) {
    case "relay":
      return { type: "relay", url: remote.url };
    case "ip":
      return { type: "direct", address: formatSocketAddress(remote.address) };
    case "custom":
      return { type: "direct", address: formatTransportAddr(remote) };
  }
}
