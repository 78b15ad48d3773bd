import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { irohDnsServer } from "../../support/iroh-programs.ts";

/** Why the server cannot be had here, for the tests' `skip`; false where it can. Builds it the first time: minutes. */
export const noDnsServer: string | false = irohDnsServer.prepare() ?? false;

export interface DnsServerOptions {
  /** Zones below which records are served. Default `irohdns.example.` */
  readonly origins?: readonly string[];
  /** For records that nobody has published here: first nodes of a mainline DHT, as `ip:port`. Default none. */
  readonly dhtBootstrap?: readonly string[];
  /** Default: any free one. */
  readonly dnsPort?: number;
}

/** A real iroh-dns-server on loopback: pkarr relay over HTTP, and DNS. */
export class IrohDnsServer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #folder: string;
  /** Of the pkarr relay. */
  readonly pkarrRelay: string;
  /** `ip:port` */
  readonly dns: string;

  private constructor(child: ChildProcess, folder: string, ports: { http: number; dns: number }) {
    this.#child = child;
    this.#folder = folder;
    this.pkarrRelay = `http://127.0.0.1:${ports.http}/pkarr`;
    this.dns = `127.0.0.1:${ports.dns}`;
  }

  static async start(options: DnsServerOptions = {}): Promise<IrohDnsServer> {
    const folder = await mkdtemp(join(tmpdir(), "iroh-dns-server-"));
    const http = await freePort();
    const dns = options.dnsPort ?? (await freePort());
    const config = join(folder, "config.toml");
    await writeFile(config, configuration({ ...options, http, dns, folder }));
    const child = spawn(irohDnsServer.path, ["--config", config], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, RUST_LOG: "warn" },
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    const server = new IrohDnsServer(child, folder, { http, dns });
    for (;;) {
      if (child.exitCode !== null) {
        await server[Symbol.asyncDispose]();
        throw new Error(`iroh-dns-server ended with ${child.exitCode}: ${output}`);
      }
      const healthy = await fetch(`http://127.0.0.1:${http}/healthz`).then(
        ({ ok }) => ok,
        () => false,
      );
      if (healthy) {
        return server;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null) {
      const ended = once(this.#child, "close");
      this.#child.kill("SIGKILL");
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

interface Settings extends DnsServerOptions {
  readonly http: number;
  readonly dns: number;
  readonly folder: string;
}

function configuration({ origins, dhtBootstrap, http, dns, folder }: Settings): string {
  const mainline =
    dhtBootstrap === undefined
      ? "enabled = false"
      : `enabled = true\nbootstrap = ${JSON.stringify(dhtBootstrap)}`;
  return `
pkarr_put_rate_limit = "disabled"
data_dir = ${JSON.stringify(folder)}

[http]
port = ${http}
bind_addr = "127.0.0.1"

[dns]
port = ${dns}
bind_addr = "127.0.0.1"
default_soa = "dns1.irohdns.example hostmaster.irohdns.example 0 10800 3600 604800 3600"
default_ttl = 900
origins = ${JSON.stringify([...(origins ?? ["irohdns.example."]), "."])}

[metrics]
disabled = true

[mainline]
${mainline}
`;
}

/** A port that nobody has over TCP nor UDP. */
async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const free = await new Promise<boolean>((resolve) => {
      const socket = createSocket("udp4");
      socket.once("error", () => resolve(false));
      socket.bind(port, "127.0.0.1", () => socket.close(() => resolve(true)));
    });
    await new Promise((resolve) => server.close(resolve));
    if (free) {
      return port;
    }
  }
}
