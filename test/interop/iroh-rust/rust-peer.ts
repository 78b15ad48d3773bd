import type { Connection } from "../../../src/endpoint/connection.ts";
import type { Endpoint } from "../../../src/endpoint/endpoint.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import type { RustProgram } from "../../support/rust-program.ts";
import { firstIrohPeer, irohRustPeer, tonicIrohPeer } from "../../support/rust-programs.ts";
import { ForeignProcess, type Line } from "../http3/foreign-process.ts";

/** What the programs' connections speak. */
export const alpn = "connect-quic-interop/rust/1";

/** A version of the Rust crate iroh, and a program on it. */
export interface RustVersion {
  readonly version: string;
  readonly program: RustProgram;
  readonly args: readonly string[];
  /** Why the program cannot be had, for the tests' `skip`; false where it can. Built the first time: minutes. */
  readonly skip: string | false;
}

function versionOf(version: string, program: RustProgram, ...args: string[]): RustVersion {
  return { version, program, args, skip: program.prepare() ?? false };
}

export const currentVersion: RustVersion = versionOf("1.4.1", irohRustPeer);

export const versions: readonly RustVersion[] = [
  currentVersion,
  versionOf("1.0", firstIrohPeer),
  // What tonic-iroh-transport brings.
  versionOf("0.98", tonicIrohPeer, "plain"),
];

/** The twin of examples/custom-protocol. */
export const digestProgram: string = irohRustPeer.pathOf("iroh-digest");

/** What writes and reads key files as programs with iroh do. */
export const keyFileProgram: string = irohRustPeer.pathOf("iroh-key-file");

/** A peer in Rust. */
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

  /** With the options that its options.rs names; default: on loopback alone. */
  static async start({ program, args }: RustVersion, ...more: string[]): Promise<RustPeer> {
    const { process, line } = await ForeignProcess.start(
      program.path,
      [...args, ...(more.length === 0 ? ["--bind", "127.0.0.1:0"] : more)],
      "ready",
    );
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
