import type { Connection } from "./connection.ts";

/** What an endpoint does with incoming connections of one protocol. */
export interface ProtocolHandler {
  /**
   * Takes a connection whose peer is proven and authorized. The handler owns it from here on: it stays open until one
   * side closes it, also after the promise has resolved. A throw or rejection closes it with code 0x500 and is
   * reported to the endpoint's `onError`.
   */
  accept(connection: Connection): void | Promise<void>;
  /**
   * With `acceptEarlyData` on the endpoint: connections of peers that send early data come before their handshake is done.
   * As long as one is {@link Connection.early}, do nothing for it that would do harm if it were a replay. Default false: they
   * come when it is done.
   */
  readonly earlyData?: boolean;
  /** The protocol is being shut down: end what is under way. Connections that are left are closed after it. */
  shutdown?(): void | Promise<void>;
}
