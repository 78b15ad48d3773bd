// Drives the HTTP/3 core with bytes alone: the streams of a connection as a test sees them from the other end.

import { ByteWriter } from "../../src/base/byte-writer.ts";
import type { StreamDirection } from "../../src/engine/engine.ts";
import type { ConnectionPort } from "../../src/http3/connection-port.ts";
import type { H3Error } from "../../src/http3/h3-error.ts";
import { Http3Core, type Http3CoreOptions } from "../../src/http3/http3-core.ts";
import type { FieldSection } from "../../src/http3/qpack/field.ts";
import type { MessageHandler, RequestStream } from "../../src/http3/request-stream.ts";
import type { StreamCore, StreamPort } from "../../src/http3/stream-port.ts";

/** One stream of a core under test. Bytes wait here, as in a QUIC engine, while the core does not want them. */
export class PeerStream implements StreamPort {
  readonly id: number;
  core: StreamCore | undefined;
  /** What the core wrote. */
  readonly written: Uint8Array[] = [];
  finished = false;
  resetCode: bigint | undefined;
  stopCode: bigint | undefined;
  /** Bytes that the core may still write; what is above waits. */
  credit: number = Number.POSITIVE_INFINITY;
  #joined: { parts: number; bytes: Uint8Array } = { parts: 0, bytes: new Uint8Array(0) };
  readonly #arrived: Uint8Array[] = [];
  /** Gets what the core writes, when it does, whatever credit there is. */
  onWrite: (bytes: Uint8Array) => void = () => {};
  #fin = false;
  #told = false;
  readonly #backlog: Uint8Array[] = [];
  #finWaiting = false;

  constructor(id: number) {
    this.id = id;
  }

  // What the peer does.

  send(bytes: Uint8Array, options?: { readonly fin?: boolean }): void {
    if (bytes.length > 0) {
      this.#arrived.push(bytes);
    }
    this.#fin ||= options?.fin ?? false;
    this.pull();
  }

  sendReset(code: bigint): void {
    if (!this.#told && this.stopCode === undefined) {
      this.#told = true;
      this.core?.wasReset(code);
    }
  }

  sendStop(code: bigint): void {
    this.core?.wasStopped(code);
  }

  /** Gives the core credit for this many bytes more. */
  grant(bytes: number): void {
    this.credit += bytes;
    for (let next = this.#backlog.shift(); next !== undefined; next = this.#backlog.shift()) {
      const room = this.credit;
      this.#take(next.slice(0, room));
      if (next.length > room) {
        this.#backlog.unshift(next.slice(room));
        break;
      }
    }
    if (this.#backlog.length === 0) {
      this.finished ||= this.#finWaiting;
      this.core?.writable();
    }
  }

  acknowledge(): void {
    this.core?.acknowledged();
  }

  /** Everything that the core wrote, as one. */
  get bytes(): Uint8Array {
    if (this.#joined.parts !== this.written.length) {
      this.#joined = { parts: this.written.length, bytes: concat(this.written) };
    }
    return this.#joined.bytes;
  }

  /** Bytes that wait for the core to want them. */
  get unread(): number {
    return this.#arrived.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  // StreamPort

  get backlog(): number {
    return this.#backlog.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  write(bytes: Uint8Array, fin: boolean): boolean {
    return this.writeBorrowed(bytes, fin);
  }

  writeBorrowed(bytes: Uint8Array, fin: boolean): boolean {
    if (this.resetCode !== undefined || this.finished) {
      return true;
    }
    this.onWrite(bytes);
    const room = this.#backlog.length > 0 ? 0 : this.credit;
    this.#take(bytes.slice(0, room));
    if (bytes.length > room) {
      this.#backlog.push(bytes.slice(room));
      this.#finWaiting = fin;
      return false;
    }
    this.finished = fin;
    return true;
  }

  reset(code: bigint): void {
    this.resetCode ??= code;
    this.#backlog.length = 0;
  }

  stop(code: bigint): void {
    this.stopCode ??= code;
    this.#arrived.length = 0;
  }

  pull(): void {
    const { core } = this;
    while (core?.wantsBytes === true && this.stopCode === undefined) {
      const bytes = this.#arrived.shift();
      if (bytes === undefined) {
        if (this.#fin && !this.#told) {
          this.#told = true;
          core.finished();
        }
        return;
      }
      core.receive(bytes);
    }
  }

  #take(bytes: Uint8Array): void {
    if (bytes.length > 0) {
      this.credit -= bytes.length;
      this.written.push(bytes);
    }
  }
}

/** What one side heard about a message. */
export class Recorder implements MessageHandler {
  /** One entry for each call; content as `data <length>`. */
  readonly log: string[] = [];
  readonly content: Uint8Array[] = [];
  error: H3Error | undefined;
  onCall: (name: keyof MessageHandler) => void = () => {};

  headers(fields: FieldSection): void {
    this.#note("headers", `headers ${show(fields)}`);
  }
  informational(fields: FieldSection): void {
    this.#note("informational", `informational ${show(fields)}`);
  }
  data(bytes: Uint8Array): void {
    this.content.push(bytes);
    this.#note("data", `data ${bytes.length}`);
  }
  trailers(fields: FieldSection): void {
    this.#note("trailers", `trailers ${show(fields)}`);
  }
  end(): void {
    this.#note("end", "end");
  }
  failed(error: H3Error): void {
    this.error = error;
    this.#note("failed", "failed");
  }
  writable(): void {
    this.#note("writable", "writable");
  }
  stopped(code: bigint): void {
    this.#note("stopped", `stopped 0x${code.toString(16)}`);
  }

  #note(name: keyof MessageHandler, entry: string): void {
    this.log.push(entry);
    this.onCall(name);
  }
}

/** A request that the core under test got. */
export interface Received {
  readonly stream: RequestStream;
  readonly message: Recorder;
  /** For the test, whose business it is. */
  answered: boolean;
}

/** A core with a connection around it that does nothing by itself. */
export class PeerOf implements ConnectionPort {
  readonly core: Http3Core;
  /** Streams that the core opened. */
  readonly opened: PeerStream[] = [];
  /** Bidirectional streams that the peer opened. */
  readonly accepted: PeerStream[] = [];
  readonly requests: Received[] = [];
  /** How often the core has closed the connection. */
  closes = 0;
  closedWith: { readonly code: bigint; readonly reason: string } | undefined;
  time = 0;
  wakeTime: number | undefined;
  active = false;
  settingsArrived = 0;
  goaways = 0;
  isDrained = false;
  /** Gets what the core writes, in the order of all its streams. Borrowed. */
  onWrite: (stream: PeerStream, bytes: Uint8Array) => void = () => {};
  /** Streams that the core may open. */
  readonly allowed: Record<StreamDirection, number>;
  #soon: (() => void)[] = [];
  readonly #role: "client" | "server";
  readonly #ownIds: Record<StreamDirection, number> = { bidirectional: 0, unidirectional: 0 };
  readonly #peerIds: Record<StreamDirection, number> = { bidirectional: 0, unidirectional: 0 };

  constructor(options: Http3CoreOptions, allowed: Partial<Record<StreamDirection, number>> = {}) {
    this.allowed = { bidirectional: 100, unidirectional: 100, ...allowed };
    this.#role = options.role;
    this.core = new Http3Core(
      {
        onRequest: (stream) => {
          const message = new Recorder();
          this.requests.push({ stream, message, answered: false });
          return message;
        },
        ...options,
      },
      this,
    );
    this.core.start();
  }

  /** The peer opens a stream, and sends `bytes` on it. */
  open(direction: StreamDirection, bytes: Uint8Array = new Uint8Array(0)): PeerStream {
    const initiator = this.#role === "server" ? 0 : 1;
    const index = this.#peerIds[direction]++;
    const stream = new PeerStream(index * 4 + (direction === "unidirectional" ? 2 : 0) + initiator);
    if (direction === "bidirectional") {
      this.accepted.push(stream);
    }
    stream.onWrite = (written) => this.onWrite(stream, written);
    stream.core = this.core.accept(direction, stream);
    stream.send(bytes);
    return stream;
  }

  /** Runs what the core put off. */
  settle(): void {
    while (this.#soon.length > 0) {
      const callbacks = this.#soon;
      this.#soon = [];
      for (const callback of callbacks) {
        callback();
      }
    }
  }

  /** Lets time pass, and the core's timer fire. */
  advance(byMs: number): void {
    this.time += byMs;
    if (this.wakeTime !== undefined && this.wakeTime <= this.time) {
      this.wakeTime = undefined;
      this.core.handleTimeout(this.time);
    }
    this.settle();
  }

  // ConnectionPort

  openStream(direction: StreamDirection, core: StreamCore): StreamPort | undefined {
    if (this.#ownIds[direction] >= this.allowed[direction]) {
      return undefined;
    }
    const index = this.#ownIds[direction]++;
    const initiator = this.#role === "server" ? 1 : 0;
    const stream = new PeerStream(index * 4 + (direction === "unidirectional" ? 2 : 0) + initiator);
    stream.core = core;
    stream.onWrite = (written) => this.onWrite(stream, written);
    this.opened.push(stream);
    return stream;
  }

  close(code: bigint, reason: string): void {
    this.closes += 1;
    this.closedWith ??= { code, reason };
  }

  now(): number {
    return this.time;
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  wakeAt(time: number): void {
    this.wakeTime = Math.min(time, this.wakeTime ?? Number.POSITIVE_INFINITY);
  }

  activeChanged(active: boolean): void {
    this.active = active;
  }

  settings(): void {
    this.settingsArrived += 1;
  }

  goaway(): void {
    this.goaways += 1;
  }

  drained(): void {
    this.isDrained = true;
  }
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const writer = new ByteWriter();
  for (const part of parts) {
    writer.bytes(part);
  }
  return writer.finish();
}

export function varint(value: number | bigint): Uint8Array {
  return new ByteWriter(8).varint(value).finish();
}

/** A frame (RFC 9114 §7.1). */
export function frame(type: number, ...payload: readonly Uint8Array[]): Uint8Array {
  const body = concat(payload);
  return concat([varint(type), varint(body.length), body]);
}

/** A field section as literals without Huffman, dynamic table or checks of any kind (RFC 9204 §4.5.6). */
export function section(fields: FieldSection): Uint8Array {
  const writer = new ByteWriter().u8(0).u8(0);
  for (const [name, value] of fields) {
    prefixed(writer, 0x20, 3, name.length);
    writer.bytes(Uint8Array.from(name, (char) => char.charCodeAt(0)));
    prefixed(writer, 0x00, 7, value.length);
    writer.bytes(Uint8Array.from(value, (char) => char.charCodeAt(0)));
  }
  return writer.finish();
}

/** A HEADERS frame with a {@link section}. */
export function headers(fields: FieldSection): Uint8Array {
  return frame(0x01, section(fields));
}

export function text(value: string): Uint8Array {
  return Uint8Array.from(value, (char) => char.charCodeAt(0));
}

export function hex(digits: string): Uint8Array {
  return Uint8Array.from(digits.replaceAll(" ", "").match(/../g) ?? [], (pair) =>
    Number.parseInt(pair, 16),
  );
}

export const get: FieldSection = [
  [":method", "GET"],
  [":scheme", "https"],
  [":authority", "example.com"],
  [":path", "/"],
];

export const post: FieldSection = [
  [":method", "POST"],
  [":scheme", "https"],
  [":authority", "example.com"],
  [":path", "/"],
];

export const ok: FieldSection = [[":status", "200"]];

/** An integer with a prefix (RFC 7541 §5.1). */
function prefixed(writer: ByteWriter, flags: number, prefixBits: number, value: number): void {
  const limit = 2 ** prefixBits - 1;
  if (value < limit) {
    writer.u8(flags | value);
    return;
  }
  writer.u8(flags | limit);
  let rest = value - limit;
  while (rest >= 0x80) {
    writer.u8(0x80 | (rest % 0x80));
    rest = Math.floor(rest / 0x80);
  }
  writer.u8(rest);
}

function show(fields: FieldSection): string {
  return fields.map(([name, value]) => `${name}=${value}`).join(" ");
}
