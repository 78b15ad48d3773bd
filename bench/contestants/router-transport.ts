import { createClient, createRouterTransport } from "@connectrpc/connect";
import { BenchService } from "../../gen/connectquic/bench/v1/bench_pb.ts";
import type { Contestant } from "../contestant.ts";
import { benchCaller, benchService } from "./bench-service.ts";

/** What RPC costs by itself: everything happens in the client's process. */
export const routerTransport: Contestant = {
  title: "createRouterTransport of connect-es, within a process",
  carries: "calls",
  lacks: { network: "it has no network" },
  serve: async () => ({ address: "", close: async () => {} }),
  open: async () => ({
    async connect() {
      const transport = createRouterTransport((router) =>
        router.service(BenchService, benchService),
      );
      return benchCaller(createClient(BenchService, transport), () => {});
    },
    close: async () => {},
  }),
};
