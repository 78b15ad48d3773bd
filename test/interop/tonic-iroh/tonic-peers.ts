// Both sides of a call between ours and tonic-iroh-transport, each in a process of its own.

import {
  type Client,
  Code,
  ConnectError,
  createClient,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { AsyncQueue } from "../../../src/base/async-queue.ts";
import {
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  EndpointAddr,
  EndpointId,
  type PeerRouter,
  peerKey,
  type QuicTransport,
} from "../../../src/index.ts";
import { EchoService } from "../../support/echo-service.ts";
import { tonicIrohPeer } from "../../support/rust-programs.ts";
import { ForeignProcess } from "../http3/foreign-process.ts";

/** Why the program cannot be had, for the tests' `skip`; false where it can. */
export const noTonicPeer: string | false = tonicIrohPeer.prepare() ?? false;

/** A server in Rust, and a client of ours. */
export class RustServer implements AsyncDisposable {
  readonly process: ForeignProcess;
  readonly endpoint: Endpoint;
  readonly addr: EndpointAddr;
  readonly transport: QuicTransport;
  readonly echo: Client<typeof EchoService>;

  private constructor(process: ForeignProcess, endpoint: Endpoint, addr: EndpointAddr) {
    this.process = process;
    this.endpoint = endpoint;
    this.addr = addr;
    this.transport = createQuicTransport({ endpoint, to: addr, wire: "tonic-iroh" });
    this.echo = createClient(EchoService, this.transport);
  }

  static async start(): Promise<RustServer> {
    const { process, line } = await ForeignProcess.start(tonicIrohPeer.path, ["serve"], "serving");
    const addr = addrOf(line);
    return new RustServer(process, await Endpoint.bind({ bind: "127.0.0.1:0" }), addr);
  }

  /** Lets a "paced" handler give its next answer. */
  step(): void {
    this.process.say("go");
  }

  /** The next message that `collect` has got. */
  async received(): Promise<unknown> {
    return (await this.process.expect("received")).message;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.transport.close({ timeoutMs: 0 });
    await this.endpoint.close();
    await this.process[Symbol.asyncDispose]();
  }
}

/** A server of ours, which does what that in Rust does. */
export class OurServer implements AsyncDisposable {
  readonly #steps = new AsyncQueue<void>();
  readonly #received = new AsyncQueue<string>();
  readonly #endpoint: Endpoint;
  readonly #router: PeerRouter;
  /** On loopback. */
  readonly addr: EndpointAddr;

  private constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
    this.#router = createPeerRouter(endpoint, { wires: ["connect-quic", "tonic-iroh"] });
    this.#router.service(EchoService, this.#implementation());
    const [address] = endpoint.boundAddresses;
    this.addr = EndpointAddr.from({ id: endpoint.id, addrs: [`127.0.0.1:${address?.port}`] });
  }

  static async start(): Promise<OurServer> {
    return new OurServer(await Endpoint.bind({ bind: "127.0.0.1:0" }));
  }

  /** Lets a "paced" handler give its next answer. */
  step(): void {
    this.#steps.push();
  }

  /** The next message that `collect` has got. */
  received(): Promise<unknown> {
    return this.#received.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#router.close({ graceMs: 0 });
    await this.#endpoint.close();
  }

  #implementation(): ServiceImpl<typeof EchoService> {
    const answer = (message: string, { values }: HandlerContext): string =>
      message === "who-am-I" ? values.get(peerKey).id.toString() : message;
    const steps = this.#steps;
    const received = this.#received;
    return {
      echo: ({ message }, context) => ({
        message: message.startsWith("compressed")
          ? (context.requestHeader.get("grpc-encoding") ?? "nothing")
          : answer(message, context),
      }),
      async *repeat({ message, count }, context) {
        for (let number = 1; number <= count; number++) {
          if (message === "paced" && number > 1) {
            await steps.next();
          }
          yield { message: answer(message, context), number };
        }
      },
      async collect(requests, context) {
        const messages: string[] = [];
        for await (const { message } of requests) {
          received.push(message);
          messages.push(answer(message, context));
          if (message === "enough") {
            break;
          }
          if (message === "refuse") {
            throw new ConnectError("not today", Code.FailedPrecondition);
          }
        }
        return { messages };
      },
      async *converse(requests, context) {
        for await (const { message } of requests) {
          yield { message: answer(message, context) };
        }
      },
    };
  }
}

function addrOf({ id, address }: { readonly [name: string]: unknown }): EndpointAddr {
  return EndpointAddr.from({ id: EndpointId.parse(String(id)), addrs: [String(address)] });
}

/** A server of ours, and a client in Rust. */
export class RustClient implements AsyncDisposable {
  readonly process: ForeignProcess;
  /** Whom the handlers of ours should see. */
  readonly id: string;
  readonly #serving: readonly AsyncDisposable[];

  private constructor(process: ForeignProcess, id: string, serving: readonly AsyncDisposable[]) {
    this.process = process;
    this.id = id;
    this.#serving = serving;
  }

  /** With no server of ours, `to` is another one. */
  static async start(
    register: ((router: PeerRouter) => void) | { readonly to: EndpointAddr },
  ): Promise<RustClient> {
    if (typeof register !== "function") {
      return RustClient.#connect(register.to, []);
    }
    const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
    const router = createPeerRouter(endpoint, { wires: ["connect-quic", "tonic-iroh"] });
    register(router);
    return RustClient.#connect(endpoint.addr(), [router, endpoint]);
  }

  static async #connect(
    addr: EndpointAddr,
    serving: readonly AsyncDisposable[],
  ): Promise<RustClient> {
    const [address] = addr.ipAddrs;
    const args = ["call", `${addr.id}`, `127.0.0.1:${address?.port}`];
    const { process, line } = await ForeignProcess.start(tonicIrohPeer.path, args, "connected");
    return new RustClient(process, String(line.id), serving);
  }

  async call(scenario: string): Promise<unknown> {
    this.process.say(scenario);
    return (await this.process.expect("result")).value;
  }

  /** What comes of a call, or the code with which it fails. */
  async outcome(scenario: string): Promise<unknown> {
    this.process.say(scenario);
    const line = await this.process.expect("result", "error");
    return line.event === "result" ? line.value : line.code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // So that it closes its connection, and nobody waits for it.
    this.process.say("end");
    await this.process.expect("ended");
    await this.process[Symbol.asyncDispose]();
    for (const each of this.#serving) {
      await each[Symbol.asyncDispose]();
    }
  }
}
