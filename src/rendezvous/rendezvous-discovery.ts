import { ConnectError } from "@connectrpc/connect";
import { Signal } from "../base/signal.ts";
import type {
  DiscoveredAddr,
  Discovery,
  DiscoveryContext,
  DiscoverySource,
  OwnAddr,
} from "../discovery/discovery.ts";
import { DiscoveryError } from "../discovery/discovery-error.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { KeptRegistration, RegisterOptions } from "./kept-registration.ts";
import type { Rendezvous } from "./rendezvous.ts";

/** For how long an address holds that was looked up. Milliseconds. */
const ttlMs = 30_000;

export interface RendezvousDiscoveryOptions {
  /** Registers the endpoint, with this beside its address. Default: it is not registered. */
  readonly register?: RegisterOptions;
}

export function createRendezvousDiscovery(
  rendezvous: Pick<Rendezvous, "lookUp" | "register">,
  { register }: RendezvousDiscoveryOptions,
): DiscoverySource {
  return (context) => new RendezvousDiscovery(rendezvous, context, register);
}

class RendezvousDiscovery implements Discovery {
  readonly name = "rendezvous";
  readonly #rendezvous: Pick<Rendezvous, "lookUp" | "register">;
  readonly #context: DiscoveryContext;
  readonly publish?: (own: OwnAddr) => void;
  readonly #changed = new Signal();
  #own: EndpointAddr;
  #registration: KeptRegistration | undefined;

  constructor(
    rendezvous: Pick<Rendezvous, "lookUp" | "register">,
    context: DiscoveryContext,
    register: RegisterOptions | undefined,
  ) {
    this.#rendezvous = rendezvous;
    this.#context = context;
    this.#own = new EndpointAddr(context.secretKey.publicKey);
    if (register !== undefined) {
      this.publish = (own) => this.#publish(own, register);
    }
  }

  async *resolve(
    id: EndpointId,
    { signal }: { readonly signal: AbortSignal },
  ): AsyncGenerator<DiscoveredAddr> {
    try {
      for await (const peer of this.#rendezvous.lookUp({ ids: [id] }, { signal })) {
        if (!peer.isGenuine()) {
          throw new DiscoveryError("bad-signature", `${id.short} has not signed its registration`);
        }
        yield { addr: peer.addr, ttlMs, source: this.name, signedUs: peer.signedUs };
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof ConnectError
        ? new DiscoveryError("unavailable", error.message, { cause: error })
        : error;
    }
  }

  async close(): Promise<void> {
    await this.#registration?.close();
  }

  #publish({ addr }: OwnAddr, options: RegisterOptions): void {
    this.#own = addr;
    this.#changed.notify();
    const { secretKey, report } = this.#context;
    this.#registration ??= this.#rendezvous.register(
      {
        secretKey,
        addr: () => this.#own,
        watchAddr: ({ signal } = {}) => this.#watchOwn(signal),
      },
      { onError: report, ...options },
    );
  }

  async *#watchOwn(signal: AbortSignal | undefined): AsyncGenerator<EndpointAddr> {
    for (let told = this.#own; ; told = this.#own) {
      yield told;
      while (told === this.#own) {
        await this.#changed.wait({ signal });
      }
    }
  }
}
