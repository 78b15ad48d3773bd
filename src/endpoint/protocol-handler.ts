import type { Connection } from "./connection.ts";

/** What an endpoint does with incoming connections of one protocol. */
export interface ProtocolHandler {
  /**
   * Takes a connection whose peer is proven and authorized. The handler owns it from here on: it stays open until one
   * side closes it, also after the promise has resolved. A throw or rejection closes it with code 0x500 and is
   * reported to the endpoint's `onError`.
   */
  accept(connection: Connection): void | Promise<void>;
  /** The protocol is being shut down: end what is under way. Connections that are left are closed after it. */
  shutdown?(): void | Promise<void>;
}
