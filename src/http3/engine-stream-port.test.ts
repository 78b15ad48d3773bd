import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineError, type EngineStream, type StreamHandler } from "../engine/engine.ts";
import { EngineStreamPort } from "./engine-stream-port.ts";
import type { StreamCore } from "./stream-port.ts";

class FakeStream implements EngineStream {
  declare handler: StreamHandler;
  readonly id = 4;
  readonly direction = "bidirectional";
  readonly initiator = "local";
  receiveState: EngineStream["receiveState"] = "open";
  resetCode: bigint | undefined;
  readonly log: string[] = [];
  readonly chunks: Uint8Array[] = [];
  credit = 0;
  stopped = false;
  failure: EngineError | undefined;

  write(bytes: Uint8Array, fin = false): number {
    if (this.failure !== undefined) {
      throw this.failure;
    }
    if (this.stopped) {
      throw new EngineError("stream-ended", "the peer has stopped it");
    }
    const taken = Math.min(this.credit, bytes.length);
    this.credit -= taken;
    const end = fin && taken === bytes.length;
    this.log.push(`write ${bytes.subarray(0, taken).join(" ")}${end ? " fin" : ""}`);
    return taken;
  }
  finish(): void {
    this.log.push("finish");
  }
  reset(code: bigint): void {
    this.log.push(`reset ${code}`);
  }
  stop(code: bigint): void {
    this.log.push(`stop ${code}`);
  }
  read(limit = Number.POSITIVE_INFINITY): Uint8Array | undefined {
    const chunk = this.chunks.shift();
    if (chunk !== undefined && chunk.length > limit) {
      this.chunks.unshift(chunk.subarray(limit));
    }
    return chunk?.subarray(0, limit);
  }
  setPriority(): void {}
}

function start() {
  const log: string[] = [];
  const core: StreamCore & { wantsBytes: boolean } = {
    wantsBytes: true,
    receive: (bytes) => log.push(`receive ${bytes.join(" ")}`),
    finished: () => log.push("finished"),
    wasReset: (code) => log.push(`reset ${code}`),
    wasStopped: (code) => log.push(`stopped ${code}`),
    writable: () => log.push("writable"),
    acknowledged: () => log.push("acknowledged"),
    lastCall: () => log.push("last call"),
  };
  const stream = new FakeStream();
  return { log, core, stream, port: new EngineStreamPort(stream, () => core) };
}

test("keeps what the engine does not take, in order and with its end", () => {
  const { log, stream, port } = start();
  stream.credit = 2;
  assert.equal(port.write(Uint8Array.of(1, 2, 3), false), false);
  assert.equal(port.write(Uint8Array.of(4, 5), true), false);
  assert.equal(port.backlog, 3);
  stream.credit = 2;
  stream.handler.writable();
  assert.equal(port.backlog, 1);
  assert.deepEqual(log, []);
  stream.credit = 10;
  stream.handler.writable();
  assert.deepEqual(stream.log, ["write 1 2", "write 3", "write 4", "write 5 fin"]);
  assert.deepEqual(log, ["writable"]);
  assert.equal(port.write(Uint8Array.of(6), false), true, "after its end nothing is sent");
  assert.equal(stream.log.length, 4);
});

test("copies borrowed bytes that have to wait, and only those", () => {
  const { stream, port } = start();
  const bytes = Uint8Array.of(1, 2, 3);
  stream.credit = 1;
  port.writeBorrowed(bytes, false);
  bytes.fill(9);
  stream.credit = 10;
  stream.handler.writable();
  assert.deepEqual(stream.log, ["write 1", "write 2 3"]);
});

test("an end that has to wait alone is sent when there is room", () => {
  const { stream, port } = start();
  port.write(Uint8Array.of(1), false);
  port.write(new Uint8Array(0), true);
  stream.credit = 1;
  stream.handler.writable();
  assert.match(stream.log.at(-1) ?? "", /^(finish|write .*fin)$/);
});

test("writing to a stream that the peer has just stopped is no error", () => {
  const { log, stream, port } = start();
  port.write(Uint8Array.of(1), false);
  stream.stopped = true;
  stream.handler.writable();
  assert.equal(port.backlog, 0);
  assert.equal(port.write(Uint8Array.of(2), true), true);
  stream.handler.stopped(7n);
  assert.deepEqual(log, ["stopped 7"]);
});

test("reads while the core wants bytes, then tells the end", () => {
  const { log, core, stream, port } = start();
  stream.chunks.push(Uint8Array.of(1), Uint8Array.of(2));
  core.wantsBytes = false;
  stream.handler.readable();
  assert.deepEqual(log, []);
  core.wantsBytes = true;
  stream.receiveState = "finished";
  port.pull();
  port.pull();
  assert.deepEqual(log, ["receive 1", "receive 2", "finished"]);
});

test("tells a reset also while nothing is read, and nothing after a stop of ours", () => {
  const { log, core, stream, port } = start();
  core.wantsBytes = false;
  stream.receiveState = "reset";
  stream.resetCode = 5n;
  stream.handler.readable();
  stream.handler.readable();
  assert.deepEqual(log, ["reset 5"]);
  const other = start();
  other.port.stop(3n);
  other.stream.chunks.push(Uint8Array.of(1));
  other.stream.handler.readable();
  assert.deepEqual(other.log, []);
  assert.equal(port.id, 4);
});

test("F8: when the connection ends, the core gets what had arrived, if it wants it then", () => {
  const { log, core, stream, port } = start();
  core.wantsBytes = false;
  stream.chunks.push(Uint8Array.of(1), Uint8Array.of(2));
  stream.handler.readable();
  core.lastCall = () => {
    log.push("last call");
    core.wantsBytes = true;
  };
  stream.receiveState = "finished";
  stream.handler.connectionClosed({ type: "reset" });
  port.pull();
  assert.deepEqual(log, ["last call", "receive 1", "receive 2", "finished"]);
  assert.equal(port.write(Uint8Array.of(1), false), true, "nothing is sent any more");
  const other = start();
  other.core.wantsBytes = false;
  other.stream.chunks.push(Uint8Array.of(1));
  other.stream.handler.connectionClosed({ type: "reset" });
  other.core.wantsBytes = true;
  other.port.pull();
  assert.deepEqual(other.log, ["last call"]);
});

test("an engine that fails or has ended takes all, other errors of it are bugs", () => {
  for (const code of ["closed", "stream-ended", "engine-failed"] as const) {
    const { stream, port } = start();
    stream.failure = new EngineError(code, "test");
    assert.equal(port.write(Uint8Array.of(1), false), true);
    assert.equal(port.backlog, 0);
  }
  const { stream, port } = start();
  stream.failure = new EngineError("invalid-options", "test");
  assert.throws(() => port.write(Uint8Array.of(1), false), { code: "invalid-options" });
});

test("a reset is told at once, also when nobody reads, and once", () => {
  const { core, stream, log } = start();
  core.wantsBytes = false;
  stream.receiveState = "reset";
  stream.resetCode = 7n;
  stream.handler.resetUnread?.(7n);
  stream.handler.resetUnread?.(7n);
  core.wantsBytes = true;
  stream.handler.readable();
  assert.deepEqual(log, ["reset 7"]);
});

test("reads no more at once than the core wants", () => {
  const { log, core, stream } = start();
  stream.chunks.push(Uint8Array.of(1, 2, 3, 4, 5));
  let limit = 2;
  Object.defineProperty(core, "readLimit", { get: () => limit });
  core.receive = (bytes) => {
    log.push(`receive ${bytes.join(" ")}`);
    limit += 1;
  };
  stream.handler.readable();
  assert.deepEqual(log, ["receive 1 2", "receive 3 4 5"]);
});
