// Endpoints on a network of their own in virtual time: what would take hours is played in moments.

import assert from "node:assert/strict";
import { type Client, createClient } from "@connectrpc/connect";
import {
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  type EndpointOptions,
  type QuicTransportOptions,
} from "../../src/index.ts";
import { VirtualNetwork, type VirtualNetworkOptions } from "../../src/testing/virtual-network.ts";
import type { VirtualPlatform } from "../../src/testing/virtual-platform.ts";
import { EchoService, echoImplementation } from "./echo-service.ts";
import { bindVirtual } from "./virtual-socket.ts";

export class VirtualPeers {
  readonly network: VirtualNetwork;
  readonly platform: VirtualPlatform;
  /** What endpoints could tell no caller. */
  readonly reports: unknown[] = [];
  readonly #endpoints: Endpoint[] = [];

  constructor(options: VirtualNetworkOptions = {}) {
    this.network = new VirtualNetwork(options);
    this.platform = this.network.platform;
  }

  /** An endpoint at 10.0.0.`number`, or at `bind`. */
  async bind(number: number, options: EndpointOptions = {}): Promise<Endpoint> {
    const endpoint = await Endpoint.bind({
      platform: this.platform,
      network: { bindSocket: bindVirtual(this.network) },
      bind: `10.0.0.${number}:4433`,
      onError: (error) => this.reports.push(error),
      ...options,
    });
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  /** An endpoint that serves the echo service. */
  async serve(number: number, options?: EndpointOptions): Promise<Endpoint> {
    const endpoint = await this.bind(number, options);
    createPeerRouter(endpoint).service(EchoService, echoImplementation);
    return endpoint;
  }

  /** A client of the echo service at `server`. */
  client(
    endpoint: Endpoint,
    server: Endpoint,
    options: Partial<QuicTransportOptions> = {},
  ): Client<typeof EchoService> {
    return createClient(
      EchoService,
      createQuicTransport({ endpoint, to: server.addr(), ...options }),
    );
  }

  /** Makes time pass until `work` is settled; fails the test when that takes longer than `limitMs` of virtual time. */
  async during<T>(work: Promise<T>, limitMs = 600_000): Promise<T> {
    let over = false;
    const end = (): void => {
      over = true;
    };
    work.then(end, end);
    assert.ok(await this.platform.runAsync(() => over, limitMs), "it takes no end");
    return await work;
  }

  /** Makes time pass until `done`. */
  async until(done: () => boolean, limitMs = 600_000): Promise<void> {
    assert.ok(await this.platform.runAsync(done, limitMs), `not done: ${done}`);
  }

  /** Makes time pass. */
  async pass(durationMs: number): Promise<void> {
    const passed = this.platform.now() + durationMs;
    this.platform.setTimer(durationMs, () => {});
    await this.until(() => this.platform.now() >= passed, durationMs + 1);
  }

  async close(): Promise<void> {
    await this.during(Promise.all(this.#endpoints.map((each) => each.close({ timeoutMs: 0 }))));
  }
}
