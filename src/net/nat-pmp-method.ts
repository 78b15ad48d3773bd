import { socketAddress } from "../base/socket-address.ts";
import { type GatewayExchange, type GatewayOptions, withGateway } from "./gateway-exchange.ts";
import {
  decodeNatPmpResponse,
  encodeNatPmpAddressRequest,
  encodeNatPmpMapRequest,
  type NatPmpResponse,
} from "./nat-pmp.ts";
import type { PortMapping, PortMappingMethod } from "./port-mapper.ts";

/** Recommended (RFC 6886 §3.3). Two hours. */
const lifetimeSeconds = 7_200;
/** RFC 6886 §3.1. */
const repeatsMs = [250, 750, 1_750, 3_750, 7_750, 15_750, 31_750, 63_750];

/** Has the gateway forward a port by NAT-PMP (RFC 6886), which many that speak PCP or UPnP understand as well. */
export function natPmpMethod(options: GatewayOptions): PortMappingMethod {
  const exchange = <T>(
    { hold, signal }: { readonly hold: boolean; readonly signal: AbortSignal },
    act: (exchange: GatewayExchange<NatPmpResponse>) => Promise<T>,
  ): Promise<T> =>
    withGateway(options, { decode: decodeNatPmpResponse, repeatsMs, hold, signal }, act);
  return {
    map: (localPort, { previous, signal }) =>
      exchange({ hold: false, signal }, async ({ ask }): Promise<PortMapping> => {
        const wanted = {
          internalPort: localPort,
          externalPort: previous?.port ?? localPort,
          lifetimeSeconds,
        };
        const { host } = await ask(encodeNatPmpAddressRequest(), wantedAddress);
        const mapped = await ask(encodeNatPmpMapRequest(wanted), wantedMapping(localPort));
        return {
          address: socketAddress(host, mapped.externalPort),
          lifetimeMs: mapped.lifetimeSeconds * 1_000,
        };
      }),
    unmap: (localPort, { signal }) =>
      // Whoever waits for the port to be given back is about to end the process.
      exchange({ hold: true, signal }, async ({ ask }) => {
        const nothing = { internalPort: localPort, externalPort: 0, lifetimeSeconds: 0 };
        await ask(encodeNatPmpMapRequest(nothing), wantedMapping(localPort));
      }),
  };
}

type Answer<Type extends NatPmpResponse["type"]> = Extract<NatPmpResponse, { readonly type: Type }>;

function wantedAddress(answer: NatPmpResponse): Answer<"address"> | undefined {
  throwIfRefused(answer, "address");
  return answer.type === "address" ? answer : undefined;
}

function wantedMapping(localPort: number) {
  return (answer: NatPmpResponse): Answer<"mapped"> | undefined => {
    throwIfRefused(answer, "map");
    return answer.type === "mapped" && answer.internalPort === localPort ? answer : undefined;
  };
}

function throwIfRefused(answer: NatPmpResponse, request: Answer<"refused">["request"]): void {
  if (answer.type === "refused" && answer.request === request) {
    throw new Error(`the gateway refuses with result ${answer.result}`);
  }
}
