import type { BindSocket } from "../../src/net/datagram-socket.ts";
import type { VirtualNetwork } from "../../src/testing/virtual-network.ts";

/** Sockets of an endpoint on a virtual network. One address for each, with a port. */
export function bindVirtual(network: VirtualNetwork): BindSocket {
  return async ([address, ...others], handler) => {
    if (address === undefined || others.length > 0) {
      throw new RangeError("a virtual socket has one address");
    }
    const socket = network.bind(address, (from, bytes) => handler.datagram(from, bytes));
    return {
      localAddresses: [address],
      send: socket.transmit,
      setRef: () => {},
      close: async () => socket.close(),
    };
  };
}
