import assert from "node:assert/strict";
import { test } from "node:test";
import {
  concat,
  frame,
  get,
  headers,
  hex,
  ok,
  PeerOf,
  type PeerStream,
  post,
  Recorder,
  type section,
  text,
  varint,
} from "../../test/support/http3-peer.ts";
import { H3, H3Error } from "./h3-error.ts";
import type { Http3CoreOptions } from "./http3-core.ts";
import { QpackEncoder } from "./qpack/qpack-encoder.ts";
import { decodeSettings } from "./settings.ts";

const data = (content: string): Uint8Array => frame(0x00, text(content));
const nothing = hex("");

test("opens one control stream, with SETTINGS first and one that means nothing (RFC 9114 §6.2.1, §7.2.4.1, RFC 9204 §5)", () => {
  for (const role of ["client", "server"] as const) {
    const { opened } = new PeerOf({ role, limits: { maxFieldSectionSize: 1_000 } });
    assert.equal(opened.length, 1);
    const bytes = opened[0]?.bytes ?? nothing;
    assert.equal(opened[0]?.id, role === "client" ? 2 : 3);
    assert.deepEqual([...bytes.subarray(0, 2)], [0x00, 0x04]);
    const settings = decodeSettings(bytes.subarray(3));
    assert.equal(settings.maxFieldSectionSize, 1_000);
    assert.equal(settings.qpackMaxTableCapacity, 4_096);
    assert.equal(settings.qpackBlockedStreams, 16);
    const [reserved] = settings.extensions.keys();
    assert.equal(((reserved ?? 0) - 0x21) % 0x1f, 0);
  }
});

test("waits with SETTINGS until the peer allows a stream, and sends them then", () => {
  const peer = new PeerOf({ role: "client" }, { unidirectional: 0 });
  assert.equal(peer.opened.length, 0);
  peer.allowed.unidirectional = 1;
  peer.core.streamsAvailable("unidirectional");
  assert.deepEqual([...(peer.opened[0]?.bytes.subarray(0, 2) ?? [])], [0x00, 0x04]);
});

test("a request with content leaves in one write, with the end of the stream (RFC 9114 §4.1)", () => {
  const { stream } = client(post, { content: text("hello"), end: true });
  assert.equal(stream.written.length, 1);
  assert.ok(stream.finished);
  const server = new PeerOf({ role: "server" });
  server.open("bidirectional", stream.bytes).send(nothing, { fin: true });
  assert.deepEqual(server.requests[0]?.message.log, [
    `headers ${post.map((field) => field.join("=")).join(" ")}`,
    "data 5",
    "end",
  ]);
});

test("a response comes as interim heads, head, content, trailers and end (RFC 9114 §4.1)", () => {
  const { stream, response } = client(get, { end: true });
  stream.send(
    concat([
      headers([[":status", "100"]]),
      headers([[":status", "103"]]),
      headers(ok),
      data("abc"),
      data("de"),
      headers([["grpc-status", "0"]]),
    ]),
    { fin: true },
  );
  assert.deepEqual(response.log, [
    "informational :status=100",
    "informational :status=103",
    "headers :status=200",
    "data 3",
    "data 2",
    "trailers grpc-status=0",
    "end",
  ]);
});

test("content is passed on as a view of the bytes that brought it", () => {
  const { stream, response } = client(get, { end: true });
  const bytes = concat([headers(ok), data("abc")]);
  stream.send(bytes);
  assert.equal(response.content[0]?.buffer, bytes.buffer);
});

test("a server sends interim responses, then content in frames, then trailers", () => {
  const { stream, received } = served(get);
  received.stream.sendHeaders([[":status", "103"]]);
  received.stream.sendHeaders(ok);
  assert.ok(received.stream.sendData(text("abc")));
  assert.ok(received.stream.sendData(nothing));
  received.stream.sendTrailers([["a", "b"]]);
  assert.ok(stream.finished);
  const { stream: other, response } = client(get, { end: true });
  other.send(stream.bytes, { fin: true });
  assert.deepEqual(response.log, [
    "informational :status=103",
    "headers :status=200",
    "data 3",
    "trailers a=b",
    "end",
  ]);
});

test("large content is not copied behind its frame header", () => {
  const { stream, received } = served(get);
  received.stream.sendHeaders(ok);
  received.stream.sendData(new Uint8Array(100_000), { end: true });
  assert.deepEqual(
    stream.written.map((bytes) => bytes.length),
    [stream.written[0]?.length, 5, 100_000],
  );
});

test("frames, settings and streams of unknown and reserved types are ignored (RFC 9114 §7.2, §9)", () => {
  const peer = new PeerOf({ role: "server" });
  const grease = [frame(0x21), frame(0x40, text("x")), frame(0x0f_0700, text("u=1"))];
  peer.open(
    "unidirectional",
    concat([hex("00"), frame(0x04, hex("21 05 3a 00 33 01 ffffffffffffffff 00")), ...grease]),
  );
  const unknown = peer.open("unidirectional", concat([varint(0x54), text("whatever")]));
  const reserved = peer.open("unidirectional", varint(0x21));
  assert.equal(unknown.stopCode, H3.STREAM_CREATION_ERROR);
  assert.equal(reserved.stopCode, H3.STREAM_CREATION_ERROR);
  const stream = peer.open(
    "bidirectional",
    concat([...grease, headers(post), ...grease, data("abc"), ...grease, headers([["a", "b"]])]),
  );
  stream.send(concat(grease), { fin: true });
  assert.deepEqual(peer.requests[0]?.message.log.slice(1), ["data 3", "trailers a=b", "end"]);
  assert.equal(peer.closedWith, undefined);
  assert.equal(peer.core.peerSettings.extensions.get(0x33), 1);
});

test("a unidirectional stream may end before its type has come (RFC 9114 §6.2)", () => {
  const peer = new PeerOf({ role: "server" });
  peer.open("unidirectional").send(nothing, { fin: true });
  peer.open("unidirectional", hex("40")).send(nothing, { fin: true });
  peer.open("unidirectional", hex("40")).sendReset(H3.NO_ERROR);
  assert.equal(peer.closedWith, undefined);
});

test("a peer that stops our control stream loses the connection (RFC 9114 §6.2.1)", () => {
  const peer = new PeerOf({ role: "server" });
  peer.opened[0]?.sendStop(H3.NO_ERROR);
  assert.equal(peer.closedWith?.code, H3.CLOSED_CRITICAL_STREAM);
});

test("MAX_PUSH_ID may be sent again with the same or a larger id (RFC 9114 §7.2.7)", () => {
  const peer = new PeerOf({ role: "server" });
  const maxPushId = (id: number): Uint8Array => frame(0x0d, varint(id));
  peer.open("unidirectional", concat([hex("000400"), maxPushId(1), maxPushId(1), maxPushId(9)]));
  assert.equal(peer.closedWith, undefined);
});

test("content-length may be there twice, and without content where there is none (RFC 9114 §4.1.2)", () => {
  const peer = new PeerOf({ role: "server" });
  const length = ["content-length", "3"] as const;
  const stream = peer.open(
    "bidirectional",
    concat([headers([...post, length, length]), data("abc")]),
  );
  stream.send(nothing, { fin: true });
  assert.equal(peer.requests[0]?.message.log.at(-1), "end");
  for (const [method, status] of [
    ["HEAD", "200"],
    ["GET", "304"],
    ["GET", "204"],
  ] as const) {
    const request = get.map((field) =>
      field[0] === ":method" ? ([":method", method] as const) : field,
    );
    const { stream: answer, response } = client(request, { end: true });
    answer.send(headers([[":status", status], length]), { fin: true });
    assert.equal(response.log.at(-1), "end", `${method} ${status}`);
  }
});

test("CONNECT is a tunnel: content both ways, and no lengths that count (RFC 9114 §4.4)", () => {
  const connect = [
    [":method", "CONNECT"],
    [":authority", "example.com:443"],
  ] as const;
  const { stream, response } = client(connect);
  stream.send(concat([headers([...ok, ["content-length", "1"]]), data("tunnel")]), { fin: true });
  assert.deepEqual(response.log.slice(1), ["data 6", "end"]);
});

test("OPTIONS * and requests with Host alone are well formed (RFC 9114 §4.3.1)", () => {
  for (const fields of [
    [
      [":method", "OPTIONS"],
      [":scheme", "https"],
      [":authority", "a"],
      [":path", "*"],
    ],
    [
      [":method", "GET"],
      [":scheme", "https"],
      [":path", "/"],
      ["host", "a"],
      ["te", "trailers"],
    ],
    [
      [":method", "GET"],
      [":scheme", "https"],
      [":path", "/"],
      [":authority", "a"],
      ["host", "a"],
    ],
    [
      [":method", "GET"],
      [":scheme", "coap+ws"],
      [":path", ""],
    ],
  ] as const) {
    assert.equal(served(fields).received.message.log.length, 1);
  }
});

// Going away.

test("GOAWAY fails what is at or above its id, and what waits, as unprocessed (RFC 9114 §5.2)", () => {
  const peer = new PeerOf({ role: "client" }, { bidirectional: 3 });
  const responses = Array.from({ length: 4 }, () => new Recorder());
  for (const response of responses) {
    peer.core.request(get, response, { end: true });
  }
  assert.equal(peer.core.queuedRequests, 1);
  const control = peer.open("unidirectional", concat([hex("000400"), frame(0x07, hex("08"))]));
  assert.deepEqual(
    responses.map(({ error }) => error?.unprocessed),
    [undefined, undefined, true, true],
  );
  assert.equal(responses[2]?.error?.code, H3.REQUEST_REJECTED);
  assert.equal(peer.goaways, 1);
  assert.equal(peer.core.state, "draining");
  control.send(frame(0x07, hex("04")));
  assert.equal(responses[1]?.error?.unprocessed, true);
  assert.equal(peer.goaways, 1);
  const late = new Recorder();
  peer.core.request(get, late);
  assert.deepEqual(late.log, [], "nothing is said before the call returns");
  peer.settle();
  assert.equal(late.error?.unprocessed, true);
  const first = peer.opened.find(({ id }) => id === 0);
  first?.send(headers(ok), { fin: true });
  assert.equal(responses[0]?.log.at(-1), "end");
  assert.equal(peer.core.activeRequests, 0);
});

test("GOAWAY may carry ids above 2^53 (RFC 9114 §5.2)", () => {
  const { peer, response } = client(get);
  peer.open("unidirectional", concat([hex("000400"), frame(0x07, varint((1n << 62n) - 4n))]));
  assert.equal(peer.closedWith, undefined);
  assert.equal(response.error, undefined);
  assert.equal(peer.core.state, "draining");
});

test("after our GOAWAY a server ends what runs and rejects what comes (RFC 9114 §5.2, §4.1.1)", () => {
  const { peer, stream, received } = served(get);
  peer.core.goaway();
  peer.core.goaway();
  const control = peer.opened[0]?.bytes ?? nothing;
  assert.deepEqual([...control.subarray(-3)], [0x07, 0x01, 0x04]);
  const late = peer.open("bidirectional", headers(get));
  assert.equal(late.resetCode, H3.REQUEST_REJECTED);
  assert.equal(late.stopCode, H3.REQUEST_REJECTED);
  assert.equal(peer.requests.length, 1);
  stream.send(nothing, { fin: true });
  received.stream.sendHeaders(ok, { end: true });
  assert.equal(peer.core.activeRequests, 0);
  assert.equal(peer.isDrained, false, "the answer may still be lost");
  stream.acknowledge();
  assert.equal(peer.isDrained, true);
});

test("a request that our GOAWAY rejects is cancelled on the decoder stream as well (RFC 9204 §2.2.2.2)", () => {
  const { peer } = served(get);
  peer.core.goaway();
  peer.open("bidirectional", headers(get));
  peer.settle();
  assert.deepEqual([...(peer.opened.at(-1)?.bytes ?? [])], [0x03, 0x44]);
});

test("a client's GOAWAY names push 0, and lets its own requests end (RFC 9114 §5.2)", () => {
  const { peer, stream, response } = client(get, { end: true });
  peer.core.goaway();
  assert.deepEqual([...(peer.opened[0]?.bytes.subarray(-3) ?? [])], [0x07, 0x01, 0x00]);
  stream.send(headers(ok), { fin: true });
  assert.equal(response.log.at(-1), "end");
  stream.acknowledge();
  assert.equal(peer.isDrained, true);
});

test("requests that are given up while they wait for a stream leave those that run alone (RFC 9114 §5.2)", () => {
  const peer = new PeerOf({ role: "client" }, { bidirectional: 600 });
  const requests = Array.from({ length: 1_200 }, () =>
    peer.core.request(get, new Recorder(), { end: true }),
  );
  assert.equal(peer.core.queuedRequests, 600);
  peer.core.goaway();
  for (const request of requests.slice(600)) {
    request.cancel(H3.REQUEST_CANCELLED);
  }
  assert.equal(peer.core.queuedRequests, 0);
  assert.equal(peer.core.activeRequests, 600);
  assert.equal(peer.isDrained, false);
  for (const stream of peer.opened.filter(({ id }) => id % 4 === 0)) {
    stream.send(headers(ok), { fin: true });
    assert.equal(peer.isDrained, false);
    stream.acknowledge();
  }
  assert.equal(peer.core.activeRequests, 0);
  assert.equal(peer.isDrained, true);
});

test("a client's GOAWAY is heard by a server, which goes on with its requests (RFC 9114 §5.2)", () => {
  const { peer, received } = served(get);
  peer.open("unidirectional", concat([hex("000400"), frame(0x07, varint((1n << 62n) - 1n))]));
  assert.equal(peer.goaways, 1);
  assert.ok(!received.message.log.includes("failed"));
  peer.open("bidirectional", headers(get));
  assert.equal(peer.requests.length, 2);
});

// Giving up.

test("cancelling gives up both directions, and nothing more is heard (RFC 9114 §4.1.1)", () => {
  const { peer, stream, response, request } = client(post);
  request.cancel(H3.REQUEST_CANCELLED);
  request.cancel(H3.REQUEST_CANCELLED);
  assert.equal(stream.resetCode, H3.REQUEST_CANCELLED);
  assert.equal(stream.stopCode, H3.REQUEST_CANCELLED);
  stream.sendStop(H3.NO_ERROR);
  stream.sendReset(H3.NO_ERROR);
  assert.equal(request.sendData(text("x")), true);
  assert.deepEqual(response.log, []);
  assert.equal(peer.core.activeRequests, 0);
});

test("cancelling after the request was sent whole still gives up what is on its way", () => {
  const { stream, request } = client(post, { end: true });
  request.cancel(H3.REQUEST_CANCELLED);
  assert.equal(stream.resetCode, H3.REQUEST_CANCELLED);
});

test("a peer that resets fails the message; only H3_REQUEST_REJECTED says unprocessed (RFC 9114 §4.1.1)", () => {
  for (const [code, unprocessed] of [
    [H3.REQUEST_REJECTED, true],
    [H3.REQUEST_CANCELLED, false],
    [0x1234_5678_9abcn, false],
  ] as const) {
    const { peer, stream, response } = client(post);
    stream.sendReset(code);
    assert.deepEqual(response.log, ["failed"]);
    assert.ok(response.error instanceof H3Error);
    assert.equal(response.error.code, code);
    assert.equal(response.error.origin, "peer");
    assert.equal(response.error.unprocessed, unprocessed);
    assert.equal(stream.resetCode, H3.REQUEST_CANCELLED);
    assert.equal(peer.core.activeRequests, 0);
  }
});

test("a request that is reset is given up with its answer, as not processed if nobody saw it (RFC 9114 §4.1.1)", () => {
  const peer = new PeerOf({ role: "server" });
  const unseen = peer.open("bidirectional", hex("01 20 00"));
  unseen.sendReset(H3.REQUEST_CANCELLED);
  assert.equal(unseen.resetCode, H3.REQUEST_REJECTED);
  const { stream, received } = served(post);
  stream.sendReset(H3.REQUEST_CANCELLED);
  assert.equal(stream.resetCode, H3.REQUEST_CANCELLED);
  assert.equal(received.message.error?.code, H3.REQUEST_CANCELLED);
});

test("a client that stops reading is heard, and the request can still be read (RFC 9114 §4.1.1)", () => {
  const { stream, received } = served(post);
  received.stream.sendHeaders(ok);
  stream.sendStop(H3.REQUEST_CANCELLED);
  assert.equal(received.message.log.at(-1), "stopped 0x10c");
  stream.send(data("abc"), { fin: true });
  assert.deepEqual(received.message.log.slice(-2), ["data 3", "end"]);
});

test("a client that stops reading before its request is there is rejected", () => {
  const peer = new PeerOf({ role: "server" });
  const stream = peer.open("bidirectional", hex("01 20 00"));
  stream.sendStop(H3.REQUEST_CANCELLED);
  assert.equal(stream.stopCode, H3.REQUEST_REJECTED);
  assert.equal(peer.core.activeRequests, 0);
});

test("a server that answers early stops the request and completes its answer (RFC 9114 §4.1)", () => {
  const { peer, stream, received } = served(post);
  received.stream.stopReceiving(H3.NO_ERROR);
  received.stream.sendHeaders(ok, { content: text("early"), end: true });
  assert.equal(stream.stopCode, H3.NO_ERROR);
  stream.sendReset(H3.NO_ERROR);
  assert.equal(stream.resetCode, undefined);
  assert.ok(stream.finished);
  assert.deepEqual(received.message.log.slice(1), []);
  assert.equal(peer.core.activeRequests, 0);
});

test("a client keeps an early answer although its request was stopped (RFC 9114 §4.1)", () => {
  const { stream, response, request } = client(post);
  stream.sendStop(H3.NO_ERROR);
  assert.equal(request.sendData(text("more")), true);
  stream.send(concat([headers(ok), data("early")]), { fin: true });
  assert.deepEqual(response.log, ["stopped 0x100", "headers :status=200", "data 5", "end"]);
});

test("the end of the connection fails every open request, and only waiting ones as unprocessed", () => {
  const peer = new PeerOf({ role: "client" }, { bidirectional: 2 });
  const [done, open, waiting] = [new Recorder(), new Recorder(), new Recorder()];
  for (const response of [done, open, waiting]) {
    peer.core.request(get, response, { end: true });
  }
  peer.opened.find(({ id }) => id === 0)?.send(headers(ok), { fin: true });
  peer.core.closed({ type: "timeout", handshaking: false });
  assert.equal(done.error, undefined);
  for (const [response, unprocessed] of [
    [open, false],
    [waiting, true],
  ] as const) {
    assert.equal(response.error?.scope, "connection");
    assert.equal(response.error?.unprocessed, unprocessed);
    assert.deepEqual(response.error?.cause, { type: "timeout", handshaking: false });
  }
  assert.equal(peer.core.state, "closed");
  assert.equal(peer.core.activeRequests, 0);
  assert.equal(peer.core.queuedRequests, 0);
  assert.equal(peer.active, false);
});

test("a connection that we end for a fault tells every request which one", () => {
  const { peer, response } = client(get);
  peer.open("unidirectional", hex("00 0d 01 01"));
  peer.open("bidirectional");
  peer.core.closed({ type: "application", origin: "local", code: 0n, reason: "" });
  assert.equal(response.error?.code, H3.MISSING_SETTINGS);
  assert.equal(response.error?.origin, "local");
});

// Flow.

test("after the connection was ended for a fault, nobody hears that a stream was stopped or is writable", () => {
  const { peer, stream, received } = served(post);
  stream.credit = 0;
  received.stream.sendHeaders(ok);
  received.stream.sendData(text("abc"));
  const other = peer.open("bidirectional", headers(post));
  peer.requests[1]?.stream.sendHeaders(ok);
  peer.open("unidirectional", hex("00 0d 01 01"));
  assert.equal(peer.closedWith?.code, H3.MISSING_SETTINGS);
  stream.grant(1_000);
  other.sendStop(H3.NO_ERROR);
  for (const { message } of peer.requests) {
    assert.equal(message.log.length, 1, "the header section alone");
  }
});

test("a paused message leaves its bytes where they are, also in the middle of a chunk", () => {
  const { stream, received } = served(post);
  received.message.onCall = (name) => {
    if (name === "data") {
      received.stream.pause();
    }
  };
  stream.send(concat([data("one"), data("two"), headers([["a", "b"]])]));
  stream.send(nothing, { fin: true });
  assert.deepEqual(received.message.log.slice(1), ["data 3"]);
  received.stream.resume();
  assert.deepEqual(received.message.log.slice(1), ["data 3", "data 3"]);
  stream.send(nothing);
  received.stream.resume();
  assert.deepEqual(received.message.log.slice(-2), ["trailers a=b", "end"]);
});

test("pausing and resuming inside of a call does not deliver twice or out of order", () => {
  const { stream, received } = served(post);
  received.message.onCall = () => {
    received.stream.pause();
    received.stream.resume();
  };
  stream.send(concat([data("a"), data("bc"), data("def")]), { fin: true });
  assert.deepEqual(received.message.log.slice(1), ["data 1", "data 2", "data 3", "end"]);
});

test("what the peer has no credit for is kept in order, and the writer is told when it is gone", () => {
  const { stream, received } = served(get);
  stream.credit = 10;
  received.stream.sendHeaders(ok);
  assert.equal(received.stream.sendData(text("0123456789")), false);
  assert.equal(received.stream.sendData(text("abc")), false);
  assert.ok(stream.backlog > 0);
  stream.grant(5);
  assert.ok(!received.message.log.includes("writable"));
  stream.grant(100);
  assert.equal(received.message.log.filter((entry) => entry === "writable").length, 1);
  assert.equal(received.stream.sendData(text("!"), { end: true }), true);
  const { stream: other, response } = client(get);
  other.send(stream.bytes, { fin: true });
  assert.equal(concat(response.content).length, 14);
});

test("a request waits for a stream with all that was sent on it, in order (F14)", () => {
  const peer = new PeerOf({ role: "client" }, { bidirectional: 0 });
  const responses = [new Recorder(), new Recorder(), new Recorder()] as const;
  const first = peer.core.request(post, responses[0]);
  const second = peer.core.request(post, responses[1]);
  const third = peer.core.request(get, responses[2], { end: true });
  assert.equal(first.sendData(text("one")), false);
  assert.equal(first.sendData(text("two"), { end: true }), false);
  second.cancel(H3.REQUEST_CANCELLED);
  assert.equal(first.id, -1);
  assert.equal(peer.core.queuedRequests, 2);
  assert.equal(peer.core.activeRequests, 2);
  peer.allowed.bidirectional = 1;
  peer.core.streamsAvailable("bidirectional");
  assert.equal(first.id, 0);
  assert.equal(third.id, -1);
  assert.equal(peer.core.queuedRequests, 1);
  const server = new PeerOf({ role: "server" });
  const sent = peer.opened.find(({ id }) => id === 0);
  server.open("bidirectional", sent?.bytes).send(nothing, { fin: true });
  assert.deepEqual(server.requests[0]?.message.log.slice(1), ["data 3", "data 3", "end"]);
  assert.deepEqual(responses[1].log, []);
});

test("a request that waited and may send on is told so", () => {
  const peer = new PeerOf({ role: "client" }, { bidirectional: 0 });
  const response = new Recorder();
  const request = peer.core.request(post, response);
  assert.equal(request.sendData(text("one")), false);
  peer.allowed.bidirectional = 1;
  peer.core.streamsAvailable("bidirectional");
  peer.settle();
  assert.deepEqual(response.log, ["writable"]);
});

test("a request that comes too late may be sent on until it has failed", () => {
  const { peer } = client(get);
  peer.core.goaway();
  const response = new Recorder();
  const late = peer.core.request(post, response);
  late.sendData(text("abc"));
  late.end();
  assert.equal(late.id, -1);
  peer.settle();
  assert.deepEqual(response.log, ["failed"]);
  assert.equal(response.error?.unprocessed, true);
});

test("a waiting request whose response is not wanted is stopped when its stream opens", () => {
  const peer = new PeerOf({ role: "client" }, { bidirectional: 0 });
  const request = peer.core.request(post, new Recorder());
  request.stopReceiving(H3.NO_ERROR);
  peer.allowed.bidirectional = 1;
  peer.core.streamsAvailable("bidirectional");
  assert.equal(peer.opened.at(-1)?.stopCode, H3.NO_ERROR);
});

test("a section above the peer's limit fails its message here, and nothing of it is sent (RFC 9114 §4.2.2)", () => {
  const { peer, stream, received } = served(get);
  peer.open("unidirectional", concat([hex("00"), frame(0x04, hex("06 4040"))]));
  received.stream.sendHeaders([...ok, ["a", "b".repeat(64)]]);
  received.stream.sendData(text("not this either"));
  assert.equal(stream.written.length, 0);
  assert.ok(!received.message.log.includes("failed"));
  peer.settle();
  assert.equal(received.message.error?.code, H3.EXCESSIVE_LOAD);
  assert.equal(received.message.error?.scope, "stream");
  assert.equal(received.message.error?.origin, "local");
  assert.equal(stream.resetCode, H3.REQUEST_CANCELLED);
  assert.equal(peer.core.activeRequests, 0);
});

test("a header section that needs QPACK inserts waits for them, and holds the stream (RFC 9204 §2.2.1)", () => {
  const { encoder, peer } = encoderOf({ role: "server" });
  const fields = [...get, ["x-custom", "some value"] as const];
  const blocked = insertFirst(encoder, fields);
  const stream = peer.open("bidirectional", frame(0x01, blocked.section));
  stream.send(data("abc"), { fin: true });
  assert.equal(peer.requests.length, 0);
  assert.ok(stream.unread > 0);
  peer.open("unidirectional", concat([hex("02"), blocked.instructions]));
  assert.deepEqual(peer.requests[0]?.message.log.slice(1), ["data 3", "end"]);
  peer.settle();
  assert.equal(peer.opened.at(-1)?.bytes[0], 0x03, "the decoder stream acknowledges");
});

test("of two sections that came free at once, the second is not told after the first ended the connection", () => {
  const { encoder, peer } = encoderOf({ role: "server" });
  const blocked = insertFirst(encoder, [...get, ["x-custom", "some value"]]);
  const streams = [0, 1].map(() => peer.open("bidirectional", frame(0x01, blocked.section)));
  // A frame that must not be on a request stream (RFC 9114 §7.2.4).
  streams[0]?.send(frame(0x04));
  peer.open("unidirectional", concat([hex("02"), blocked.instructions]));
  assert.equal(peer.closedWith?.code, H3.FRAME_UNEXPECTED);
  assert.equal(peer.requests.length, 1);
});

test("of two sections that came free at once, the second is not told when the first made it unwanted", () => {
  const { encoder, peer } = encoderOf({ role: "client" });
  const blocked = insertFirst(encoder, [["x-custom", "some value"]]);
  const [first, second] = [new Recorder(), new Recorder()];
  const requests = [first, second].map((response) => peer.core.request(get, response));
  for (const { id } of requests) {
    const trailers = frame(0x01, blocked.section);
    peer.opened.find((stream) => stream.id === id)?.send(concat([headers(ok), trailers]));
  }
  first.onCall = () => requests[1]?.stopReceiving(H3.NO_ERROR);
  peer.open("unidirectional", concat([hex("02"), blocked.instructions]));
  assert.deepEqual(first.log, ["headers :status=200", "trailers x-custom=some value"]);
  assert.deepEqual(second.log, ["headers :status=200"]);
});

test("more blocked streams than we allow end the connection (RFC 9204 §2.1.2)", () => {
  const { encoder, peer } = encoderOf({ role: "server", limits: { qpackBlockedStreams: 1 } });
  const { section: blocked } = insertFirst(encoder, [...get, ["x-custom", "some value"]]);
  peer.open("bidirectional", frame(0x01, blocked));
  assert.equal(peer.core.state, "open");
  peer.open("bidirectional", frame(0x01, blocked));
  assert.equal(peer.closedWith?.code, 0x200n);
});

test("what is sent wrong by the caller throws and does no harm", () => {
  const { peer, received } = served(get);
  const { stream } = received;
  assert.throws(() => peer.core.request(get, new Recorder()), TypeError);
  assert.throws(() => stream.sendData(text("x")), TypeError);
  assert.throws(() => stream.end(), TypeError);
  assert.throws(() => stream.sendHeaders([["a", "b"]]), TypeError);
  assert.throws(() => stream.sendHeaders([...ok, ["A", "b"]]), TypeError);
  assert.throws(() => stream.sendHeaders([...ok, ["a", "b\r\nc: d"]]), TypeError);
  assert.throws(() => stream.sendHeaders([...ok, ["a", "\u0100"]]), TypeError);
  assert.throws(() => stream.sendHeaders([[":status", "103"]], { end: true }), TypeError);
  stream.sendHeaders(ok);
  assert.throws(() => stream.sendHeaders(ok), TypeError);
  assert.throws(() => stream.sendTrailers(ok), TypeError);
  stream.end();
  stream.end();
  assert.throws(() => stream.sendData(text("x")), TypeError);
  assert.throws(() => stream.sendTrailers([]), TypeError);
  const { peer: other } = client(get);
  assert.throws(() => other.core.request([[":method", "GET"]], new Recorder()), TypeError);
  assert.equal(other.core.activeRequests, 1);
});

test("a handler that throws ends its own stream alone, with H3_INTERNAL_ERROR", () => {
  for (const name of ["headers", "data", "trailers", "end"] as const) {
    const bug = new Error("bug");
    const message = new Recorder();
    message.onCall = (call) => {
      if (call === name) {
        throw bug;
      }
    };
    const peer = new PeerOf({ role: "server", onRequest: () => message });
    const stream = peer.open(
      "bidirectional",
      concat([headers(post), data("abc"), headers([["a", "b"]])]),
    );
    stream.send(nothing, { fin: true });
    assert.equal(message.error?.code, H3.INTERNAL_ERROR);
    assert.equal(message.error?.cause, bug);
    assert.equal(stream.resetCode, H3.INTERNAL_ERROR);
    assert.equal(peer.closedWith, undefined);
    assert.equal(peer.core.activeRequests, 0);
  }
});

test("settings of extensions are sent (RFC 9114 §9)", () => {
  const peer = new PeerOf({ role: "server", extensionSettings: new Map([[0x33, 1]]) });
  assert.equal(
    decodeSettings(peer.opened[0]?.bytes.subarray(3) ?? nothing).extensions.get(0x33),
    1,
  );
});

function client(
  fields: Parameters<PeerOf["core"]["request"]>[0],
  options?: Parameters<PeerOf["core"]["request"]>[2],
) {
  const peer = new PeerOf({ role: "client" });
  const response = new Recorder();
  const request = peer.core.request(fields, response, options);
  const stream = peer.opened.find(({ id }) => id === request.id);
  assert.ok(stream);
  return { peer, response, request, stream };
}

function served(fields: Parameters<typeof headers>[0]) {
  const peer = new PeerOf({ role: "server" });
  const stream: PeerStream = peer.open("bidirectional", headers(fields));
  const [received] = peer.requests;
  assert.ok(received, peer.closedWith?.reason);
  return { peer, stream, received };
}

function encoderOf(options: Http3CoreOptions) {
  const encoder = new QpackEncoder();
  encoder.setPeerLimits({ maxTableCapacity: 4_096, blockedStreams: 16 });
  return { encoder, peer: new PeerOf(options) };
}

/** A section that refers to entries which the instructions insert. */
function insertFirst(encoder: QpackEncoder, fields: Parameters<typeof section>[0]) {
  const instructions: Uint8Array[] = [];
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const encoded = encoder.encode(attempt * 4, fields);
    instructions.push(encoder.takeEncoderStream() ?? nothing);
    if (encoded[0] !== 0) {
      return { section: encoded, instructions: concat(instructions) };
    }
  }
  return assert.fail("the encoder does not use its table");
}
