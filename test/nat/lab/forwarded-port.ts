import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { LabNetwork } from "./lab-network.ts";
import type { HostName } from "./topology.ts";

/**
 * A TCP port of a host's loopback as one of ours. The way there is a Unix socket, which is a file and so in no network; on
 * the host a process of its own takes it on, and ends with the network.
 */
export class ForwardedPort implements Disposable {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets: ReadonlySet<Socket>;
  readonly #folder: string;

  private constructor(server: Server, sockets: ReadonlySet<Socket>, folder: string) {
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    this.#sockets = sockets;
    this.#folder = folder;
  }

  static async open(network: LabNetwork, host: HostName, port: number): Promise<ForwardedPort> {
    const folder = mkdtempSync(join(tmpdir(), "connect-quic-lab-"));
    const path = join(folder, "port");
    const args = ["-e", program, path, String(port)];
    const child = network.spawn(host, process.execPath, args, {
      stdio: ["ignore", "pipe", "inherit"],
    });
    if (child.stdout === null) {
      throw new Error("no stdout");
    }
    await Promise.race([
      once(createInterface(child.stdout), "line"),
      once(child, "close").then(() => {
        throw new Error(`port ${port} of host ${host} is not forwarded`);
      }),
    ]);
    const sockets = new Set<Socket>();
    const server = createServer((near) => {
      const far = connect(path);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket);
        socket.on("error", () => {});
        socket.on("close", () => {
          sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new ForwardedPort(server, sockets, folder);
  }

  [Symbol.dispose](): void {
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

const program = `
  const [path, port] = process.argv.slice(1);
  const { connect, createServer } = require("node:net");
  createServer((near) => {
    const far = connect(Number(port), "127.0.0.1");
    for (const [socket, other] of [[near, far], [far, near]]) {
      socket.on("error", () => {}).on("close", () => other.destroy());
      socket.pipe(other);
    }
  }).listen(path, () => console.log("listening"));
`;
