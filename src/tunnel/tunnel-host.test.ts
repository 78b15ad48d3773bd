import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createClient,
  createContextKey,
  createRouterTransport,
  type HandlerContext,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { deferred } from "../base/deferred.ts";
import { TunnelService } from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { serveReverseTunnel } from "./reverse-tunnel-server.ts";
import {
  createTunnelHost,
  type ReverseTunnel,
  type TunnelHost,
  type TunnelHostOptions,
} from "./tunnel-host.ts";
import { tunnelKey } from "./tunnel-key.ts";
import { createTunnelPool } from "./tunnel-pool.ts";
import { createTunnelTransport } from "./tunnel-transport.ts";

stayAlive();

/** Answers with its name. Collect waits until its requests end. */
function echo(name: string, onCall: (context: HandlerContext) => void = () => {}) {
  return (router: ConnectRouter): void => {
    router.service(EchoService, {
      echo(_request, context) {
        onCall(context);
        return { message: name };
      },
      async *repeat({ message, count }) {
        for (let number = 1; number <= count; number++) {
          yield { message, number };
        }
      },
      async collect(requests, context) {
        onCall(context);
        const messages: string[] = [];
        for await (const { message } of requests) {
          messages.push(message);
        }
        return { messages };
      },
      async *converse(requests) {
        for await (const { message } of requests) {
          yield { message };
        }
      },
    });
  };
}

/** A client of the host's service, without a network. */
function clientOf(host: TunnelHost, interceptors: Interceptor[] = []) {
  const outer = createRouterTransport((router) => router.service(TunnelService, host.service), {
    router: { interceptors },
  });
  return createClient(TunnelService, outer);
}

function failsWith(code: Code): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ConnectError);
    assert.equal(Code[error.code], Code[code]);
    return true;
  };
}

async function who(transport: Transport): Promise<string> {
  return (await createClient(EchoService, transport).echo({})).message;
}

/** A call that goes on until it is told to end. */
function longCall(transport: Transport): { end(): void; answer: Promise<string[]> } {
  const end = deferred<void>();
  const requests = (async function* () {
    yield { message: "first" };
    await end.promise;
  })();
  const answer = createClient(EchoService, transport).collect(requests);
  return { end: () => end.resolve(), answer: answer.then(({ messages }) => messages) };
}

async function* single(message: string) {
  yield { message };
}

async function everyKind(transport: Transport): Promise<void> {
  const client = createClient(EchoService, transport);
  await client.echo({});
  const numbers: number[] = [];
  for await (const { number } of client.repeat({ message: "x".repeat(10_000), count: 100 })) {
    numbers.push(number);
  }
  assert.equal(numbers.length, 100);
  const text = "y".repeat(200_000);
  assert.deepEqual((await client.collect(single(text))).messages, [text]);
  for await (const { message } of client.converse(single(text))) {
    assert.equal(message, text);
  }
}

for (const flowControl of [true, false]) {
  const title = flowControl ? "" : ", without flow control";
  test(`calls of every kind go through a forward tunnel${title}`, async () => {
    const host = createTunnelHost({ routes: echo("host") });
    await using transport = createTunnelTransport(clientOf(host), { flowControl });
    await everyKind(transport);
    assert.equal(transport.closeCause, undefined);
  });

  test(`calls of every kind go through a reverse tunnel${title}`, async () => {
    const host = createTunnelHost({ flowControl });
    await using server = serveReverseTunnel(clientOf(host), echo("device"));
    await server.opened;
    await host.transport().waitForReady();
    await everyKind(host.transport());
  });
}

test("a tunnel goes through a tunnel", async () => {
  const inner = createTunnelHost({ routes: echo("inner") });
  const outer = createTunnelHost({
    routes: (router) => router.service(TunnelService, inner.service),
  });
  await using first = createTunnelTransport(clientOf(outer));
  await using second = createTunnelTransport(createClient(TunnelService, first));
  await everyKind(second);
});

describe("a handler knows the tunnel that its call came through", () => {
  const note = createContextKey("nothing");
  const leaveNote: Interceptor = (next) => (request) => {
    request.contextValues.set(note, "who opened it");
    return next(request);
  };

  test("forward: headers and context values of the call that opened it", async () => {
    const seen: HandlerContext[] = [];
    const host = createTunnelHost({ routes: echo("host", (context) => seen.push(context)) });
    await using transport = createTunnelTransport(clientOf(host, [leaveNote]), {
      headers: { "x-id": "7" },
    });
    await who(transport);
    await who(transport);
    const tunnel = seen[0]?.values.get(tunnelKey);
    assert.equal(tunnel?.direction, "forward");
    assert.equal(tunnel?.header.get("x-id"), "7");
    assert.equal(seen[0]?.values.get(note), "who opened it");
    seen[0]?.values.set(note, "of this call");
    assert.equal(seen[1]?.values.get(note), "who opened it");
    assert.equal(seen[0]?.values.delete(note).get(note), "nothing");
  });

  test("reverse: headers of the request and of the response", async () => {
    const seen: HandlerContext[] = [];
    const host = createTunnelHost();
    const signHost: Interceptor = (next) => async (request) => {
      const response = await next(request);
      response.header.set("x-host", "hub");
      return response;
    };
    await using server = serveReverseTunnel(
      clientOf(host, [signHost]),
      echo("device", (context) => seen.push(context)),
      { headers: { "x-id": "7" } },
    );
    await server.opened;
    await host.transport().waitForReady();
    await who(host.transport());
    const tunnel = seen[0]?.values.get(tunnelKey);
    assert.equal(tunnel?.direction, "reverse");
    assert.equal(tunnel?.header.get("x-id"), "7");
    assert.equal(tunnel?.responseHeader.get("x-host"), "hub");
  });
});

describe("a tunnel that is not wanted is refused with a code that its caller sees", () => {
  const cases: [title: string, options: TunnelHostOptions, forward: boolean, code: Code][] = [
    ["forward tunnels, without routes", {}, true, Code.Unimplemented],
    ["reverse tunnels, by option", { reverseTunnels: false }, false, Code.Unimplemented],
    [
      "a reverse tunnel without a key",
      {
        affinityKey: () => {
          throw new ConnectError("no id", Code.PermissionDenied);
        },
      },
      false,
      Code.PermissionDenied,
    ],
  ];
  for (const [title, options, forward, code] of cases) {
    test(title, async () => {
      const client = clientOf(createTunnelHost(options));
      const transport = createTunnelTransport(client);
      const server = serveReverseTunnel(client, echo("device"));
      const tunnel = forward ? transport : server;
      await assert.rejects(tunnel.opened, failsWith(code));
      await tunnel.closed;
      assert.equal(tunnel.closeCause?.code, code);
      if (forward) {
        await assert.rejects(who(transport), failsWith(code));
      }
    });
  }

  test("any tunnel, once the host is closed", async () => {
    const host = createTunnelHost({ routes: echo("host") });
    await host.close();
    const client = clientOf(host);
    await assert.rejects(createTunnelTransport(client).opened, failsWith(Code.Unavailable));
    await assert.rejects(
      serveReverseTunnel(client, echo("device")).opened,
      failsWith(Code.Unavailable),
    );
  });

  test("a reverse tunnel that a hook throws at", async () => {
    const host = createTunnelHost({
      onReverseTunnelOpen: () => {
        throw new ConnectError("not you", Code.PermissionDenied);
      },
    });
    const server = serveReverseTunnel(clientOf(host), echo("device"));
    await server.closed;
    assert.equal(server.closeCause?.code, Code.PermissionDenied);
    assert.deepEqual(host.reverseTunnels, []);
  });
});

describe("reverse tunnels", () => {
  async function devices(host: TunnelHost, names: readonly string[]) {
    const servers = names.map((name) =>
      serveReverseTunnel(clientOf(host), echo(name), { headers: { "x-room": name.slice(0, 1) } }),
    );
    for (const server of servers) {
      await server.opened;
    }
    while (host.reverseTunnels.length < names.length) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    return servers;
  }

  test("take turns, all of them and those of a key, and closed ones have none", async () => {
    const events: string[] = [];
    const nameOf = ({ header }: ReverseTunnel): string => header.get("x-room") ?? "";
    const host = createTunnelHost({
      affinityKey: nameOf,
      onReverseTunnelOpen: (tunnel) => events.push(`open ${nameOf(tunnel)}`),
      onReverseTunnelClose: (tunnel) => {
        events.push(`close ${nameOf(tunnel)} ${Code[tunnel.closeCause?.code ?? 0]}`);
        throw new Error("dropped");
      },
    });
    const [first] = await devices(host, ["a1", "a2", "b1"]);
    assert.deepEqual(events, ["open a", "open a", "open b"]);
    assert.deepEqual(host.reverseTunnels.map(({ key }) => key).sort(), ["a", "a", "b"]);
    const asked = async (transport: Transport, count: number): Promise<string> => {
      const answers: string[] = [];
      for (let i = 0; i < count; i++) {
        answers.push(await who(transport));
      }
      return answers.sort().join(" ");
    };
    assert.equal(await asked(host.transport(), 6), "a1 a1 a2 a2 b1 b1");
    const room = host.transportTo("a");
    assert.equal(await asked(room, 4), "a1 a1 a2 a2");
    await first?.close();
    await host.reverseTunnels.find(({ key }) => key === "b")?.close();
    assert.equal(await asked(host.transport(), 4), "a2 a2 a2 a2");
    assert.equal(await asked(room, 2), "a2 a2");
    assert.deepEqual(events.slice(3), ["close a Unavailable", "close b Canceled"]);
    await host.close();
    assert.equal(room.ready, false);
  });

  test("one of them is a transport, with options where they are wanted", async () => {
    const host = createTunnelHost();
    await devices(host, ["a"]);
    const [tunnel] = host.reverseTunnels;
    assert.ok(tunnel);
    assert.equal(await who(tunnel), "a");
    const limited = tunnel.withOptions({ readMaxBytes: 0 });
    await assert.rejects(who(limited), failsWith(Code.ResourceExhausted));
    await host.close();
  });

  test("calls fail while there is none, and one can wait for it", async () => {
    const host = createTunnelHost({ affinityKey: ({ header }) => header.get("x-room") });
    const room = host.transportTo("a");
    assert.equal(room.ready, false);
    await assert.rejects(who(room), failsWith(Code.Unavailable));
    const givenUp = new AbortController();
    const waiting = room.waitForReady({ signal: givenUp.signal });
    givenUp.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    await assert.rejects(room.waitForReady({ signal: givenUp.signal }), /enough/);
    const ready = room.waitForReady();
    await devices(host, ["b", "a"]);
    await ready;
    assert.equal(await who(room), "a");
    await host.close();
  });
});

test("tunnels of a pool take turns from when they are open until they are closed", async () => {
  const tunnels = ["a", "b"].map((name) =>
    createTunnelTransport(clientOf(createTunnelHost({ routes: echo(name) }))),
  );
  const refused = createTunnelTransport(clientOf(createTunnelHost()));
  const pool = createTunnelPool([...tunnels, refused]);
  await assert.rejects(who(pool), failsWith(Code.Unavailable));
  await pool.waitForReady();
  await Promise.all(tunnels.map(({ opened }) => opened));
  const answers = [await who(pool), await who(pool), await who(pool), await who(pool)];
  assert.equal(answers.sort().join(" "), "a a b b");
  await tunnels[0]?.close();
  assert.equal(await who(pool), "b");
  assert.deepEqual(pool.tunnels, [tunnels[1]]);
  await tunnels[1]?.close();
  assert.equal(pool.ready, false);
});

describe("a tunnel that is closed", () => {
  test("lets calls that run come to their end, when there is time", async () => {
    const begun = deferred<void>();
    const host = createTunnelHost({ routes: echo("host", () => begun.resolve()) });
    const transport = createTunnelTransport(clientOf(host));
    const { end, answer } = longCall(transport);
    await begun.promise;
    const closing = transport.close({ graceMs: 60_000 });
    await assert.rejects(who(transport), failsWith(Code.Canceled));
    end();
    assert.deepEqual(await answer, ["first"]);
    await closing;
    await transport.closed;
  });

  test("ends calls that run at once, when there is none", async () => {
    const begun = deferred<HandlerContext>();
    const host = createTunnelHost({ routes: echo("host", (context) => begun.resolve(context)) });
    const transport = createTunnelTransport(clientOf(host));
    const { answer } = longCall(transport);
    const failing = assert.rejects(answer, failsWith(Code.Canceled));
    const { signal } = await begun.promise;
    const patient = transport.close({ graceMs: 60_000 });
    await transport.close();
    await patient;
    await failing;
    while (!signal.aborted) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(failsWith(Code.Unavailable)(signal.reason));
  });

  test("by its host, lets calls that run come to their end, and refuses others", async () => {
    const begun = deferred<void>();
    const host = createTunnelHost({ routes: echo("host", () => begun.resolve()) });
    const transport = createTunnelTransport(clientOf(host));
    const { end, answer } = longCall(transport);
    await begun.promise;
    const closing = host.close({ graceMs: 60_000 });
    await assert.rejects(who(transport), failsWith(Code.Unavailable));
    end();
    assert.deepEqual(await answer, ["first"]);
    await closing;
    await transport.closed;
    assert.equal(transport.closeCause?.code, Code.Unavailable);
  });

  test("by the device that serves it, lets calls that run come to their end", async () => {
    const begun = deferred<void>();
    const host = createTunnelHost();
    const server = serveReverseTunnel(
      clientOf(host),
      echo("device", () => begun.resolve()),
    );
    await host.transport().waitForReady();
    const { end, answer } = longCall(host.transport());
    await begun.promise;
    const closing = server.close({ graceMs: 60_000 });
    await assert.rejects(who(host.transport()), failsWith(Code.Unavailable));
    end();
    assert.deepEqual(await answer, ["first"]);
    await closing;
    while (host.reverseTunnels.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  });

  test("by a signal, ends its calls with the signal's reason", async () => {
    const host = createTunnelHost({ routes: echo("host") });
    const controller = new AbortController();
    const transport = createTunnelTransport(clientOf(host), { signal: controller.signal });
    await transport.opened;
    const { answer } = longCall(transport);
    const failing = assert.rejects(answer, /enough/);
    controller.abort(new ConnectError("enough", Code.Aborted));
    await failing;
    await transport.closed;
    const never = createTunnelTransport(clientOf(host), { signal: controller.signal });
    await assert.rejects(never.opened, failsWith(Code.Aborted));
  });
});

test("a tunnel whose other side does not answer is given up", async () => {
  const outer = createRouterTransport((router) =>
    router.service(TunnelService, {
      async *openTunnel(_requests, { signal }) {
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    }),
  );
  const transport = createTunnelTransport(createClient(TunnelService, outer), {
    openTimeoutMs: 20,
  });
  await assert.rejects(who(transport), failsWith(Code.DeadlineExceeded));
  await assert.rejects(transport.opened, failsWith(Code.DeadlineExceeded));
  await transport.closed;
});

test("messages that do not become complete are held within a budget, and all others come to their end", async () => {
  const host = createTunnelHost({ routes: echo("host"), limits: { receiveBudgetBytes: 100_000 } });
  const streamCount = 10;
  let granted = 0;
  const end = deferred<void>();
  const responses = clientOf(host).openTunnel(
    (async function* () {
      for (let id = 1n; id <= streamCount; id++) {
        const methodName = "/echo.v1.EchoService/Collect";
        const value = { methodName, protocolRevision: 1, initialWindowSize: 65_536 };
        yield { streamId: id, frame: { case: "newStream" as const, value } };
        const first = { size: 10_000_000, data: new Uint8Array(16_384) };
        yield { streamId: id, frame: { case: "requestMessage" as const, value: first } };
        for (let i = 1; i < 4; i++) {
          const data = new Uint8Array(16_384);
          yield { streamId: id, frame: { case: "moreRequestData" as const, value: data } };
        }
      }
      await end.promise;
    })(),
    { headers: { "grpctunnel-negotiate": "on" } },
  );
  const reading = (async () => {
    for await (const { frame } of responses) {
      granted += frame.case === "windowUpdate" ? frame.value : 0;
    }
  })();
  for (let turn = 0; turn < 100; turn++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(granted >= 65_536, "somebody goes on");
  assert.ok(granted < (streamCount / 2) * 65_536, `${granted} bytes are taken`);
  end.resolve();
  await reading;

  await using transport = createTunnelTransport(clientOf(host));
  const client = createClient(EchoService, transport);
  const texts = Array.from({ length: 8 }, (_, i) => String(i).repeat(300_000));
  const answers = await Promise.all(texts.map((text) => client.collect(single(text))));
  assert.deepEqual(
    answers.map(({ messages }) => messages[0]?.length),
    texts.map((text) => text.length),
  );
});

test("limits that cannot be are refused where they are given", () => {
  assert.throws(() => createTunnelHost({ limits: { maxStreams: 0 } }), RangeError);
  const client = clientOf(createTunnelHost());
  assert.throws(() => createTunnelTransport(client, { limits: { windowBytes: 0.5 } }), TypeError);
  assert.throws(() => serveReverseTunnel(client, echo("device"), { openTimeoutMs: 0 }), RangeError);
});

test("10,000 messages pass beside calls that nobody reads", async () => {
  const host = createTunnelHost({ routes: echo("host") });
  await using transport = createTunnelTransport(clientOf(host));
  const client = createClient(EchoService, transport);
  const controller = new AbortController();
  const { signal } = controller;
  const stalled = Array.from({ length: 3 }, () =>
    client
      .repeat({ message: "z".repeat(10_000), count: 1_000_000 }, { signal })
      [Symbol.asyncIterator](),
  );
  await Promise.all(stalled.map((responses) => responses.next()));
  let count = 0;
  for await (const { number } of client.repeat({ message: "m", count: 10_000 })) {
    count += 1;
    assert.equal(number, count);
  }
  assert.equal(count, 10_000);
  controller.abort();
});
