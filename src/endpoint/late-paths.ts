import type { SocketAddress } from "../base/socket-address.ts";
import type { TransportAddr } from "../identity/transport-addr.ts";
import type { AttachedPaths } from "./peer-network.ts";

/** The paths of a connection that is made before its handshake is done: nothing is done about them until then. */
export class LatePaths implements AttachedPaths {
  readonly transportAddrOf: (address: SocketAddress) => TransportAddr;
  #attached: AttachedPaths | undefined;

  constructor(transportAddrOf: (address: SocketAddress) => TransportAddr) {
    this.transportAddrOf = transportAddrOf;
  }

  attach(paths: AttachedPaths): void {
    this.#attached = paths;
  }

  changed(): void {
    this.#attached?.changed();
  }

  candidatesChanged(): void {
    this.#attached?.candidatesChanged();
  }

  closed(): void {
    this.#attached?.closed();
  }
}
