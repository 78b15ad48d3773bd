import { type CustomAddr, customAddr } from "./custom-addr.ts";
import { IdentityError } from "./identity-error.ts";
import { parseRelayUrl } from "./relay-url.ts";
import { formatTransportAddr, parseIpAddr, type TransportAddr } from "./transport-addr.ts";

/** An EndpointAddr in JSON, as iroh writes it. */
export interface EndpointAddrJson {
  readonly id: string;
  readonly addrs: readonly TransportAddrJson[];
}

/**
 * One address in JSON, under the name of its kind. Numbers of custom transports above 2^53-1 are written as strings,
 * which iroh cannot read: JavaScript has no such numbers in JSON.
 */
export type TransportAddrJson =
  | { readonly Relay: string }
  | { readonly Ip: string }
  | { readonly Custom: { readonly id: number | string; readonly data: readonly number[] } };

export function transportAddrToJson(addr: TransportAddr): TransportAddrJson {
  switch (addr.type) {
    case "relay":
      return { Relay: addr.url };
    case "ip":
      return { Ip: formatTransportAddr(addr).slice("ip:".length) };
    case "custom": {
      const id = Number(addr.id);
      return {
        Custom: { id: Number.isSafeInteger(id) ? id : addr.id.toString(), data: [...addr.data] },
      };
    }
  }
}

/** Throws {@link IdentityError} `invalid-address` for anything but a {@link TransportAddrJson}. */
export function transportAddrFromJson(json: unknown, index: number): TransportAddr {
  if (typeof json === "object" && json !== null) {
    if ("Relay" in json && typeof json.Relay === "string") {
      return { type: "relay", url: parseRelayUrl(json.Relay) };
    }
    if ("Ip" in json && typeof json.Ip === "string") {
      return parseIpAddr(json.Ip);
    }
    const custom = "Custom" in json ? customFromJson(json.Custom) : undefined;
    if (custom !== undefined) {
      return custom;
    }
  }
  throw new IdentityError(
    "invalid-address",
    `invalid endpoint address: addrs[${index}] is none of {"Relay": url}, {"Ip": "ip:port"} and {"Custom": {"id", "data"}}`,
  );
}

function customFromJson(json: unknown): CustomAddr | undefined {
  if (typeof json !== "object" || json === null || !("id" in json && "data" in json)) {
    return undefined;
  }
  const { id, data } = json;
  const isId =
    (typeof id === "number" && Number.isSafeInteger(id) && id >= 0) ||
    (typeof id === "string" && /^[0-9]{1,19}$|^1[0-9]{19}$/.test(id) && BigInt(id) < 1n << 64n);
  const isData =
    Array.isArray(data) &&
    data.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 0xff);
  return isId && isData ? customAddr(BigInt(id), Uint8Array.from(data)) : undefined;
}
