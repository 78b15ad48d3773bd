import type { Connection as IrohConnection, Endpoint as IrohEndpoint } from "@number0/iroh";
import { AsyncQueue } from "../../../src/base/async-queue.ts";
import { iroh } from "./iroh.ts";

/** The binding takes and gives bytes as lists of numbers. */
export const numbers = (text: string): number[] => [...new TextEncoder().encode(text)];

/** A real iroh endpoint on a loopback address, without discovery, that accepts whoever dials. */
export class IrohPeer implements AsyncDisposable {
  readonly endpoint: IrohEndpoint;
  readonly #accepted = new AsyncQueue<IrohConnection>();

  private constructor(endpoint: IrohEndpoint) {
    this.endpoint = endpoint;
    void this.#acceptAll();
  }

  /**
   * @param relayUrl its home relay; default: none
   * @param options.online whether to wait until it is connected there
   */
  static async bind(
    alpn: string,
    address = "127.0.0.1:0",
    relayUrl?: string,
    { online = true }: { readonly online?: boolean } = {},
  ): Promise<IrohPeer> {
    const { Endpoint, RelayMode, presetMinimal } = iroh();
    const builder = Endpoint.builder();
    presetMinimal(builder);
    builder.alpns([numbers(alpn)]);
    builder.relayMode(
      relayUrl === undefined ? RelayMode.disabled() : RelayMode.customFromUrls([relayUrl]),
    );
    builder.bindAddr(address);
    const endpoint = await builder.bind();
    if (relayUrl !== undefined && online) {
      await endpoint.online();
    }
    return new IrohPeer(endpoint);
  }

  get id(): string {
    return this.endpoint.id().toString();
  }

  /** As iroh itself writes it. */
  ticket(): string {
    return iroh().EndpointTicket.fromAddr(this.endpoint.addr()).toString();
  }

  /** Dials a ticket. Rejects with the binding's error. */
  connect(ticket: string, alpn: string): Promise<IrohConnection> {
    const addr = iroh().EndpointTicket.fromString(ticket).endpointAddr();
    return this.endpoint.connect(addr, numbers(alpn));
  }

  /** Dials `peer` by its id and a relay, knowing nothing else of it. */
  connectByRelay(peer: IrohPeer, relayUrl: string, alpn: string): Promise<IrohConnection> {
    const { EndpointAddr } = iroh();
    return this.endpoint.connect(new EndpointAddr(peer.endpoint.id(), relayUrl, []), numbers(alpn));
  }

  /** The next connection that was dialed to this endpoint. */
  async accept(): Promise<IrohConnection> {
    const connection = await this.#accepted.next();
    if (connection === undefined) {
      throw new Error("the iroh endpoint is closed");
    }
    return connection;
  }

  /** iroh answers no handshake before the application has taken it. */
  async #acceptAll(): Promise<void> {
    for (;;) {
      const incoming = await this.endpoint.acceptNext();
      if (incoming === null) {
        this.#accepted.end();
        return;
      }
      void incoming
        .accept()
        .then((accepting) => accepting.connect())
        .then(
          (connection) => this.#accepted.push(connection),
          // The other side went away or was refused: its own test looks at that.
          () => {},
        );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.endpoint.close();
  }
}
