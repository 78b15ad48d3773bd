import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import type { Connection } from "../endpoint/connection.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { ChannelState } from "./channel.ts";
import type { QuicTransport } from "./peer-transport.ts";

/** A transport to one peer whose services have connections of their own, each made with the first call to it. */
export class PerServiceTransport implements QuicTransport {
  readonly peer: EndpointId;
  readonly unary: Transport["unary"];
  readonly stream: Transport["stream"];
  readonly #transports = new Map<string, QuicTransport>();
  readonly #create: (serviceTypeName: string) => QuicTransport;
  #latest: QuicTransport | undefined;
  #closing: Promise<void> | undefined;

  constructor(peer: EndpointId, create: (serviceTypeName: string) => QuicTransport) {
    this.peer = peer;
    this.#create = create;
    this.unary = (method, ...rest) => this.#of(method.parent.typeName).unary(method, ...rest);
    this.stream = (method, ...rest) => this.#of(method.parent.typeName).stream(method, ...rest);
  }

  get state(): ChannelState {
    const states = new Set([...this.#transports.values()].map(({ state }) => state));
    return liveliestFirst.find((state) => states.has(state)) ?? "idle";
  }

  get activeCalls(): number {
    return this.#sum(({ activeCalls }) => activeCalls);
  }

  get queuedCalls(): number {
    return this.#sum(({ queuedCalls }) => queuedCalls);
  }

  /** The connection of the service that was called last. */
  async connect(options?: { readonly signal?: AbortSignal }): Promise<Connection> {
    if (this.#latest === undefined) {
      throw new ConnectError(
        `each service of ${this.peer.short} has a connection of its own: call one first`,
        Code.FailedPrecondition,
      );
    }
    return await this.#latest.connect(options);
  }

  close(options?: { readonly timeoutMs?: number }): Promise<void> {
    this.#closing ??= this.#close(options);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(options: { readonly timeoutMs?: number } | undefined): Promise<void> {
    await Promise.all([...this.#transports.values()].map((transport) => transport.close(options)));
  }

  #of(serviceTypeName: string): QuicTransport {
    let transport = this.#transports.get(serviceTypeName);
    if (transport === undefined) {
      transport = this.#create(serviceTypeName);
      this.#transports.set(serviceTypeName, transport);
      if (this.#closing !== undefined) {
        void transport.close({ timeoutMs: 0 });
      }
    }
    this.#latest = transport;
    return transport;
  }

  #sum(count: (transport: QuicTransport) => number): number {
    return [...this.#transports.values()].reduce((sum, transport) => sum + count(transport), 0);
  }
}

const liveliestFirst: readonly ChannelState[] = ["connected", "connecting", "waiting"];
