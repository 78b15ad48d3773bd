// Nodes of js-libp2p for ../libp2p.ts, which says what the functions are. Not TypeScript, because the types of libp2p are
// there only where it is installed.

import { noise } from "@chainsafe/libp2p-noise";
import { quic } from "@chainsafe/libp2p-quic";
import { yamux } from "@chainsafe/libp2p-yamux";
import { tcp } from "@libp2p/tcp";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

const protocol = "/bench/1";
const listenAddresses = { quic: "/ip4/127.0.0.1/udp/0/quic-v1", tcp: "/ip4/127.0.0.1/tcp/0" };
/** As many as libp2p wants to be told of at once, which is 32 by default for a protocol. */
const defaultStreams = 1_000;

export async function serve(carrier, options, onStream) {
  const node = await createNode(carrier, options, [listenAddresses[carrier]]);
  await node.handle(protocol, (stream) => onStream(byteStream(stream)), {
    maxInboundStreams: options.streams ?? defaultStreams,
    maxOutboundStreams: options.streams ?? defaultStreams,
  });
  return { address: String(node.getMultiaddrs()[0]), stop: () => node.stop() };
}

export async function open(carrier, options) {
  const node = await createNode(carrier, options, []);
  return {
    async dial(address) {
      const connection = await node.dial(multiaddr(address), { force: true });
      return {
        open: async () =>
          byteStream(
            await connection.newStream(protocol, {
              maxOutboundStreams: options.streams ?? defaultStreams,
            }),
          ),
        close: () => connection.close(),
      };
    },
    stop: () => node.stop(),
  };
}

function createNode(carrier, { streams = defaultStreams }, listen) {
  const limits = { maxInboundStreams: streams, maxOutboundStreams: streams };
  return createLibp2p({
    addresses: { listen },
    connectionManager: { maxConnections: 5_000, inboundConnectionThreshold: 10_000 },
    ...(carrier === "quic"
      ? { transports: [quic({ maxConcurrentStreamLimit: streams })] }
      : {
          transports: [tcp()],
          connectionEncrypters: [noise()],
          streamMuxers: [yamux(limits)],
        }),
  });
}

/** By events: the stream's own iterator misses an end that comes before somebody waits for it, as with short streams. */
function byteStream(stream) {
  const chunks = [];
  let ended = false;
  let wake = () => {};
  const end = () => {
    ended = true;
    wake();
  };
  stream.addEventListener("message", ({ data }) => {
    chunks.push(data.subarray());
    wake();
  });
  stream.addEventListener("remoteCloseWrite", end);
  stream.addEventListener("close", end);
  if (stream.remoteWriteStatus !== "writable") {
    // What came before is handed out first, in a microtask that began with the listener.
    queueMicrotask(end);
  }
  return {
    async write(bytes) {
      if (!stream.send(bytes)) {
        await stream.onDrain();
      }
    },
    finish: () => stream.close(),
    async read() {
      while (chunks.length === 0 && !ended) {
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
      return chunks.shift();
    },
  };
}
