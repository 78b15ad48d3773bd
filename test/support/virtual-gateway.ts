// A gateway in a virtual network, which is asked for a port.

import assert from "node:assert/strict";
import { encodeHex } from "../../src/base/hex.ts";
import { parseSocketAddress, type SocketAddress } from "../../src/base/socket-address.ts";
import type { BindSocket } from "../../src/net/datagram-socket.ts";
import type { GatewayOptions } from "../../src/net/gateway-exchange.ts";
import type { PortMapping, PortMappingMethod } from "../../src/net/port-mapper.ts";
import type { LinkOptions } from "../../src/testing/virtual-link.ts";
import { VirtualNetwork, type VirtualSocket } from "../../src/testing/virtual-network.ts";

const gateway = parseSocketAddress("10.0.0.1:5351");
/** Who asks. */
export const host: SocketAddress = parseSocketAddress("10.0.0.2:40000");

/** What a gateway has to say to a request, which is in hexadecimal. */
export type Answer = (request: string) => readonly Uint8Array[];

export interface GatewayWorld {
  readonly network: VirtualNetwork;
  /** Requests so far. */
  readonly asked: string[];
  /** What comes of it within five seconds. */
  map(previous?: SocketAddress): Promise<PortMapping | Error>;
  unmap(): Promise<unknown>;
}

/** Port 4321 is to be mapped by a method. */
export function gatewayWorld(
  methodOf: (options: GatewayOptions) => PortMappingMethod,
  answer: Answer,
  link: Partial<LinkOptions> = {},
): GatewayWorld {
  const network = new VirtualNetwork({ seed: 1, link });
  const asked: string[] = [];
  const answering: VirtualSocket = network.bind(gateway, (from, bytes) => {
    asked.push(encodeHex(bytes));
    for (const bytesBack of answer(encodeHex(bytes))) {
      answering.transmit(from, bytesBack, bytesBack.length);
    }
  });
  let open = 0;
  const bindSocket: BindSocket = async (_addresses, handler) => {
    open += 1;
    const socket = network.bind(host, (from, bytes) => handler.datagram(from, bytes));
    return {
      localAddresses: [host],
      send: socket.transmit,
      setRef: () => {},
      close: async () => {
        open -= 1;
        socket.close();
      },
    };
  };
  const { platform } = network;
  const method = methodOf({ platform, bindSocket, gateway: () => gateway.host });
  const outcomeOf = async <T>(act: (signal: AbortSignal) => Promise<T>): Promise<T | Error> => {
    const limit = new AbortController();
    const timer = platform.setTimer(5_000, () => limit.abort(new Error("no answer")));
    let outcome: { readonly value: T | Error } | undefined;
    act(limit.signal).then(
      (value) => {
        outcome = { value };
      },
      (error) => {
        outcome = { value: error };
      },
    );
    await platform.runAsync(() => outcome !== undefined);
    platform.clearTimer(timer);
    assert.ok(outcome !== undefined);
    assert.equal(open, 0, "its socket is closed");
    return outcome.value;
  };
  const map = (previous?: SocketAddress) =>
    outcomeOf((signal) => method.map(4321, { previous, signal }));
  const unmap = () => outcomeOf((signal) => method.unmap(4321, { signal }));
  return { network, asked, map, unmap };
}
