import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EnginePair } from "../../../test/support/engine-pair.ts";
import { ignore } from "../../../test/support/recorded-connection.ts";
import { EngineError } from "../engine.ts";

const largeCode = (1n << 62n) - 1n;

describe("noq connections, at their end", () => {
  it("tell both sides of the code and the reason, whoever closes", () => {
    for (const closer of ["client", "server"] as const) {
      const pair = new EnginePair();
      const { local, remote } = pair.connect();
      const [one, other] = closer === "client" ? [local, remote] : [remote, local];
      one.connection.close(largeCode, "that was all ✓");
      assert.equal(one.cause, undefined, "closed is never called inside close");
      pair.run(() => one.cause !== undefined && other.cause !== undefined);
      const said = { type: "application", code: largeCode, reason: "that was all ✓" };
      assert.deepEqual(one.cause, { ...said, origin: "local" });
      assert.deepEqual(other.cause, { ...said, origin: "peer" });
    }
  });

  it("keep the first of two closes", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    local.connection.close(1n, "first");
    local.connection.close(2n, "second");
    pair.run(() => remote.cause !== undefined);
    assert(local.cause?.type === "application" && local.cause.reason === "first");
    assert(remote.cause?.type === "application" && remote.cause.reason === "first");
  });

  it("each keep their own cause when both close at once", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    local.connection.close(1n, "client");
    remote.connection.close(2n, "server");
    pair.runFor(1_000);
    assert.deepEqual(local.cause, application("local", 1n, "client"));
    assert.deepEqual(remote.cause, application("local", 2n, "server"));
  });

  it("tell each stream that is open before they tell the connection's handler", () => {
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local, remote } = pair.connect();
    const stream = local.open();
    const order: string[] = [];
    stream.stream.write(Buffer.from("x"));
    pair.run(() => remote.streams.length === 1);
    note(order, stream, "connectionClosed");
    note(order, local, "closed");
    remote.connection.close(5n, "");
    pair.run(() => local.cause !== undefined);
    assert.deepEqual(order, ["connectionClosed", "closed"]);
    assert.deepEqual(stream.closedWith, local.cause);
    assert.deepEqual(remote.streams[0]?.closedWith, application("local", 5n, ""));
  });

  it("free everything after a few round trips", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    assert.equal(pair.client.endpoint.stats().connections, 1);
    local.connection.close(0n, "");
    pair.runFor(5_000);
    assert.equal(pair.client.endpoint.stats().connections, 0);
    assert.equal(pair.server.endpoint.stats().connections, 0);
  });

  it("refuse what makes no sense any more, and ignore the rest", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    const { stream } = local.open();
    stream.write(Buffer.from("x"));
    const address = local.connection.remoteAddress;
    local.connection.close(0n, "");
    const isClosed = (error: unknown): boolean =>
      error instanceof EngineError && error.code === "closed";
    for (const time of ["closing", "closed", "gone"]) {
      const { connection } = local;
      assert.throws(() => connection.openStream("bidirectional"), isClosed, time);
      assert.throws(() => connection.sendDatagram(new Uint8Array(1)), isClosed, time);
      assert.throws(() => connection.exportKeyingMaterial(1, "", new Uint8Array()), isClosed, time);
      assert.throws(() => stream.write(Buffer.from("x")), isClosed, time);
      stream.finish();
      stream.reset(1n);
      stream.stop(1n);
      stream.setPriority(1);
      connection.close(0n, "");
      connection.ping();
      connection.setKeepAlive(1);
      assert.equal(stream.read(), undefined);
      assert.equal(connection.maxDatagramSize, undefined);
      assert.deepEqual(connection.paths(), []);
      assert.equal(connection.remoteAddress, address);
      assert(connection.stats().bytesSent > 0);
      pair.runFor(time === "closing" ? 1 : 10_000);
    }
  });

  it("time out when nothing arrives for the idle timeout", () => {
    const transport = { idleTimeoutMs: 4_000, keepAliveIntervalMs: 0 };
    const pair = new EnginePair({}, { transport }, { transport });
    const { local, remote } = pair.connect();
    const start = pair.now;
    pair.run(() => local.cause !== undefined && remote.cause !== undefined);
    assert.deepEqual(local.cause, { type: "timeout", handshaking: false });
    assert.deepEqual(remote.cause, { type: "timeout", handshaking: false });
    assert(pair.now - start >= 3_900 && pair.now - start <= 4_200, `${pair.now - start}`);
  });

  it("stay open while one side keeps them alive", () => {
    const quiet = { idleTimeoutMs: 4_000, keepAliveIntervalMs: 0 };
    const alive = { ...quiet, keepAliveIntervalMs: 1_500 };
    const pair = new EnginePair({}, { transport: quiet }, { transport: alive });
    const { local, remote } = pair.connect();
    pair.runFor(60_000);
    assert.equal(local.cause ?? remote.cause, undefined);
  });

  it("take up and give up keeping alive when told so", () => {
    const transport = { idleTimeoutMs: 4_000, keepAliveIntervalMs: 0 };
    const pair = new EnginePair({}, { transport }, { transport });
    const { local, remote } = pair.connect();
    pair.runFor(3_000);
    local.connection.setKeepAlive(1_000);
    pair.runFor(60_000);
    assert.equal(local.cause ?? remote.cause, undefined);
    local.connection.setKeepAlive(0);
    pair.run(() => local.cause !== undefined, 10_000);
    assert.deepEqual(local.cause, { type: "timeout", handshaking: false });
  });

  it("stay open on all defaults, though nothing is said", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    pair.runFor(3_600_000);
    assert.equal(local.cause ?? remote.cause, undefined);
    const echo = local.send("still there");
    pair.run(() => echo.isEnded);
  });

  it("stay open on one path that is not kept alive, as long as the idle timeout allows", () => {
    const transport = { idleTimeoutMs: 120_000, keepAliveIntervalMs: 0 };
    const pair = new EnginePair({}, { transport }, { transport });
    const { local } = pair.connect();
    pair.runFor(100_000);
    const echo = local.send("still there");
    pair.run(() => echo.isEnded);
    assert.equal(local.cause, undefined);
  });

  it("answer ping with a packet", () => {
    const transport = { keepAliveIntervalMs: 0 };
    const pair = new EnginePair({}, { transport }, { transport });
    const { local } = pair.connect();
    pair.runFor(2_000);
    const { datagramsReceived } = local.connection.stats();
    local.connection.ping();
    pair.runFor(2_000);
    assert(local.connection.stats().datagramsReceived > datagramsReceived);
  });

  it("notice a peer that is gone without a word", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    pair.server.socket.close();
    pair.run(() => local.cause !== undefined);
    assert.deepEqual(local.cause, { type: "timeout", handshaking: false });
  });

  it("are reset by a peer that has forgotten them (RFC 9000 §10.3)", () => {
    const pair = new EnginePair({}, {}, { transport: { keepAliveIntervalMs: 0 } });
    const { local, remote } = pair.connect();
    pair.runFor(1_000);
    // The peer's farewell gets lost.
    pair.network.tap = ({ from, bytes }) => (from === pair.server.address ? undefined : bytes);
    remote.connection.close(1n, "unheard");
    pair.runFor(5_000);
    assert.equal(pair.server.endpoint.stats().connections, 0);
    pair.network.tap = undefined;
    local.send("x".repeat(100));
    pair.run(() => local.cause !== undefined);
    assert.deepEqual(local.cause, { type: "reset" });
  });

  it("F15: are closed with code 1 when a handler throws; nobody else notices", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const { local: other } = pair.connect();
    remote.streamOpened = () => {
      throw new Error("bug in a handler");
    };
    local.send("x");
    pair.run(() => local.cause !== undefined);
    assert.deepEqual(local.cause, application("peer", 1n, "internal error"));
    assert.deepEqual(pair.server.handlerErrors.map(String), ["Error: bug in a handler"]);
    const echo = other.send("as before");
    pair.run(() => echo.isEnded);
    assert.equal(echo.text, "as before");
  });

  it("F15: survive handlers that throw from every call", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const stream = local.send("x");
    pair.run(() => stream.isEnded);
    for (const handler of [local, remote]) {
      handler.closed = () => {
        throw new Error("closed");
      };
    }
    const open = local.open();
    open.connectionClosed = () => {
      throw new Error("connectionClosed");
    };
    open.stream.write(Buffer.from("x"));
    pair.runFor(1_000);
    local.connection.close(0n, "");
    pair.runFor(1_000);
    assert.deepEqual(pair.client.handlerErrors.map(String), [
      "Error: connectionClosed",
      "Error: closed",
    ]);
    assert.deepEqual(pair.server.handlerErrors.map(String), ["Error: closed"]);
    const { local: next } = pair.connect();
    const echo = next.send("as before");
    pair.run(() => echo.isEnded);
  });

  it("say nothing after destroy, also where a handler calls it", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    const echo = local.open();
    let sent = 0;
    echo.readable = () => {
      pair.client.endpoint.destroy();
      pair.network.tap = ({ from, bytes }) => {
        sent += from === pair.client.address ? 1 : 0;
        return bytes;
      };
    };
    echo.stream.write(Buffer.from("x"), true);
    pair.runFor(10_000);
    assert.equal(sent, 0);
    assert.throws(() => local.connection.openStream("bidirectional"), EngineError);
    assert.equal(echo.closedWith?.type, "application");
    assert.deepEqual(pair.client.handlerErrors, []);
  });

  it("are over with destroy, which tells this side alone, and can do nothing after it", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const other = pair.connect();
    const stream = local.open();
    stream.stream.write(Buffer.from("x"));
    other.local.connection.close(7n, "before");
    pair.client.endpoint.destroy();
    const cause = application("local", 0n, "the endpoint was destroyed");
    assert.deepEqual([local.cause, stream.closedWith], [cause, cause]);
    assert.deepEqual(other.local.cause, application("local", 7n, "before"));
    pair.client.endpoint.destroy();
    const isClosed = (error: unknown): boolean =>
      error instanceof EngineError && error.code === "closed";
    assert.throws(() => pair.client.endpoint.stats(), isClosed);
    assert.throws(() => pair.client.endpoint.flush(), isClosed);
    assert.throws(() => pair.client.endpoint.setAlpns([]), isClosed);
    assert.throws(() => pair.client.dial(pair.server), isClosed);
    pair.client.endpoint.receive(pair.server.address, new Uint8Array(1_200));
    pair.run(() => remote.cause !== undefined);
    assert.deepEqual(remote.cause, { type: "timeout", handshaking: false });
  });
});

function application(origin: "local" | "peer", code: bigint, reason: string) {
  return { type: "application", origin, code, reason } as const;
}

/** Writes down when a method is called. */
function note<T extends object, K extends keyof T & string>(order: string[], on: T, name: K): void {
  const original = on[name] as (...values: unknown[]) => void;
  Object.assign(on, {
    [name]: (...values: unknown[]) => {
      order.push(name);
      original.apply(on, values);
    },
  });
}
