import fc from "fast-check";
import { hostFromBytes, socketAddress } from "../../src/base/socket-address.ts";
import { customAddr } from "../../src/identity/custom-addr.ts";
import { EndpointAddr } from "../../src/identity/endpoint-addr.ts";
import { EndpointId } from "../../src/identity/endpoint-id.ts";
import { parseRelayUrl } from "../../src/identity/relay-url.ts";
import type { TransportAddr } from "../../src/identity/transport-addr.ts";
import { idVectors } from "./vectors.ts";

const anyTransportAddr: fc.Arbitrary<TransportAddr> = fc.oneof(
  fc.tuple(fc.domain({ size: "small" }), fc.nat(0xffff)).map(
    ([host, port]): TransportAddr => ({
      type: "relay",
      url: parseRelayUrl(`https://${host}.:${port}`),
    }),
  ),
  fc
    .tuple(
      fc.oneof(
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
      ),
      fc.nat(0xffff),
    )
    .map(
      ([bytes, port]): TransportAddr => ({
        type: "ip",
        address: socketAddress(hostFromBytes(bytes), port),
      }),
    ),
  fc
    .tuple(fc.bigInt(0n, (1n << 64n) - 1n), fc.uint8Array({ maxLength: 40 }))
    .map(([id, data]) => customAddr(id, data)),
);

/** Addresses of a handful of peers, whose ids are checked once. */
export const anyEndpointAddr: fc.Arbitrary<EndpointAddr> = fc
  .tuple(
    fc.constantFrom(...idVectors.keys.map(({ public_hex }) => EndpointId.parse(public_hex))),
    fc.array(anyTransportAddr, { maxLength: 6 }),
  )
  .map(([id, addrs]) => new EndpointAddr(id, addrs));
