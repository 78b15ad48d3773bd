import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  bindWorkerEndpoint,
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  EndpointAddr,
  EndpointError,
  type EndpointOptions,
  serveOnWorkers,
  type WorkerPool,
  type WorkerPoolOptions,
} from "connect-quic";
import { RelayServer } from "connect-quic/relay";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";
import { parseSocketAddress } from "../../src/base/socket-address.ts";
import { parseRelayUrl } from "../../src/identity/relay-url.ts";
import { Outbox } from "../support/echo-service.ts";
import { bindMutedUdp } from "../support/muted-udp.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Within the repository, so that node_modules are found from there. */
const folder = `.cache/workers-${process.pid}`;
const file = join(root, folder, "test/support/echo-worker.js");
const loopback = { bind: "127.0.0.1:0" } as const;

interface ServeOptions extends WorkerPoolOptions {
  /** What the workers do; see test/support/echo-worker.ts. */
  readonly behaviour?: string;
}

function serve(endpoint: Endpoint, options: ServeOptions = {}): Promise<WorkerPool> {
  const { behaviour = "serve", ...others } = options;
  return serveOnWorkers(endpoint, file, {
    workers: 2,
    // The machine may have much else to do.
    startTimeoutMs: 120_000,
    ...others,
    workerOptions: { execArgv: [], workerData: { behaviour } },
  });
}

interface Caller extends AsyncDisposable {
  readonly endpoint: Endpoint;
  readonly client: Client<typeof EchoService>;
  echo(message: string): Promise<string>;
}

/** A peer of its own for each, and so a connection. */
async function dial(to: string | EndpointAddr, options: EndpointOptions = {}): Promise<Caller> {
  const endpoint = await Endpoint.bind({ ...loopback, ...options });
  const transport = createQuicTransport({ endpoint, to });
  const client = createClient(EchoService, transport);
  return {
    endpoint,
    client,
    echo: async (message) => (await client.echo({ message })).message,
    [Symbol.asyncDispose]: async () => {
      await transport.close();
      await endpoint.close({ timeoutMs: 0 });
    },
  };
}

/** Callers whose connections are on different workers. */
async function dialBoth(endpoint: Endpoint): Promise<[Caller, Caller]> {
  const [one, other] = [await dial(endpoint.ticket()), await dial(endpoint.ticket())];
  assert.notEqual(await one.echo("thread"), await other.echo("thread"));
  return [one, other];
}

describe("serveOnWorkers", () => {
  // As users do: a loader for TypeScript in each worker would take seconds.
  before(() => {
    const args = ["scripts/bundle.mjs", folder, "test/support/echo-worker.ts"];
    execFileSync(process.execPath, args, { cwd: root });
  });
  after(() => rmSync(join(root, folder), { recursive: true, force: true }));

  it("keeps each connection on one worker, and gives connections to all by turns", async () => {
    await using endpoint = await Endpoint.bind(loopback);
    await using pool = await serve(endpoint);
    assert.equal(pool.workers.length, 2);
    const threads: string[] = [];
    for (let count = 0; count < 6; count += 1) {
      await using caller = await dial(endpoint.ticket());
      const thread = await caller.echo("thread");
      for (let call = 0; call < 20; call += 1) {
        assert.equal(await caller.echo("thread"), thread);
      }
      threads.push(thread);
    }
    for (const { threadId } of pool.workers) {
      assert.equal(threads.filter((thread) => thread === String(threadId)).length, 3);
    }
  });

  it("serves all kinds of calls, large messages, and calls back to the caller", async () => {
    await using endpoint = await Endpoint.bind({ bind: ["127.0.0.1:0", "[::1]:0"] });
    await using _pool = await serve(endpoint);
    const port = endpoint.boundAddresses.find(({ family }) => family === 6)?.port ?? 0;
    const overIpv6 = at(endpoint, { direct: `[::1]:${port}` });
    await using caller = await dial(overIpv6, { bind: "[::1]:0" });
    const large = "x".repeat(3_000_000);
    assert.equal(await caller.echo(large), large);
    const numbers: number[] = [];
    for await (const { number } of caller.client.repeat({ message: "a", count: 1_000 })) {
      numbers.push(number);
    }
    assert.equal(numbers.length, 1_000);
    async function* requests() {
      for (let number = 0; number < 300; number += 1) {
        yield { message: `${number}`.padEnd(10_000) };
      }
    }
    assert.equal((await caller.client.collect(requests())).messages.length, 300);
    let answers = 0;
    for await (const { message } of caller.client.converse(requests())) {
      assert.equal(message.trim(), String(answers));
      answers += 1;
    }
    assert.equal(answers, 300);
    await using router = createPeerRouter(caller.endpoint);
    router.service(EchoService, { echo: ({ message }) => ({ message: `${message} again` }) });
    await using transport = router.transportTo(overIpv6);
    const { message } = await createClient(EchoService, transport).echo({ message: "call back" });
    assert.equal(message, "back again");
  });

  it("keeps a connection on its worker when the address of its peer changes", async () => {
    await using endpoint = await Endpoint.bind(loopback);
    await using _pool = await serve(endpoint);
    const port = endpoint.boundAddresses[0]?.port ?? 0;
    await using nat = await RebindingNat.to(port);
    const there = at(endpoint, { direct: `127.0.0.1:${nat.port}` });
    // One path, that of the NAT.
    await using caller = await dial(there, { transport: { multipath: false } });
    const thread = await caller.echo("thread");
    for (let change = 0; change < 5; change += 1) {
      await nat.rebind();
      assert.equal(await caller.echo("thread"), thread);
    }
    assert.equal(caller.endpoint.connections.size, 1);
    assert.equal(nat.ports.size, 6);
  });

  it("serves over a relay, and moves to the direct path from there", async () => {
    await using relay = await RelayServer.start({ listen: { port: 0, host: "127.0.0.1" } });
    await using endpoint = await Endpoint.bind({ ...loopback, relays: [relay.url] });
    await using _pool = await serve(endpoint);
    await endpoint.online();
    const behindRelay = at(endpoint, { relay: relay.url });
    {
      await using caller = await dial(behindRelay, {
        relays: [relay.url],
        network: { bindSocket: bindMutedUdp },
      });
      const thread = await caller.echo("thread");
      assert.equal(await caller.echo("x".repeat(100_000)), "x".repeat(100_000));
      assert.equal(await caller.echo("thread"), thread);
      assert.equal(await caller.echo("paths"), "relay");
    }
    await using caller = await dial(behindRelay, { relays: [relay.url] });
    const thread = await caller.echo("thread");
    // The worker offers the addresses of the main thread's sockets.
    while (!(await caller.echo("paths")).includes("ip")) {
      assert.equal(await caller.echo("thread"), thread);
    }
    assert.equal(await caller.echo("thread"), thread);
  });

  it("has workers with the identity and the addresses of the endpoint, which can dial as well", async () => {
    await using endpoint = await Endpoint.bind(loopback);
    await using _pool = await serve(endpoint);
    await using caller = await dial(endpoint.ticket());
    assert.equal(await caller.echo("ticket"), endpoint.ticket());
    assert.match(await caller.echo("bind again"), /has one already/);
    await using other = await Endpoint.bind(loopback);
    await using router = createPeerRouter(other);
    router.service(EchoService, { echo: ({ message }) => ({ message: `${message}, got it` }) });
    assert.equal(await caller.echo(other.ticket()), "from a worker, got it");
    // What the main thread dials is its own.
    const transport = createQuicTransport({ endpoint, to: other.ticket() });
    const answer = await createClient(EchoService, transport).echo({ message: "from main" });
    assert.equal(answer.message, "from main, got it");
    await transport.close();
  });

  it("has the peers of a worker that dies know at once, leaves the others alone, and starts another", async () => {
    const errors: unknown[] = [];
    await using endpoint = await Endpoint.bind({
      ...loopback,
      onError: (error) => errors.push(error),
    });
    await using pool = await serve(endpoint);
    const [one, other] = await dialBoth(endpoint);
    await using _one = one;
    await using _other = other;
    const dead = await one.echo("thread");
    const alive = await other.echo("thread");
    const [connection] = one.endpoint.connections;
    // Whether the answer still gets out is another matter.
    await one.echo("die").catch(() => {});
    await connection?.closed;
    assert.deepEqual(connection?.closeCause, { type: "reset" });
    assert.equal(await other.echo("thread"), alive);
    // Dials again, and gets whoever is there.
    const successor = await one.echo("thread");
    assert.notEqual(successor, dead);
    while (pool.workers.length < 2) {
      await other.echo("");
    }
    const threads = new Set<string>();
    while (threads.size < 2) {
      await using caller = await dial(endpoint.ticket());
      threads.add(await caller.echo("thread"));
    }
    assert.ok(!threads.has(dead), "the dead one serves nobody");
    const [error] = errors;
    assert.ok(error instanceof EndpointError, `an EndpointError is reported, not ${error}`);
    assert.equal(error.code, "worker-ended");
    assert.match(error.message, /killed by a caller/);
  });

  it("lets calls end that are under way when it is closed, and leaves the endpoint open", async () => {
    await using endpoint = await Endpoint.bind(loopback);
    const pool = await serve(endpoint);
    const [one, other] = await dialBoth(endpoint);
    await using _one = one;
    await using _other = other;
    const exits = pool.workers.map((worker) => once(worker, "exit"));
    const [underWay, alsoUnderWay] = [new Talk(one.client), new Talk(other.client)];
    assert.equal(await underWay.say("a"), "a");
    assert.equal(await alsoUnderWay.say("b"), "b");
    const closing = pool.close();
    assert.equal(await underWay.say("c"), "c");
    assert.equal(await alsoUnderWay.say("d"), "d");
    await Promise.all([underWay.end(), alsoUnderWay.end()]);
    await closing;
    // By themselves: who is terminated exits with 1.
    assert.deepEqual((await Promise.all(exits)).flat(), [0, 0]);
    assert.equal(pool.workers.length, 0);
    await assert.rejects(one.echo("thread"), isCode(Code.Unavailable));
    // The endpoint can serve again: on other workers, or by itself.
    await using router = createPeerRouter(endpoint);
    router.service(EchoService, { echo: () => ({ message: "main" }) });
    await using caller = await dial(endpoint.ticket());
    assert.equal(await caller.echo("thread"), "main");
  });

  it("closes with its endpoint", async () => {
    const endpoint = await Endpoint.bind(loopback);
    const pool = await serve(endpoint);
    await using caller = await dial(endpoint.ticket());
    await caller.echo("");
    const [connection] = caller.endpoint.connections;
    await endpoint.close();
    await pool.closed;
    assert.equal(pool.workers.length, 0);
    await connection?.closed;
    assert.equal(connection?.closeCause?.type, "application");
  });

  it("asks the authorize hook of the worker, and has it prove addresses", async () => {
    await using endpoint = await Endpoint.bind(loopback);
    {
      await using _pool = await serve(endpoint, { workers: 1, behaviour: "refuse" });
      await using caller = await dial(endpoint.ticket());
      await assert.rejects(caller.echo("thread"), isCode(Code.PermissionDenied));
    }
    await using _pool = await serve(endpoint, { behaviour: "retry" });
    for (let count = 0; count < 4; count += 1) {
      await using caller = await dial(endpoint.ticket());
      assert.equal(await caller.echo("a"), "a");
    }
  });

  it("rejects when a worker ends or does not serve, and leaves none behind", async () => {
    await using endpoint = await Endpoint.bind(loopback);
    await assert.rejects(serve(endpoint, { behaviour: "throw" }), (error: unknown) => {
      assert.ok(error instanceof EndpointError, `not an EndpointError: ${error}`);
      assert.equal(error.code, "worker-ended");
      assert.match(error.message, /^worker \d failed: no database$/);
      return true;
    });
    await assert.rejects(serve(endpoint, { behaviour: "idle", startTimeoutMs: 1 }), {
      code: "worker-ended",
      message: /serves nothing after 1 ms: it has to call bindWorkerEndpoint/,
    });
    const missing = new URL("./no-such-worker.js", import.meta.url);
    await assert.rejects(serveOnWorkers(endpoint, missing, { workers: 1 }), {
      code: "worker-ended",
    });
    const aborted = AbortSignal.abort(new Error("changed my mind"));
    await assert.rejects(serve(endpoint, { signal: aborted }), /changed my mind/);
    const controller = new AbortController();
    const starting = serve(endpoint, { behaviour: "idle", signal: controller.signal });
    controller.abort(new Error("changed my mind"));
    await assert.rejects(starting, /changed my mind/);
  });

  it("refuses options that cannot be", async () => {
    await using endpoint = await Endpoint.bind(loopback);
    for (const workers of [0, 256, 1.5, Number.NaN]) {
      await assert.rejects(serve(endpoint, { workers }), RangeError);
    }
    await assert.rejects(serve(endpoint, { startTimeoutMs: 0 }), RangeError);
    const workerOptions = { workerData: "text" };
    await assert.rejects(serveOnWorkers(endpoint, file, { workerOptions }), TypeError);
    await endpoint.close();
    await assert.rejects(serve(endpoint), { code: "endpoint-closed" });
    await assert.rejects(bindWorkerEndpoint(), /serveOnWorkers has not started this thread/);
  });
});

function at(endpoint: Endpoint, place: { direct: string } | { relay: string }): EndpointAddr {
  return new EndpointAddr(endpoint.id, [
    "direct" in place
      ? { type: "ip", address: parseSocketAddress(place.direct) }
      : { type: "relay", url: parseRelayUrl(place.relay) },
  ]);
}

function isCode(code: Code): (error: unknown) => boolean {
  return (error) => ConnectError.from(error).code === code;
}

/** A call that goes on until it is ended. */
class Talk {
  readonly #outbox = new Outbox();
  readonly #answers: AsyncIterator<{ message: string }>;

  constructor(client: Client<typeof EchoService>) {
    this.#answers = client.converse(this.#outbox)[Symbol.asyncIterator]();
  }

  async say(message: string): Promise<string> {
    this.#outbox.send(message);
    const { value } = await this.#answers.next();
    return value.message;
  }

  async end(): Promise<void> {
    this.#outbox.finish();
    assert.equal((await this.#answers.next()).done, true);
  }
}

/** Stands between a client and a server, and gives the client another address when it is told to. */
class RebindingNat implements AsyncDisposable {
  readonly port: number;
  /** All that the server has seen. */
  readonly ports: Set<number> = new Set<number>();
  readonly #inside: Socket;
  readonly #server: number;
  #outside: Socket | undefined;
  #client = 0;

  static async to(server: number): Promise<RebindingNat> {
    const nat = new RebindingNat(await bound(), server);
    await nat.rebind();
    return nat;
  }

  private constructor(inside: Socket, server: number) {
    this.#inside = inside;
    this.#server = server;
    this.port = inside.address().port;
    inside.on("message", (bytes, { port }) => {
      this.#client = port;
      this.#outside?.send(bytes, this.#server, "127.0.0.1");
    });
  }

  async rebind(): Promise<void> {
    const before = this.#outside;
    const outside = await bound();
    outside.on("message", (bytes) => this.#inside.send(bytes, this.#client, "127.0.0.1"));
    this.ports.add(outside.address().port);
    this.#outside = outside;
    before?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#inside.close();
    this.#outside?.close();
  }
}

async function bound(): Promise<Socket> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  return socket;
}
