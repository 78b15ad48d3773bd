import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import { type GatewayOptions, withGateway } from "./gateway-exchange.ts";
import { hostTowards } from "./host-towards.ts";
import type { Network } from "./network.ts";
import { decodePcpResponse, encodePcpMapRequest, type PcpResponse, pcpNonceBytes } from "./pcp.ts";
import type { MapPortOptions, PortMapping, PortMappingMethod } from "./port-mapper.ts";

export interface PcpOptions extends GatewayOptions {
  /** {@link Network.interfaces}. */
  readonly interfaces: Network["interfaces"];
}

/** Two hours, as with NAT-PMP. */
const lifetimeSeconds = 7_200;
/** IRT of RFC 6887 §8.1.1, and twice as long then, without its random part: one host asks, and not for long. */
const repeatsMs = [3_000, 9_000, 21_000, 45_000];
/** The external address where any will do (RFC 6887 §11.1). */
const anyHost = "0.0.0.0";

type Mapped = Extract<PcpResponse, { readonly type: "mapped" }>;

/**
 * Has the gateway forward an IPv4 port by PCP (RFC 6887), where it speaks that: one that speaks NAT-PMP alone says so at
 * once. The epoch of its answers is not followed: mappings that it has forgotten come back with their next renewal.
 */
export class PcpMethod implements PortMappingMethod {
  readonly #options: PcpOptions;
  /** Shows that a mapping is ours, to be renewed or ended. */
  readonly #nonce = new Uint8Array(pcpNonceBytes);

  constructor(options: PcpOptions) {
    this.#options = options;
    options.platform.randomFill(this.#nonce);
  }

  async map(localPort: number, { previous, signal }: MapPortOptions): Promise<PortMapping> {
    const wanted = previous ?? socketAddress(anyHost, localPort);
    const { external, lifetimeSeconds: seconds } = await this.#ask({
      localPort,
      wanted,
      lifetimeSeconds,
      hold: false,
      signal,
    });
    return {
      address: socketAddress(external.host, external.port),
      lifetimeMs: seconds * 1_000,
    };
  }

  async unmap(localPort: number, { signal }: { readonly signal: AbortSignal }): Promise<void> {
    const wanted = socketAddress(anyHost, 0);
    await this.#ask({ localPort, wanted, lifetimeSeconds: 0, hold: true, signal });
  }

  #ask(mapping: {
    readonly localPort: number;
    readonly wanted: SocketAddress;
    readonly lifetimeSeconds: number;
    readonly hold: boolean;
    readonly signal: AbortSignal;
  }): Promise<Mapped> {
    const { localPort, wanted, lifetimeSeconds: seconds, hold, signal } = mapping;
    const exchange = { decode: decodePcpResponse, repeatsMs, hold, signal };
    return withGateway(this.#options, exchange, ({ ask, gateway }) => {
      const request = encodePcpMapRequest({
        nonce: this.#nonce,
        ownHost: hostTowards(this.#options.interfaces(), gateway),
        internalPort: localPort,
        external: wanted,
        lifetimeSeconds: seconds,
      });
      return ask(request, (answer) => this.#wanted(answer, localPort));
    });
  }

  /** Throws when the gateway refuses. */
  #wanted(answer: PcpResponse, localPort: number): Mapped | undefined {
    if (answer.type === "unsupported") {
      throw new Error("the gateway does not speak PCP");
    }
    if (answer.nonce?.every((byte, index) => byte === this.#nonce[index]) === false) {
      return undefined;
    }
    if (answer.type === "refused") {
      throw new Error(`the gateway refuses with result ${answer.result}`);
    }
    return answer.internalPort === localPort ? answer : undefined;
  }
}
