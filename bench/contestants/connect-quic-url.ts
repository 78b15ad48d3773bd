// Ours by URL, with a web certificate, on either engine.

import { createClient } from "@connectrpc/connect";
import { createPeerRouter, createQuicTransport, Endpoint, type Engine } from "connect-quic";
import { BenchService } from "../../gen/connectquic/bench/v1/bench_pb.ts";
import { registerBenchService } from "../../gen/connectquic/bench/v1/bench_quic.ts";
import { noq as noqEngine } from "../../src/engine/noq/noq.ts";
import { quicheOrReason } from "../../test/support/quiche-or-reason.ts";
import { TestAuthority } from "../../test/support/test-pki.ts";
import type { Contestant } from "../contestant.ts";
import { benchCaller, benchService } from "./bench-service.ts";
import { transportOptions } from "./connect-quic.ts";

const { engine: quicheEngine, skip } = quicheOrReason();

export const noq: Contestant = byUrl("connect-quic by URL, Connect", () => noqEngine);
export const quiche: Contestant = {
  ...byUrl("connect-quic by URL on quiche, Connect", quicheEngine),
  prepare: async () => (skip === false ? undefined : skip),
};

function byUrl(title: string, engine: () => Engine): Contestant {
  return {
    title,
    carries: "calls",
    lacks: { resumption: "not offered: a transport to a URL forgets its session when it closes" },
    async serve(conditions) {
      const authority = await TestAuthority.create();
      const { certPem, keyPem } = await authority.server(["127.0.0.1"]);
      const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
      const router = createPeerRouter(endpoint, {
        maxConcurrentCalls: conditions.streams ?? 1_000,
      });
      registerBenchService(router, benchService);
      const listener = await router.listen({
        bind: "127.0.0.1:0",
        cert: certPem,
        key: keyPem,
        engine: engine(),
        transport: transportOptions(conditions),
      });
      const url = `https://127.0.0.1:${listener.addresses[0]?.port}`;
      return {
        address: JSON.stringify({ url, ca: authority.certPem }),
        close: () => endpoint.close(),
      };
    },
    async open(address, conditions) {
      const { url, ca }: { url: `https://${string}`; ca: string } = JSON.parse(address);
      return {
        async connect() {
          const transport = createQuicTransport({
            to: url,
            ca,
            engine: engine(),
            transport: transportOptions(conditions),
            acceptCompression: [],
          });
          return benchCaller(createClient(BenchService, transport), () => transport.close());
        },
        close: async () => {},
      };
    },
  };
}
