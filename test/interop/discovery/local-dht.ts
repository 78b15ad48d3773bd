import { createSocket } from "node:dgram";
import { once } from "node:events";
import Dht from "bittorrent-dht";
import { EndpointId } from "../../../src/identity/endpoint-id.ts";
import { verify } from "../../../src/identity/verify.ts";

/** What the package's declarations in src/ leave out, as a node that others ask needs it. */
interface FullNode {
  listen(port: number, host: string, done: () => void): void;
  address(): { readonly port: number };
  destroy(done: () => void): void;
}

type FullNodeClass = new (options: {
  readonly bootstrap: readonly string[] | false;
  readonly host: string;
  readonly verify: (signature: Buffer, text: Buffer, key: Buffer) => boolean;
}) => FullNode;

/** Nodes of a mainline DHT of their own on loopback. */
export class LocalDht implements AsyncDisposable {
  readonly #nodes: readonly FullNode[];

  private constructor(nodes: readonly FullNode[]) {
    this.#nodes = nodes;
  }

  static async start(count = 8): Promise<LocalDht> {
    const nodes: FullNode[] = [];
    for (let index = 0; index < count; index += 1) {
      const bootstrap = nodes.map((node) => `127.0.0.1:${node.address().port}`);
      const node = new (Dht as unknown as FullNodeClass)({
        bootstrap: bootstrap.length === 0 ? false : bootstrap,
        host: "127.0.0.1",
        verify: (signature, text, key) => verify(EndpointId.fromBytes(key), text, signature),
      });
      await new Promise<void>((resolve) => node.listen(0, "127.0.0.1", resolve));
      nodes.push(node);
    }
    return new LocalDht(nodes);
  }

  get bootstrap(): string[] {
    return this.#nodes.map((node) => `127.0.0.1:${node.address().port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#nodes.map((node) => new Promise<void>((resolve) => node.destroy(resolve))),
    );
  }
}

/** A node that answers everything with `answer`, a message of the DHT in which `tt` stands for the transaction id. */
export async function rogueNode(
  answer: (query: Buffer) => Buffer,
): Promise<AsyncDisposable & { readonly address: string; readonly asked: () => number }> {
  const socket = createSocket("udp4");
  let asked = 0;
  socket.on("message", (query, { port, address }) => {
    asked += 1;
    socket.send(answer(query), port, address);
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked: () => asked,
    [Symbol.asyncDispose]: async () => {
      socket.close();
      await once(socket, "close");
    },
  };
}
