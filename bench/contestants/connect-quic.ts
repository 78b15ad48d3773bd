import { createPeerRouter, Endpoint } from "connect-quic";
import {
  createBenchClient,
  registerBenchService,
} from "../../gen/connectquic/bench/v1/bench_quic.ts";
import type { Contestant } from "../contestant.ts";
import { benchCaller, benchService } from "./bench-service.ts";

export const contestant: Contestant = {
  title: "connect-quic, Connect over QUIC",
  async serve() {
    const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
    registerBenchService(createPeerRouter(endpoint), benchService);
    return { address: endpoint.ticket(), close: () => endpoint.close() };
  },
  async dial(address) {
    const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
    const client = createBenchClient(endpoint, address, { acceptCompression: [] });
    return benchCaller(client, () => endpoint.close());
  },
};
