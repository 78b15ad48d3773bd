import type { Connection } from "../../../src/endpoint/connection.ts";
import type { Endpoint } from "../../../src/endpoint/endpoint.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import type { RustProgram } from "../../support/rust-program.ts";
import { firstIrohPeer, irohRustPeer, tonicIrohPeer } from "../../support/rust-programs.ts";
import { ForeignProcess, type Line } from "../http3/foreign-process.ts";

/** What the program's connections speak, unless it is told to speak of digests. */
export const alpn = "connect-quic-interop/rust/1";

/** Why the program cannot be had, for the tests' `skip`; false where it can. Builds it the first time: minutes. */
export const noRustPeer: string | false = irohRustPeer.prepare() ?? false;

/** Peers with other versions of iroh, which know no tickets. */
export const otherVersions: readonly OtherVersion[] = [
  // What tonic-iroh-transport brings.
  { version: "0.98", program: tonicIrohPeer, args: ["plain"] },
  { version: "1.0", program: firstIrohPeer, args: [] },
].map((entry) => ({ ...entry, skip: entry.program.prepare() ?? false }));

export interface OtherVersion {
  readonly version: string;
  readonly program: RustProgram;
  readonly args: readonly string[];
  readonly skip: string | false;
}

/** A peer in Rust, with the current iroh or an older one. */
export class RustPeer implements AsyncDisposable {
  readonly #process: ForeignProcess;
  readonly id: string;
  /** As iroh writes it. */
  readonly ticket: string;
  /** Where it listens, on loopback. */
  readonly addr: EndpointAddr;

  private constructor(process: ForeignProcess, ready: Line) {
    this.#process = process;
    this.id = String(ready.id);
    this.ticket = String(ready.ticket);
    const [port = ""] = /\d+$/.exec(String(ready.address)) ?? [];
    this.addr = EndpointAddr.from({ id: this.id, addrs: [`127.0.0.1:${port}`] });
  }

  /** With the options that its main.rs names; default: on loopback alone. */
  static async start(...args: string[]): Promise<RustPeer> {
    const { process, line } = await ForeignProcess.start(
      irohRustPeer.path,
      args.length === 0 ? ["--bind", "127.0.0.1:0"] : args,
      "ready",
    );
    return new RustPeer(process, line);
  }

  static async startOther({ program, args }: OtherVersion): Promise<RustPeer> {
    const { process, line } = await ForeignProcess.start(program.path, [...args], "ready");
    return new RustPeer(process, line);
  }

  /** Has it do something, and waits for what comes of it. */
  async do(command: string, event: string): Promise<Line> {
    this.#process.say(command);
    return await this.#process.expect(event);
  }

  /** The ends of a connection to `ours`, here and there. */
  async connect(
    ours: Endpoint,
    dialer: "ours" | "rust",
    how: { readonly ticket: string; readonly addr: EndpointAddr | string },
  ): Promise<{ readonly here: Connection; readonly there: Line }> {
    const [here, there] = await Promise.all(
      dialer === "ours"
        ? [ours.connect(how.addr, alpn), this.do("accept", "connected")]
        : [ours.accept(), this.do(`dial ${how.ticket}`, "connected")],
    );
    if (here === undefined) {
      throw new Error("the endpoint is closed");
    }
    return { here, there };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
  }
}
