// Tunnels between ours and the Go module that they come from, over gRPC on HTTP/2.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  type Transport,
} from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { BytesService } from "../../../gen/connectquic/interop/v1/bytes_pb.ts";
import { AsyncQueue } from "../../../src/base/async-queue.ts";
import {
  createTunnelHost,
  createTunnelTransport,
  serveReverseTunnel,
  TunnelService,
} from "../../../src/tunnel.ts";
import { Outbox } from "../../behaviour/outbox.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { ForeignProcess } from "../http3/foreign-process.ts";
import { GoProgram } from "../http3/go-program.ts";
import { bytesService } from "./bytes-service.ts";
import { runChecks } from "./checks.ts";

const program = new GoProgram(new URL(".", import.meta.url), "grpctunnel-peer");
const missing = program.build();
const name = `grpctunnel${program.versionOf("github.com/jhump/grpctunnel")}`;
const options = { skip: missing ?? false, timeout: 60_000 };

stayAlive();

for (const [title, args] of [
  [name, []],
  [`${name} without flow control`, ["-old"]],
] as const) {
  describe(title, () => {
    test("a forward tunnel of ours to a Go server", options, async (t) => {
      const { go, client } = await goServer(t, args);
      const transport = createTunnelTransport(client);
      await transport.opened;
      await runChecks(transport);
      // The two calls of Hang.
      await go.expect("cancelled");
      await go.expect("cancelled");
      await transport.close();
    });

    test("a reverse tunnel of ours to a Go server, which calls", options, async (t) => {
      const { go, client } = await goServer(t, args);
      const cancelled = new AsyncQueue<unknown>();
      const server = serveReverseTunnel(client, (router) =>
        router.service(
          BytesService,
          bytesService((reason) => cancelled.push(reason)),
        ),
      );
      await server.opened;
      await go.expect("opened");
      go.say("call");
      assertAllWell(await go.expect("called"));
      for (let i = 0; i < 2; i++) {
        const reason = await cancelled.next();
        assert.ok(reason instanceof ConnectError && reason.code === Code.Canceled);
      }
      await server.close({ graceMs: 5_000 });
      await go.expect("closed");
    });

    test("a forward tunnel of a Go client to ours", options, async (t) => {
      const cancelled = new AsyncQueue<unknown>();
      const host = createTunnelHost({
        routes: (router) => {
          router.service(
            BytesService,
            bytesService((reason) => cancelled.push(reason)),
          );
        },
      });
      const go = await goClient(t, host, args);
      go.say("forward");
      assertAllWell(await go.expect("called"));
      await cancelled.next();
      await cancelled.next();
    });

    test("a reverse tunnel of a Go client to ours, which calls", options, async (t) => {
      const closed = new AsyncQueue<true>();
      const host = createTunnelHost({
        affinityKey: ({ header }) => header.get("user-agent")?.split("/")[0],
        onReverseTunnelClose: () => closed.push(true),
      });
      const go = await goClient(t, host, args);
      assert.equal(host.transport().ready, false);
      go.say("reverse");
      await host.transport().waitForReady();
      await runChecks(host.transportTo("grpc-go"));
      await go.expect("cancelled");
      await go.expect("cancelled");
      assert.equal(host.reverseTunnels.length, 1);
      await host.close({ graceMs: 5_000 });
      assert.equal((await go.expect("served")).error, "");
      await closed.next();
      assert.equal(host.reverseTunnels.length, 0);
    });
  });
}

test(`${name} with flow control, and ours without`, options, async (t) => {
  const { client } = await goServer(t, []);
  await using transport = createTunnelTransport(client, { flowControl: false });
  await runChecks(transport);
});

test(`a server on ${name} that is about to stop refuses calls`, options, async (t) => {
  const { go, client } = await goServer(t, []);
  await using transport = createTunnelTransport(client);
  await transport.opened;
  go.say("stop");
  await go.expect("stopping");
  await assert.rejects(createClient(BytesService, transport).echo({}), failsWith(Code.Unavailable));
});

test(`a client on ${name} that serves, and is about to stop, refuses calls`, options, async (t) => {
  const host = createTunnelHost();
  const go = await goClient(t, host, []);
  go.say("reverse");
  await host.transport().waitForReady();
  go.say("stop");
  await go.expect("stopping");
  const client = createClient(BytesService, host.transport());
  await assert.rejects(client.echo({}), failsWith(Code.Unavailable));
  // The module ends the tunnel too: it takes the rest of a call that it has refused for a call that never was.
  await go.expect("served");
});

describe(`calls that run when a side stops, ${name}`, () => {
  test("go on when a Go server stops gracefully", options, async (t) => {
    const { go, client } = await goServer(t, []);
    await using transport = createTunnelTransport(client);
    const call = await beginCall(transport);
    go.say("stop");
    await go.expect("stopping");
    await call.end();
  });

  test("go on when a Go client that serves stops gracefully", options, async (t) => {
    const host = createTunnelHost();
    const go = await goClient(t, host, []);
    go.say("reverse");
    await host.transport().waitForReady();
    const call = await beginCall(host.transport());
    go.say("stop");
    await go.expect("stopping");
    await call.end();
    // Its tunnels are left for the other side to close.
    await host.close();
    assert.equal((await go.expect("served")).error, "");
  });

  test("end as Unavailable when a Go server stops at once", options, async (t) => {
    const { go, client } = await goServer(t, []);
    await using transport = createTunnelTransport(client);
    const call = await beginCall(transport);
    go.say("stop now");
    await go.expect("stopping");
    await assert.rejects(call.next(), failsWith(Code.Unavailable));
    await transport.closed;
    assert.equal(transport.closeCause?.code, Code.Unavailable);
  });

  test("end as Unavailable when a Go client that serves stops at once", options, async (t) => {
    const host = createTunnelHost();
    const go = await goClient(t, host, []);
    go.say("reverse");
    await host.transport().waitForReady();
    const [tunnel] = host.reverseTunnels;
    const call = await beginCall(host.transport());
    go.say("stop now");
    await go.expect("stopping");
    await assert.rejects(call.next(), failsWith(Code.Unavailable));
    await tunnel?.closed;
    assert.equal((await go.expect("served")).error, "");
  });

  test("go on when our host stops gracefully, for a Go client", options, async (t) => {
    const host = createTunnelHost({ routes });
    const go = await goClient(t, host, []);
    go.say("begin");
    await go.expect("begun");
    const closed = host.close({ graceMs: 30_000 });
    go.say("end");
    assert.equal((await go.expect("ended")).code, "OK");
    await closed;
  });

  test(
    "go on when our server in a reverse tunnel stops gracefully, for a Go server",
    options,
    async (t) => {
      const { go, client } = await goServer(t, []);
      const server = serveReverseTunnel(client, routes);
      await go.expect("opened");
      go.say("begin");
      await go.expect("begun");
      const closed = server.close({ graceMs: 30_000 });
      go.say("end");
      const [ended] = await go.expectAll(["ended", "closed"]);
      assert.equal(ended?.code, "OK");
      await closed;
    },
  );

  // To the module, a tunnel that ends is one whose calls were cancelled, also when it was closed by a side of its own.
  test("end as Canceled when our host stops at once, for a Go client", options, async (t) => {
    const host = createTunnelHost({ routes });
    const go = await goClient(t, host, []);
    go.say("begin");
    await go.expect("begun");
    await host.close();
    go.say("end");
    assert.equal((await go.expect("ended")).code, "Canceled");
  });

  test(
    "end as Canceled when our server in a reverse tunnel stops at once, for a Go server",
    options,
    async (t) => {
      const { go, client } = await goServer(t, []);
      const server = serveReverseTunnel(client, routes);
      await go.expect("opened");
      go.say("begin");
      await go.expect("begun");
      await server.close();
      await go.expect("closed");
      go.say("end");
      assert.equal((await go.expect("ended")).code, "Canceled");
    },
  );
});

test(`metadata that ${name} could not read ends the call, not the tunnel`, options, async (t) => {
  const { client } = await goServer(t, []);
  await using transport = createTunnelTransport(client);
  const bytes = createClient(BytesService, transport);
  const headers = { "x-note-bin": "/////w" };
  await assert.rejects(bytes.echo({}, { headers }), failsWith(Code.Internal));
  await bytes.echo({});
});

function routes(router: ConnectRouter): void {
  router.service(
    BytesService,
    bytesService(() => {}),
  );
}

/** A call of Converse that has begun. */
interface BegunCall {
  /** The next answer, where nothing was asked. */
  next(): Promise<unknown>;
  /** Has one more message echoed, and ends the call. */
  end(): Promise<void>;
}

async function beginCall(transport: Transport): Promise<BegunCall> {
  const requests = new Outbox<{ value: Uint8Array<ArrayBuffer> }>();
  const answers = createClient(BytesService, transport).converse(requests)[Symbol.asyncIterator]();
  const echo = async (): Promise<void> => {
    requests.send({ value: new Uint8Array(100) });
    const { value } = await answers.next();
    assert.equal(value?.value.length, 100, "the message comes back");
  };
  await echo();
  return {
    next: () => answers.next(),
    end: async () => {
      await echo();
      requests.end();
      assert.equal((await answers.next()).done, true, "the call ends well");
    },
  };
}

function failsWith(code: Code): (error: unknown) => boolean {
  return (error) => error instanceof ConnectError && error.code === code;
}

function assertAllWell(line: { readonly [name: string]: unknown }): void {
  const outcomes = Object.entries(line.outcomes as Record<string, string>);
  assert.ok(outcomes.length > 5);
  assert.deepEqual(
    outcomes.filter(([, outcome]) => outcome !== ""),
    [],
  );
}

/** A Go program with a tunnel service, and a client of it. */
async function goServer(t: TestContext, args: readonly string[]) {
  const { process, line } = await ForeignProcess.start(
    program.path,
    ["serve", ...args],
    "listening",
  );
  const baseUrl = `http://127.0.0.1:${line.port}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  t.after(async () => {
    sessionManager.abort();
    await process[Symbol.asyncDispose]();
  });
  const client = createClient(TunnelService, createGrpcTransport({ baseUrl, sessionManager }));
  return { go: process, client };
}

/** A host of ours on HTTP/2, and a Go program that knows where it is. */
async function goClient(
  t: TestContext,
  host: ReturnType<typeof createTunnelHost>,
  args: readonly string[],
): Promise<ForeignProcess> {
  const server = createServer(
    connectNodeAdapter({ routes: (router) => router.service(TunnelService, host.service) }),
  );
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const { process } = await ForeignProcess.start(
    program.path,
    ["dial", String(port), ...args],
    "ready",
  );
  t.after(async () => {
    await process[Symbol.asyncDispose]();
    server.close();
    for (const session of sessions) {
      session.destroy();
    }
  });
  return process;
}
