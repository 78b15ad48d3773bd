// js-libp2p with a stream for each call, as its users do. It is not among the dependencies of the repository: it is
// installed beside libp2p/package.json when somebody wants to see it.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Contestant } from "../contestant.ts";
import { type ByteStream, serveStream, streamCaller } from "./stream-service.ts";

/** The folder in the sources: what is compiled from this file lies elsewhere, and the bench runs in the root. */
const folder = resolve("bench/contestants/libp2p");
const neededNode = 22;

type Carrier = "quic" | "tcp";

/** What `libp2p/node.mjs` exports. */
interface Libp2p {
  serve(
    carrier: Carrier,
    options: { readonly streams?: number | undefined },
    onStream: (stream: ByteStream) => void,
  ): Promise<{ readonly address: string; stop(): Promise<void> }>;
  open(
    carrier: Carrier,
    options: { readonly streams?: number | undefined },
  ): Promise<{
    dial(address: string): Promise<{ open(): Promise<ByteStream>; close(): Promise<void> }>;
    stop(): Promise<void>;
  }>;
}

const resumption = "js-libp2p makes a whole handshake each time";
export const quic: Contestant = over("quic", "js-libp2p over QUIC, a stream per call", {
  "datagram-size": "@chainsafe/libp2p-quic has no option for it",
  resumption,
});
export const tcp: Contestant = over("tcp", "js-libp2p over TCP, noise, yamux, a stream per call", {
  resumption,
});

function over(
  carrier: Carrier,
  title: string,
  lacks: NonNullable<Contestant["lacks"]>,
): Contestant {
  return {
    title,
    carries: "bytes",
    lacks,
    prepare,
    async serve({ streams }) {
      const { serve } = await load();
      const { address, stop } = await serve(carrier, { streams }, (stream) => {
        void serveStream(stream).catch(() => {});
      });
      return { address, close: stop };
    },
    async open(address, { streams }) {
      const { open } = await load();
      const node = await open(carrier, { streams });
      return {
        async connect() {
          const connection = await node.dial(address);
          return streamCaller(connection.open, connection.close);
        },
        close: node.stop,
      };
    },
  };
}

async function prepare(): Promise<string | undefined> {
  if (Number(process.versions.node.split(".")[0]) < neededNode) {
    return `js-libp2p needs Node ${neededNode} or later, this is ${process.version}`;
  }
  if (!existsSync(join(folder, "node_modules/libp2p"))) {
    console.error(`installing js-libp2p once, into ${folder}/node_modules …`);
    const options = ["--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund"];
    try {
      await promisify(execFile)("npm", ["install", ...options], { cwd: folder });
    } catch (error) {
      return `js-libp2p cannot be installed: ${error instanceof Error ? error.message : error}`;
    }
  }
  return undefined;
}

function load(): Promise<Libp2p> {
  return import(pathToFileURL(join(folder, "node.mjs")).href);
}
