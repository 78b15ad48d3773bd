import type { BindSocket } from "../../src/net/datagram-socket.ts";
import { bindUdp } from "../../src/net/udp-socket.ts";

/** UDP in a network that lets none out. */
export const bindMutedUdp: BindSocket = async (addresses, handler) => {
  const socket = await bindUdp(addresses, { ...handler, datagram: () => {} });
  return {
    localAddresses: socket.localAddresses,
    send: () => {},
    setRef: (ref) => socket.setRef(ref),
    close: () => socket.close(),
  };
};
