import { once } from "node:events";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { connect as connectTls } from "node:tls";
import { createClient, type Transport } from "@connectrpc/connect";
import {
  type ConnectTransportOptions,
  connectNodeAdapter,
  createConnectTransport,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { BenchService } from "../../gen/connectquic/bench/v1/bench_pb.ts";
import { createSelfSignedCertificate } from "../../test/support/self-signed-certificate.ts";
import type { Contestant } from "../contestant.ts";
import { benchCaller, benchService } from "./bench-service.ts";

export const connect: Contestant = overHttp2("connect-node, Connect", createConnectTransport);
export const grpc: Contestant = overHttp2("connect-node, gRPC", createGrpcTransport);

function overHttp2(
  title: string,
  createTransport: (options: ConnectTransportOptions & { readonly httpVersion: "2" }) => Transport,
): Contestant {
  return {
    title,
    carries: "calls",
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
        address: JSON.stringify({ port, cert }),
        close: async () => {
          server.close();
        },
      };
    },
    async open(address) {
      const { port, cert }: { port: number; cert: string } = JSON.parse(address);
      const url = `https://localhost:${port}`;
      let session: Buffer | undefined;
      return {
        async connect() {
          const sessionManager = new Http2SessionManager(url, undefined, {
            createConnection: () =>
              connectTls({
                host: "127.0.0.1",
                servername: "localhost",
                port,
                ca: cert,
                ALPNProtocols: ["h2"],
                ...(session === undefined ? {} : { session }),
              }).on("session", (latest) => {
                session = latest;
              }),
          });
          const transport = createTransport({
            httpVersion: "2",
            baseUrl: url,
            useBinaryFormat: true,
            acceptCompression: [],
            sessionManager,
          });
          return benchCaller(createClient(BenchService, transport), () => sessionManager.abort());
        },
        close: async () => {},
      };
    },
  };
}
