import { once } from "node:events";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { createClient } from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createConnectTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { BenchService } from "../../gen/connectquic/bench/v1/bench_pb.ts";
import { createSelfSignedCertificate } from "../../test/support/self-signed-certificate.ts";
import type { Contestant } from "../contestant.ts";
import { benchCaller, benchService } from "./bench-service.ts";

export const contestant: Contestant = {
  title: "connect-node, Connect over HTTP/2 with TLS",
  async serve() {
    const { key, cert } = createSelfSignedCertificate();
    const server = createSecureServer(
      { key, cert },
      connectNodeAdapter({ routes: (router) => router.service(BenchService, benchService) }),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    return {
      address: JSON.stringify({ url: `https://localhost:${port}`, cert }),
      close: async () => {
        server.close();
      },
    };
  },
  async dial(address) {
    const { url, cert }: { url: string; cert: string } = JSON.parse(address);
    const sessionManager = new Http2SessionManager(url, undefined, { ca: cert });
    const transport = createConnectTransport({
      httpVersion: "2",
      baseUrl: url,
      useBinaryFormat: true,
      acceptCompression: [],
      sessionManager,
    });
    return benchCaller(createClient(BenchService, transport), async () => sessionManager.abort());
  },
};
