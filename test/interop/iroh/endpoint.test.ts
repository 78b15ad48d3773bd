import assert from "node:assert/strict";
import { createHash, type Hash } from "node:crypto";
import { describe, test } from "node:test";
import type { Connection as IrohConnection } from "@number0/iroh";
import { formatSocketAddress } from "../../../src/base/socket-address.ts";
import type { Connection } from "../../../src/endpoint/connection.ts";
import { Endpoint, type EndpointOptions } from "../../../src/endpoint/endpoint.ts";
import { EndpointError, type EndpointErrorCode } from "../../../src/endpoint/endpoint-error.ts";
import { Router } from "../../../src/endpoint/router.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { EndpointTicket } from "../../../src/identity/endpoint-ticket.ts";
import { SecretKey } from "../../../src/identity/secret-key.ts";
import { formatTransportAddr } from "../../../src/identity/transport-addr.ts";
import { noIroh } from "./iroh.ts";
import { IrohPeer, numbers } from "./iroh-peer.ts";

const alpn = "connect-quic-interop/1";
const options = { skip: noIroh, timeout: 120_000 };

/** One of ours and one of iroh's, and a connection between them. */
interface Pair extends AsyncDisposable {
  readonly ours: Endpoint;
  readonly theirs: IrohPeer;
  /** Our end and their end. */
  readonly here: Connection;
  readonly there: IrohConnection;
}

type Dialer = "ours" | "iroh";

interface ConnectOptions extends Pick<EndpointOptions, "transport"> {
  /** Where both are bound. Default: IPv4. */
  readonly loopback?: string;
}

function bind(endpointOptions: EndpointOptions = {}): Promise<Endpoint> {
  return Endpoint.bind({ bind: "127.0.0.1:0", alpns: [alpn], ...endpointOptions });
}

async function connect(
  dialer: Dialer,
  { loopback = "127.0.0.1:0", transport }: ConnectOptions = {},
): Promise<Pair> {
  const ours = await bind({ bind: loopback, ...(transport && { transport }) });
  const theirs = await IrohPeer.bind(alpn, loopback);
  const [here, there] = await (dialer === "ours"
    ? Promise.all([ours.connect(theirs.ticket(), alpn), theirs.accept()])
    : Promise.all([ours.accept(), theirs.connect(ours.ticket(), alpn)]));
  assert.ok(here);
  return {
    ours,
    theirs,
    here,
    there,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([ours.close(), theirs[Symbol.asyncDispose]()]);
    },
  };
}

const text = (bytes: Iterable<number> | undefined): string =>
  new TextDecoder().decode(Uint8Array.from(bytes ?? []));

const failsWith =
  (code: EndpointErrorCode) =>
  (error: unknown): boolean =>
    error instanceof EndpointError && error.code === code;

for (const dialer of ["ours", "iroh"] as const) {
  const who = dialer === "ours" ? "we dial iroh" : "iroh dials us";

  test(`${who}: both ends know each other's id, protocol and role`, options, async () => {
    await using pair = await connect(dialer);
    const { ours, theirs, here, there } = pair;
    assert.equal(here.remoteId.toString(), theirs.id);
    assert.equal(there.remoteId().toString(), ours.id.toString());
    assert.equal(here.alpn, alpn);
    assert.equal(text(there.alpn()), alpn);
    assert.equal(here.role, dialer === "ours" ? "client" : "server");
    assert.equal(there.side(), dialer === "ours" ? "Server" : "Client");
    const ports = theirs.endpoint.boundSockets().map((address) => address.split(":").at(-1));
    assert.ok(ports.includes(formatTransportAddr(here.remoteAddress).split(":").at(-1)));
  });

  test(`${who}: streams both ways, opened by either end`, options, async () => {
    await using pair = await connect(dialer);
    const { here, there } = pair;
    for (let round = 0; round < 3; round++) {
      const { send, receive } = await here.openBi();
      await send.write(Buffer.from(`question ${round}`));
      void send.finish();
      const theirEnd = await there.acceptBi();
      const question = await theirEnd.recv.readToEnd(100);
      assert.equal(text(question), `question ${round}`);
      await theirEnd.send.writeAll([...question, ...numbers("!")]);
      await theirEnd.send.finish();
      assert.equal(text(await receive.readToEnd(100)), `question ${round}!`);
    }
    const opened = await there.openBi();
    await opened.send.writeAll(numbers("from iroh"));
    await opened.send.finish();
    const ourEnd = await here.acceptBi();
    assert.ok(ourEnd);
    assert.equal(text(await ourEnd.receive.readToEnd(100)), "from iroh");
    await ourEnd.send.write(Buffer.from("to iroh"));
    await ourEnd.send.finish();
    assert.equal(text(await opened.recv.readToEnd(100)), "to iroh");
  });

  test(`${who}: a hundred streams at once`, options, async () => {
    await using pair = await connect(dialer);
    const { here, there } = pair;
    const count = 100;
    const echo = async (): Promise<void> => {
      const { send, recv } = await there.acceptBi();
      await send.writeAll(await recv.readToEnd(1_000));
      await send.finish();
    };
    const call = async (index: number): Promise<void> => {
      const { send, receive } = await here.openBi();
      const sent = `${index} `.repeat(50);
      await send.write(Buffer.from(sent));
      void send.finish();
      assert.equal(text(await receive.readToEnd(1_000)), sent);
    };
    await Promise.all([
      ...Array.from({ length: count }, echo),
      ...Array.from({ length: count }, (_, index) => call(index)),
    ]);
  });

  test(`${who}: streams one way, from either end`, options, async () => {
    await using pair = await connect(dialer);
    const { here, there } = pair;
    const send = await here.openUni();
    await send.write(Buffer.from("one way"));
    const finished = send.finish();
    assert.equal(text(await (await there.acceptUni()).readToEnd(100)), "one way");
    await finished;
    const theirSend = await there.openUni();
    await theirSend.writeAll(numbers("the other way"));
    await theirSend.finish();
    assert.equal(text(await (await here.acceptUni())?.readToEnd(100)), "the other way");
  });

  test(`${who}: datagrams, from either end`, options, async () => {
    await using pair = await connect(dialer);
    const { here, there } = pair;
    assert.ok((here.maxDatagramSize ?? 0) >= 1_000);
    await here.sendDatagram(Buffer.from("quick"));
    assert.equal(text(await there.readDatagram()), "quick");
    there.sendDatagram(numbers("and back"));
    assert.equal(text(await here.readDatagram()), "and back");
    await assert.rejects(here.sendDatagram(new Uint8Array(100_000)), failsWith("too-large"));
  });

  test(`${who}: reset and stop carry their codes`, options, async () => {
    await using pair = await connect(dialer);
    const { here, there } = pair;
    const ours = await here.openBi();
    await ours.send.write(Buffer.from("x"));
    const theirs = await there.acceptBi();
    assert.equal(text(await theirs.recv.read(10)), "x");
    await theirs.recv.stop(77n);
    await theirs.send.reset(2n ** 40n);
    assert.equal(await ours.send.stopped(), 77n);
    await assert.rejects(
      ours.receive.read(),
      (error) =>
        failsWith("stream-reset")(error) && (error as EndpointError).streamCode === 2n ** 40n,
    );
    const second = await here.openBi();
    await second.send.write(Buffer.from("x"));
    const theirSecond = await there.acceptBi();
    second.send.reset(9n);
    second.receive.stop(10n);
    assert.equal(await theirSecond.recv.receivedReset(), 9);
    assert.equal(await theirSecond.send.stopped(), 10);
  });

  test(`${who}: our close tells iroh code and reason`, options, async () => {
    await using pair = await connect(dialer);
    const { here, there } = pair;
    const closed = there.closed();
    await here.close({ code: 7n, reason: "bye" });
    assert.equal(await closed, "closed by peer: bye (code 7)");
    assert.deepEqual(here.closeCause, {
      type: "application",
      origin: "local",
      code: 7n,
      reason: "bye",
    });
  });

  test(`${who}: iroh's close tells us code and reason`, options, async () => {
    await using pair = await connect(dialer);
    const { here, there } = pair;
    there.close(2n ** 50n, numbers("tschüss"));
    // What waits on the connection ends with it.
    assert.equal(await here.acceptBi(), undefined);
    assert.deepEqual(here.closeCause, {
      type: "application",
      origin: "peer",
      code: 2n ** 50n,
      reason: "tschüss",
    });
  });

  test(`${who}: 8 MB each way at the same time arrive as they were sent`, options, async () => {
    await using pair = await connect(dialer);
    const { here, there } = pair;
    const { send, receive } = await here.openBi();
    await send.write(bulkChunk(0));
    const theirs = await there.acceptBi();
    const weSend = async (): Promise<void> => {
      for (let index = 1; index < bulkChunks; index++) {
        await send.write(bulkChunk(index));
      }
      await send.finish();
    };
    const theySend = async (): Promise<void> => {
      for (let index = 0; index < bulkChunks; index++) {
        await theirs.send.writeAll([...bulkChunk(index)]);
      }
      await theirs.send.finish();
    };
    const weReceive = async (): Promise<Hash> => {
      const hash = createHash("sha256");
      for await (const bytes of receive) {
        hash.update(bytes);
      }
      return hash;
    };
    const theyReceive = async (): Promise<Hash> => {
      const hash = createHash("sha256");
      for (let left = bulkChunks * bulkChunkSize; left > 0; ) {
        const bytes = await theirs.recv.read(bulkChunkSize);
        hash.update(Uint8Array.from(bytes));
        left -= bytes.length;
      }
      return hash;
    };
    const [, , here256, there256] = await Promise.all([
      weSend(),
      theySend(),
      weReceive(),
      theyReceive(),
    ]);
    const expected = createHash("sha256");
    for (let index = 0; index < bulkChunks; index++) {
      expected.update(bulkChunk(index));
    }
    const digest = expected.digest("hex");
    assert.equal(here256.digest("hex"), digest);
    assert.equal(there256.digest("hex"), digest);
  });

  test(`${who}: both count the same packets on the path`, options, async () => {
    await using pair = await connect(dialer);
    const { here, there } = pair;
    const { send } = await here.openBi();
    await send.write(new Uint8Array(500_000));
    void send.finish();
    const { recv } = await there.acceptBi();
    assert.equal((await recv.readToEnd(1_000_000)).length, 500_000);
    // What one side has received by now, the other had sent.
    const received = there.stats();
    const sent = here.stats();
    assert.ok(received.udpRxBytes > 500_000, `${received.udpRxBytes}`);
    assert.ok(received.udpRxBytes <= sent.bytesSent, `${received.udpRxBytes} of ${sent.bytesSent}`);
    const [path, ...others] = there.paths().filter(({ isSelected }) => isSelected);
    assert.equal(others.length, 0);
    assert.ok(path?.isIp, "a direct path");
    assert.ok(path.remoteAddr.includes(`${pair.ours.boundAddresses[0]?.port}`), path.remoteAddr);
    // Whole milliseconds, rounded down: 0 on a machine that is fast.
    assert.ok(Number.isInteger(path.rttMs), `${path.rttMs} ms`);
    assert.ok(path.rttMs >= 0 && path.rttMs < 2_000, `${path.rttMs} ms`);
    assert.ok(path.stats.udpRxBytes > 500_000, `${path.stats.udpRxBytes}`);
    const ours = here.paths().find(({ active }) => active);
    assert.ok((ours?.rttMs ?? 0) > 0 && (ours?.rttMs ?? 0) < 2_000, `${ours?.rttMs} ms`);
    assert.equal(ours?.remote.type, "ip");
  });

  test(`${who}: over IPv6`, options, async (context) => {
    let pair: Pair;
    try {
      pair = await connect(dialer, { loopback: "[::1]:0" });
    } catch (error) {
      if (error instanceof EndpointError && error.code === "bind-failed") {
        context.skip("this machine has no IPv6");
        return;
      }
      throw error;
    }
    await using connected = pair;
    assert.equal(
      formatTransportAddr(connected.here.remoteAddress).replace(/:\d+$/, ""),
      "ip:[::1]",
    );
    const { send } = await connected.here.openBi();
    await send.write(Buffer.from("six"));
    assert.equal(text(await (await connected.there.acceptBi()).recv.read(10)), "six");
  });
}

// The package has no options for either: the shorter idle timeout of both counts, which is ours, and iroh says something
// after 5 s by itself.
describe("time goes by", { concurrency: true }, () => {
  for (const dialer of ["ours", "iroh"] as const) {
    const who = dialer === "ours" ? "we dial iroh" : "iroh dials us";

    test(`${who}: a connection on which nothing comes ends for both`, options, async () => {
      await using pair = await connect(dialer, {
        transport: { keepAliveIntervalMs: 0, idleTimeoutMs: 2_500 },
      });
      const [cause, theirs] = await Promise.all([pair.here.closed, pair.there.closed()]);
      // Who notices it later, and says something until then, learns it by a stateless reset.
      const outcomes = [cause.type, theirs];
      assert.ok(outcomes.includes("timeout") || outcomes.includes("timed out"), `${outcomes}`);
      assert.match(outcomes.join(), /^(timeout|reset),(timed out|reset by peer)$/);
    });

    for (const keeper of ["we show", "iroh shows"]) {
      test(
        `${who}: a connection without traffic lives as long as ${keeper} to be there`,
        options,
        async () => {
          await using pair = await connect(dialer, {
            transport:
              keeper === "we show"
                ? { keepAliveIntervalMs: 500, idleTimeoutMs: 4_000 }
                : { keepAliveIntervalMs: 0, idleTimeoutMs: 10_000 },
          });
          const { here, there } = pair;
          const before = here.stats();
          // Time is what this is about: more than the idle timeout.
          await pause(keeper === "we show" ? 9_000 : 12_000);
          assert.equal(here.closeCause, undefined);
          const { send } = await here.openBi();
          await send.write(Buffer.from("still there"));
          assert.equal(text(await (await there.acceptBi()).recv.read(100)), "still there");
          const after = here.stats();
          assert.ok(after.bytesReceived > before.bytesReceived, "something came meanwhile");
        },
      );
    }
  }
});

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const bulkChunkSize = 65_536;
const bulkChunks = 128;

/** A piece of the 8 MB, different each. */
function bulkChunk(index: number): Uint8Array {
  return new Uint8Array(bulkChunkSize).fill(index).map((byte, at) => byte ^ (at * 31));
}

test("we dial iroh under a wrong id: refused by us before anything is sent", options, async () => {
  await using ours = await bind();
  await using theirs = await IrohPeer.bind(alpn);
  const { addr } = EndpointTicket.parse(theirs.ticket());
  const impostor = new EndpointAddr(SecretKey.generate().publicKey, addr.addrs);
  await assert.rejects(ours.connect(impostor, alpn), failsWith("wrong-key"));
  // Nothing of that is in the way of the right one.
  const connection = await ours.connect(addr, alpn);
  assert.equal(connection.remoteId.toString(), theirs.id);
});

test(
  "iroh dials us under a wrong id: refused by iroh, and no connection for us",
  options,
  async () => {
    await using ours = await bind();
    await using theirs = await IrohPeer.bind(alpn);
    const { addrs } = EndpointTicket.parse(ours.ticket()).addr;
    const impostor = new EndpointAddr(SecretKey.generate().publicKey, addrs);
    await assert.rejects(
      theirs.connect(new EndpointTicket(impostor).toString(), alpn),
      /handshake/,
    );
    assert.equal(ours.connections.size, 0);
    const there = await theirs.connect(ours.ticket(), alpn);
    assert.equal(there.remoteId().toString(), ours.id.toString());
    assert.equal((await ours.accept())?.remoteId.toString(), theirs.id);
  },
);

test("a protocol that the other side does not speak is refused both ways", options, async () => {
  await using ours = await bind();
  await using theirs = await IrohPeer.bind(alpn);
  await assert.rejects(ours.connect(theirs.ticket(), "other/1"), failsWith("alpn-mismatch"));
  await assert.rejects(
    theirs.connect(ours.ticket(), "other/1"),
    /aborted by peer: the cryptographic handshake failed: error 120/,
  );
  const connection = await ours.connect(theirs.ticket(), ["other/1", alpn]);
  assert.equal(connection.alpn, alpn);
});

test("an iroh peer that is not authorized is told so", options, async () => {
  await using theirs = await IrohPeer.bind(alpn);
  const asked: string[] = [];
  await using ours = await bind({
    authorize: ({ id }) => {
      asked.push(id.toString());
      return false;
    },
  });
  const there = await theirs.connect(ours.ticket(), alpn);
  assert.equal(await there.closed(), "closed by peer: not authorized (code 1027)");
  assert.deepEqual(asked, [theirs.id]);
});

test("a router serves iroh peers by protocol", options, async () => {
  await using theirs = await IrohPeer.bind(alpn);
  await using ours = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = new Router(ours);
  router.accept(alpn, {
    accept: async (connection) => {
      const stream = await connection.acceptBi();
      const asked = await stream?.receive.readToEnd(100);
      await stream?.send.write(Buffer.from(`${connection.remoteId.short} said ${text(asked)}`));
      await stream?.send.finish();
    },
  });
  const there = await theirs.connect(ours.ticket(), alpn);
  const { send, recv } = await there.openBi();
  await send.writeAll(numbers("hello"));
  await send.finish();
  assert.equal(text(await recv.readToEnd(100)), `${theirs.id.slice(0, 10)} said hello`);
});

test("tickets of both sides name the addresses that answer", options, async () => {
  await using ours = await bind();
  await using theirs = await IrohPeer.bind(alpn);
  const printed = EndpointTicket.parse(theirs.ticket());
  assert.equal(printed.toString(), theirs.ticket());
  assert.equal(printed.addr.id.toString(), theirs.id);
  assert.deepEqual(
    EndpointTicket.parse(ours.ticket()).addr.ipAddrs.map(formatSocketAddress),
    ours.boundAddresses.map(formatSocketAddress),
  );
});
