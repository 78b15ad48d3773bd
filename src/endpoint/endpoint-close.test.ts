import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { Peers } from "../../test/support/peers.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { nodePlatform } from "../base/node-platform.ts";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { Engine } from "../engine/engine.ts";
import { NoqEndpoint } from "../engine/noq/noq-endpoint.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import type { BindSocket } from "../net/datagram-socket.ts";
import { bindUdp } from "../net/udp-socket.ts";
import type { Connection } from "./connection.ts";
import { Endpoint, type EndpointOptions } from "./endpoint.ts";
import { closeCode, EndpointError } from "./endpoint-error.ts";
import type { ReceiveStream } from "./receive-stream.ts";
import { Router } from "./router.ts";

const alpn = "test/1";
/** Longer than any test: whoever waits for it hangs. */
const foreverMs = 3_600_000;

/** `closed` alone keeps no process alive, and some tests wait for nothing else. */
async function bind(options: EndpointOptions = {}): Promise<Endpoint> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0", ...options });
  endpoint.hold();
  return endpoint;
}

async function join(
  client: Endpoint,
  server: Endpoint,
): Promise<{ dialed: Connection; accepted: Connection }> {
  const [dialed, accepted] = await Promise.all([
    client.connect(server.ticket(), alpn),
    server.accept(),
  ]);
  assert.ok(accepted);
  return { dialed, accepted };
}

/** An engine that can be broken. */
class FragileEngine implements Engine {
  readonly name = "fragile";
  #endpoint: NoqEndpoint | undefined;

  createEndpoint(options: ConstructorParameters<typeof NoqEndpoint>[0]): NoqEndpoint {
    this.#endpoint = new NoqEndpoint(options);
    return this.#endpoint;
  }

  /** From here to the next turn of the event loop the endpoint does not know. */
  break(): void {
    assert.throws(() => this.#endpoint?.core.call.panic_for_test(), { code: "engine-failed" });
  }
}

interface FragilePair {
  readonly engine: FragileEngine;
  readonly client: Endpoint;
  readonly server: Endpoint;
  readonly dialed: Connection;
  readonly reported: unknown[];
}

async function fragilePair(): Promise<FragilePair> {
  const engine = new FragileEngine();
  const reported: unknown[] = [];
  const client = await bind({ engine, onError: (error) => reported.push(error) });
  const server = await bind({ alpns: [alpn] });
  const { dialed } = await join(client, server);
  return { engine, client, server, dialed, reported };
}

/** Holds the port of an address that never answers. */
async function silence(): Promise<{ address: SocketAddress; close(): void }> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return {
    address: { family: 4, host: "127.0.0.1", port: socket.address().port },
    close: () => socket.close(),
  };
}

test("F15: an endpoint whose engine breaks says so once, and closes with all that it has", async () => {
  const { engine, client, server, dialed, reported } = await fragilePair();
  const [address] = client.boundAddresses;
  const { receive } = await dialed.openBi();
  const reading = receive.read();
  const nobody = await silence();
  const dialing = client.connect(
    EndpointAddr.from({
      id: server.id,
      addrs: [{ type: "ip", address: nobody.address }],
    }),
    alpn,
    { timeoutMs: foreverMs },
  );
  engine.break();
  await assert.rejects(reading, { code: "engine-failed" });
  await assert.rejects(dialing, { code: "engine-failed" });
  assert.equal((await dialed.closed).type, "engine-failed");
  await client.closed;
  await client.close();
  assert.deepEqual(
    reported.map((error) => error instanceof Error && [error.name, "code" in error && error.code]),
    [["EndpointError", "engine-failed"]],
  );
  await assert.rejects(client.connect(server.ticket(), alpn), { code: "engine-failed" });
  const again = await bind({ bind: formatSocketAddress(address ?? assert.fail()) });
  await again.close();
  await server.close({ timeoutMs: 0 });
  nobody.close();
});

test("F15: an endpoint can be closed between the breaking of its engine and the news of it", async () => {
  const { engine, client, server, dialed, reported } = await fragilePair();
  engine.break();
  await client.close();
  await dialed.closed;
  assert.equal(reported.length, 1);
  await server.close({ timeoutMs: 0 });
});

test("F15: an endpoint whose engine breaks while it closes does not wait for what cannot come any more", async () => {
  const { engine, client, server, dialed } = await fragilePair();
  const send = await dialed.openUni();
  await send.write(new Uint8Array(100_000));
  send.finish().catch(() => {});
  const closed = client.close({ timeoutMs: foreverMs });
  engine.break();
  await closed;
  await server.close({ timeoutMs: 0 });
});

test("F15: a router can be closed on an endpoint whose engine has broken", async () => {
  for (const moment of ["before the news", "after the news"]) {
    const { engine, client, server } = await fragilePair();
    const router = new Router(client).accept("other/1", { accept: () => {} });
    engine.break();
    if (moment === "after the news") {
      await client.closed;
    }
    await router.close();
    await client.closed;
    await server.close({ timeoutMs: 0 });
  }
});

/** A peer that answers calls when told so, and one that has made a call. */
async function called(): Promise<{
  readonly peers: Peers;
  readonly call: Promise<{ readonly message: string }>;
  answer(): void;
}> {
  const begun = deferred<void>();
  const gate = deferred<void>();
  const peers = await Peers.start({
    implementation: {
      echo: async ({ message }) => {
        begun.resolve();
        await gate.promise;
        return { message };
      },
    },
  });
  const call = peers.echo.echo({ message: "running" });
  call.catch(() => {});
  await begun.promise;
  return { peers, call, answer: gate.resolve };
}

test("F6: an endpoint that closes lets the calls that it serves end, and takes no new ones", async () => {
  const { peers, call, answer } = await called();
  await using _ = peers;
  const closed = peers.server.close({ timeoutMs: foreverMs });
  const late = await peers.echo.echo({ message: "late" }, { timeoutMs: 2_000 }).then(
    () => assert.fail("the call was taken"),
    (error: unknown) => ConnectError.from(error),
  );
  assert.equal(late.code, Code.Unavailable);
  answer();
  assert.equal((await call).message, "running");
  await closed;
});

test("F6: an endpoint that closes lets the calls that it has made end", async () => {
  const { peers, call, answer } = await called();
  await using _ = peers;
  const closed = peers.client.close({ timeoutMs: foreverMs });
  setImmediate(answer);
  assert.equal((await call).message, "running");
  await closed;
});

test("F6: an endpoint that closes gives calls the time that it was told, and no more", async () => {
  const { peers, call } = await called();
  await using _ = peers;
  await peers.server.close({ timeoutMs: 50 });
  await assert.rejects(call, { code: Code.Unavailable });
});

test("F6: closing an endpoint again can make the time shorter", async () => {
  const { peers, call } = await called();
  await using _ = peers;
  const closed = peers.server.close({ timeoutMs: foreverMs });
  await peers.server.close({ timeoutMs: 0 });
  await closed;
  await assert.rejects(call, { code: Code.Unavailable });
});

/** What comes of a stream, and how it ends. */
async function readToTheEnd(stream: ReceiveStream): Promise<{ length: number; end: unknown }> {
  let length = 0;
  try {
    for (;;) {
      const bytes = await stream.read();
      if (bytes === undefined) {
        return { length, end: undefined };
      }
      length += bytes.length;
    }
  } catch (end) {
    return { length, end };
  }
}

test("closing a connection lets what was written arrive, on streams that are still open too", async () => {
  await using server = await bind({ alpns: [alpn] });
  await using client = await bind();
  const { dialed, accepted } = await join(client, server);
  const lengths = [1, 300_000, 400_000];
  const reading: Promise<{ length: number; end: unknown }>[] = [];
  for (const length of lengths) {
    const send = await dialed.openUni();
    await send.write(new Uint8Array(length));
    reading.push(readToTheEnd((await accepted.acceptUni()) ?? assert.fail("no stream")));
  }
  await dialed.close({ timeoutMs: foreverMs });
  const read = await Promise.all(reading);
  assert.deepEqual(
    read.map(({ length }) => length),
    lengths,
  );
  for (const { end } of read) {
    assert(end instanceof EndpointError && end.code === "connection-lost", String(end));
  }
});

test("closing a connection does not wait for streams to which nothing was written", async () => {
  await using server = await bind({ alpns: [alpn] });
  await using client = await bind();
  const { dialed, accepted } = await join(client, server);
  await dialed.openUni();
  await dialed.openBi();
  await dialed.close({ timeoutMs: foreverMs });
  assert.equal((await accepted.closed).type, "application");
});

test("closing a connection that was handed over shuts its protocol down first", async () => {
  await using server = await bind({ alpns: [alpn] });
  await using client = await bind();
  const { dialed, accepted } = await join(client, server);
  const asked: number[] = [];
  const done = deferred<void>();
  const { connection, start } = dialed.handOver(async ({ timeoutMs }) => {
    asked.push(timeoutMs);
    await done.promise;
  });
  connection.handler = {
    connected: () => {},
    streamOpened: () => {},
    streamsAvailable: () => {},
    datagram: () => {},
    datagramsWritable: () => {},
    pathsChanged: () => {},
    closed: () => {},
  };
  start();
  const closing = dialed.close({ timeoutMs: foreverMs, code: 5n });
  assert.equal(dialed.closeCause, undefined);
  done.resolve();
  await closing;
  assert.deepEqual(asked, [foreverMs]);
  const cause = await accepted.closed;
  assert.equal(cause.type === "application" && cause.code, 5n);
});

test("dials that are under way end with the endpoint, at once", async () => {
  const nobody = await silence();
  const client = await bind();
  const addr = EndpointAddr.from({
    id: SecretKey.generate().publicKey,
    addrs: [{ type: "ip", address: nobody.address }],
  });
  const dial = client.connect(addr, alpn, { timeoutMs: foreverMs });
  const closed = client.close();
  await assert.rejects(dial, {
    code: "endpoint-closed",
    message: new RegExp(`cannot connect to ${addr.id.short} at .*: closed on this side`),
  });
  await closed;
  assert.equal(client.connections.size, 0);
  nobody.close();
});

/** UDP on which the sender's datagrams wait from the second on. */
function stalled(): { bindSocket: BindSocket; release: Deferred<void> } {
  const release = deferred<void>();
  return {
    release,
    bindSocket: async (addresses, handler) => {
      const socket = await bindUdp(addresses, handler);
      let sent = 0;
      return {
        localAddresses: socket.localAddresses,
        setRef: (ref) => socket.setRef(ref),
        close: () => socket.close(),
        send: (to, bytes, segmentSize) => {
          sent += 1;
          if (sent === 1) {
            socket.send(to, bytes, segmentSize);
          } else {
            const copy = bytes.slice();
            void release.promise.then(() => socket.send(to, copy, segmentSize));
          }
        },
      };
    },
  };
}

test("a peer whose handshake ends while the endpoint closes is sent away, and newcomers are refused", async () => {
  const server = await bind({ alpns: [alpn] });
  const client = await bind();
  const { accepted } = await join(client, server);
  // Something to wait for: nobody reads this, so that it is never acknowledged as a whole.
  const send = await accepted.openUni();
  void send.write(new Uint8Array(5_000_000)).catch(() => {});
  send.finish().catch(() => {});

  const { bindSocket, release } = stalled();
  const slow = await bind({ network: { bindSocket } });
  const slowDial = slow.connect(server.ticket(), alpn);
  while (server.stats().handshakes === 0) {
    await new Promise(setImmediate);
  }
  const closed = server.close({ timeoutMs: foreverMs });
  await assert.rejects(client.connect(server.ticket(), alpn), { code: "refused" });
  release.resolve();
  const late = await slowDial;
  assert.deepEqual(await late.closed, {
    type: "application",
    origin: "peer",
    code: closeCode.none,
    reason: "closing",
  });
  assert.equal(server.connections.size, 1);
  void server.close({ timeoutMs: 0 });
  await closed;
  await accepted.closed;
  assert.equal(server.connections.size, 0);
  await Promise.all([slow.close(), client.close({ timeoutMs: 0 })]);
});

test("a router that closes takes its time once, for the handlers and the connections together", async () => {
  const timeoutMs = 54;
  let waits = 0;
  const platform = {
    ...nodePlatform,
    setTimer: (delayMs: number, callback: () => void) => {
      waits += delayMs === timeoutMs ? 1 : 0;
      return nodePlatform.setTimer(delayMs, callback);
    },
  };
  await using server = await bind({ platform });
  const taken = deferred<Connection>();
  const router = new Router(server).accept(alpn, {
    accept: taken.resolve,
    shutdown: () => new Promise(() => {}),
  });
  await using client = await bind();
  await client.connect(server.ticket(), alpn);
  const send = await (await taken.promise).openUni();
  void send.write(new Uint8Array(5_000_000)).catch(() => {});
  send.finish().catch(() => {});
  await router.close({ timeoutMs });
  assert.equal(waits, 1);
});
