// A place of rendezvous on loopback, over HTTP and by key, and peers at it.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { EndpointAddr } from "../../src/identity/endpoint-addr.ts";
import { createPeerRouter, createQuicTransport, Endpoint, SecretKey } from "../../src/index.ts";
import type { RegisteringPeer } from "../../src/rendezvous/kept-registration.ts";
import { Rendezvous, type RendezvousOptions } from "../../src/rendezvous/rendezvous.ts";
import {
  createRendezvous,
  type RendezvousHost,
  type RendezvousHostOptions,
} from "../../src/rendezvous/rendezvous-host.ts";
import { loopback } from "../support/peers.ts";

export type Way = "http" | "quic";
export const ways: readonly Way[] = ["http", "quic"];

export interface Place {
  readonly host: RendezvousHost;
  readonly url: string;
  readonly endpoint: Endpoint;
  /** Errors that no caller got. */
  readonly reports: unknown[];
  /** A way to call it, of one caller. */
  transport(way: Way): Promise<Transport>;
  rendezvous(way: Way, options?: Partial<RendezvousOptions>): Promise<Rendezvous>;
}

export async function startPlace(
  t: TestContext,
  options: RendezvousHostOptions = {},
): Promise<Place> {
  const reports: unknown[] = [];
  const host = createRendezvous({ onError: (error) => reports.push(error), ...options });
  const endpoint = await Endpoint.bind({ bind: loopback });
  const router = createPeerRouter(endpoint);
  host.routes(router);
  const bridge = router.bridge({ cors: { origins: ["https://app.example"] } });
  const server = createServer(bridge);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  t.after(async () => {
    await host.close();
    await router.close({ graceMs: 0 });
    await endpoint.close({ timeoutMs: 0 });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const transport = async (way: Way): Promise<Transport> => {
    if (way === "http") {
      return createConnectTransport({ baseUrl: url, httpVersion: "1.1" });
    }
    const caller = await Endpoint.bind({ bind: loopback });
    t.after(() => caller.close({ timeoutMs: 0 }));
    return createQuicTransport({ endpoint: caller, to: endpoint.ticket() });
  };
  return {
    host,
    url,
    endpoint,
    reports,
    transport,
    rendezvous: async (way, more) => new Rendezvous({ transport: await transport(way), ...more }),
  };
}

/** A peer that has an address and nothing behind it. */
export function paperPeer(port = 4433): RegisteringPeer & { move(port: number): void } {
  const secretKey = SecretKey.generate();
  let addr = at(port);
  const changed: (() => void)[] = [];
  function at(port: number): EndpointAddr {
    return EndpointAddr.from({ id: secretKey.publicKey, addrs: [`192.0.2.1:${port}`] });
  }
  return {
    secretKey,
    addr: () => addr,
    async *watchAddr({ signal } = {}) {
      for (;;) {
        yield addr;
        await new Promise<void>((resolve) => {
          changed.push(resolve);
          signal?.addEventListener("abort", () => resolve(), { once: true });
        });
        if (signal?.aborted === true) {
          return;
        }
      }
    },
    move: (port) => {
      addr = at(port);
      for (const tell of changed.splice(0)) {
        tell();
      }
    },
  };
}
