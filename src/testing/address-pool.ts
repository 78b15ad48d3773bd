import { hostFromBytes, hostToBytes } from "../base/socket-address.ts";

/** Addresses that documentation is made of (RFC 5737), then those for measuring (RFC 2544): none of them is anybody's. */
const publicIpv4 = ["203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24", "198.18.0.0/15"];

/** Gives out the IPv4 addresses of the internet, each once. */
export function publicIpv4Pool(): () => string {
  return pool(publicIpv4, 1);
}

/** The same within a private network, from its tenth address on. */
export function privateIpv4Pool(network: string): () => string {
  return pool([network], 10);
}

/** Addresses of 2001:db8:`subnet`::/48 (RFC 3849). */
export function ipv6Pool(subnet: number): () => string {
  let last = 0;
  return () => {
    last += 1;
    return hostFromBytes(hostToBytes(`2001:db8:${subnet.toString(16)}::${last.toString(16)}`));
  };
}

function pool(networks: readonly string[], first: number): () => string {
  const addresses = addressesOf(networks, first);
  return () => {
    const { value, done } = addresses.next();
    if (done === true) {
      throw new RangeError(`no address is left in ${networks.join(", ")}`);
    }
    return value;
  };
}

function* addressesOf(networks: readonly string[], first: number): Generator<string, undefined> {
  for (const network of networks) {
    const [base = "", bits = "24"] = network.split("/");
    const start = new DataView(hostToBytes(base).buffer).getUint32(0);
    const end = start + 2 ** (32 - Number(bits)) - 1;
    for (let address = start + first; address < end; address += 1) {
      const bytes = new Uint8Array(4);
      new DataView(bytes.buffer).setUint32(0, address);
      yield hostFromBytes(bytes);
    }
  }
  return undefined;
}
