import type { BiStream, Endpoint, EndpointTicket } from "@number0/iroh";
import type { Contestant } from "../contestant.ts";
import { type ByteStream, serveStream, streamCaller } from "./stream-service.ts";

const alpn = [...Buffer.from("bench/1")];
const readBytes = 65_536;

/** Real iroh, by its binding for Node.js. Bytes cross it as arrays of numbers. */
export const iroh: Contestant = {
  title: "@number0/iroh, bare streams",
  carries: "bytes",
  lacks: {
    "datagram-size": "the binding has no option for it; it sends 1200 to 1452 B as it is",
    resumption: "the binding tells nothing of sessions",
  },
  async prepare() {
    try {
      await import("@number0/iroh");
      return undefined;
    } catch (error) {
      return `@number0/iroh has no build for this machine: ${error}`;
    }
  },
  async serve({ streams }) {
    const { EndpointTicket } = await import("@number0/iroh");
    const endpoint = await bind();
    void accept(endpoint, streams);
    return {
      address: EndpointTicket.fromAddr(endpoint.addr()).toString(),
      close: () => endpoint.close(),
    };
  },
  async open(address) {
    const { EndpointTicket } = await import("@number0/iroh");
    const endpoint = await bind();
    const addr = (EndpointTicket.fromString(address) as EndpointTicket).endpointAddr();
    return {
      async connect() {
        const connection = await endpoint.connect(addr, alpn);
        return streamCaller(
          async () => byteStream(await connection.openBi()),
          async () => connection.close(0n, []),
        );
      },
      close: () => endpoint.close(),
    };
  },
};

async function bind(): Promise<Endpoint> {
  const { Endpoint, RelayMode, presetMinimal } = await import("@number0/iroh");
  const builder = Endpoint.builder();
  presetMinimal(builder);
  builder.alpns([alpn]);
  builder.relayMode(RelayMode.disabled());
  builder.bindAddr("127.0.0.1:0");
  return builder.bind();
}

async function accept(endpoint: Endpoint, streams: number | undefined): Promise<void> {
  for (;;) {
    const incoming = await endpoint.acceptNext();
    if (incoming === null) {
      return;
    }
    const serve = async (): Promise<void> => {
      const connection = await (await incoming.accept()).connect();
      if (streams !== undefined) {
        connection.setMaxConcurrentBiStreams(BigInt(streams));
      }
      for (;;) {
        void serveStream(byteStream(await connection.acceptBi())).catch(() => {});
      }
    };
    // Ends with the connection, which its dialer watches.
    void serve().catch(() => {});
  }
}

function byteStream({ send, recv }: BiStream): ByteStream {
  return {
    write: (bytes) => send.writeAll(Array.from(bytes)),
    finish: () => send.finish(),
    read: async () => {
      const bytes = await recv.read(readBytes);
      return bytes.length === 0 ? undefined : Uint8Array.from(bytes);
    },
  };
}
