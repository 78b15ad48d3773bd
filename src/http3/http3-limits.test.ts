// Peers that mean no good: each meets a limit, and what they cost stays bounded.

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
  post,
  Recorder,
  section,
  text,
  varint,
} from "../../test/support/http3-peer.ts";
import { H3 } from "./h3-error.ts";
import { defaultHttp3Limits } from "./http3-limits.ts";
import { QpackEncoder } from "./qpack/qpack-encoder.ts";

const { headersTimeoutMs, floodWindowMs, maxResets, maxIgnoredFrames, maxIgnoredStreams } =
  defaultHttp3Limits;
const nothing = hex("");

test("streams that are opened and say nothing are rejected in time (RFC 9114 §10.5)", () => {
  const peer = new PeerOf({ role: "server" });
  const silent = Array.from({ length: 1_000 }, () => peer.open("bidirectional"));
  peer.advance(headersTimeoutMs - 1);
  assert.ok(silent.every(({ resetCode }) => resetCode === undefined));
  const late = peer.open("bidirectional");
  peer.advance(1);
  assert.ok(silent.every(({ resetCode }) => resetCode === H3.REQUEST_REJECTED));
  assert.ok(silent.every(({ stopCode }) => stopCode === H3.REQUEST_REJECTED));
  assert.equal(late.resetCode, undefined);
  assert.equal(peer.core.activeRequests, 1);
  peer.advance(headersTimeoutMs);
  assert.equal(late.resetCode, H3.REQUEST_REJECTED);
  assert.equal(peer.core.activeRequests, 0);
});

test("half a header section is rejected in time, however it dribbles in (RFC 9114 §10.5)", () => {
  const peer = new PeerOf({ role: "server" });
  const other = peer.open("bidirectional", headers(get));
  const stream = peer.open("bidirectional");
  const bytes = headers([...get, ["a", "b".repeat(100)]]);
  for (let second = 0; second < headersTimeoutMs / 1_000; second += 1) {
    assert.equal(stream.resetCode, undefined);
    stream.send(bytes.subarray(second, second + 1));
    peer.advance(1_000);
  }
  assert.equal(stream.resetCode, H3.REQUEST_REJECTED);
  assert.equal(peer.requests.length, 1, "nobody has seen it");
  peer.requests[0]?.stream.sendHeaders(ok, { end: true });
  assert.ok(other.finished, "others go on");
});

test("content may dribble, a trailer section may not", () => {
  const peer = new PeerOf({ role: "server" });
  const stream = peer.open("bidirectional", concat([headers(post), hex("00 40ff")]));
  for (let second = 0; second < 100; second += 1) {
    peer.advance(1_000);
    stream.send(hex("aa"));
  }
  const [received] = peer.requests;
  assert.equal(received?.message.content.length, 100);
  stream.send(new Uint8Array(155));
  stream.send(hex("01 20 00"));
  peer.advance(headersTimeoutMs);
  assert.equal(received?.message.error?.code, H3.REQUEST_CANCELLED);
  assert.equal(stream.resetCode, H3.REQUEST_CANCELLED);
});

test("a response may take its time, half a response may not", () => {
  const peer = new PeerOf({ role: "client" });
  const response = new Recorder();
  peer.core.request(get, response, { end: true });
  const stream = peer.opened.at(-1);
  peer.advance(10 * headersTimeoutMs);
  assert.deepEqual(response.log, []);
  stream?.send(hex("01 20"));
  peer.advance(headersTimeoutMs);
  assert.equal(response.error?.code, H3.REQUEST_CANCELLED);
  assert.equal(response.error?.origin, "local");
});

test("a section that waits for inserts which never come is rejected in time (RFC 9204 §7.3)", () => {
  const encoder = new QpackEncoder();
  encoder.setPeerLimits({ maxTableCapacity: 4_096, blockedStreams: 16 });
  const peer = new PeerOf({ role: "server" });
  let blocked = section(get);
  while (blocked[0] === 0) {
    blocked = encoder.encode(0, [...get, ["x-custom", "some value"]]);
  }
  const stream = peer.open("bidirectional", frame(0x01, blocked));
  peer.advance(headersTimeoutMs);
  assert.equal(stream.resetCode, H3.REQUEST_REJECTED);
  peer.open("unidirectional", concat([hex("02"), encoder.takeEncoderStream() ?? nothing]));
  assert.equal(peer.requests.length, 0);
  assert.equal(peer.core.state, "open");
});

test("10,000 resets end the connection at the limit, and not before (RFC 9114 §10.5)", () => {
  const peer = new PeerOf({ role: "server" });
  let opened = 0;
  while (peer.closedWith === undefined && opened < 10_000) {
    opened += 1;
    peer.open("bidirectional", headers(get)).sendReset(H3.REQUEST_CANCELLED);
  }
  assert.equal(opened, maxResets + 1);
  assert.equal(peer.closedWith?.code, H3.EXCESSIVE_LOAD);
});

test("stopping and resetting a request counts once, and so does stopping alone", () => {
  const peer = new PeerOf({ role: "server", limits: { maxResets: 10 } });
  for (let count = 0; count < 5; count += 1) {
    const stream = peer.open("bidirectional", headers(get));
    stream.sendStop(H3.REQUEST_CANCELLED);
    stream.sendReset(H3.REQUEST_CANCELLED);
  }
  assert.equal(peer.core.state, "open");
  for (let count = 0; count < 6; count += 1) {
    peer.open("bidirectional", headers(get)).sendStop(H3.REQUEST_CANCELLED);
  }
  assert.equal(peer.closedWith?.code, H3.EXCESSIVE_LOAD);
});

test("a peer that gets answers may give up as many requests more, and time forgives", () => {
  const peer = new PeerOf({ role: "server", limits: { maxResets: 5 } });
  const giveUp = (count: number): void => {
    for (let done = 0; done < count; done += 1) {
      peer.open("bidirectional", headers(get)).sendReset(H3.REQUEST_CANCELLED);
    }
  };
  giveUp(5);
  for (let count = 0; count < 20; count += 1) {
    peer.open("bidirectional", headers(get));
    peer.requests.at(-1)?.stream.sendHeaders(ok, { end: true });
  }
  giveUp(20);
  assert.equal(peer.core.state, "open");
  peer.advance(floodWindowMs);
  giveUp(5);
  assert.equal(peer.core.state, "open");
  giveUp(1);
  assert.equal(peer.closedWith?.code, H3.EXCESSIVE_LOAD);
});

test("giving up what we have answered costs a peer nothing", () => {
  const peer = new PeerOf({ role: "server", limits: { maxResets: 0 } });
  const stream = peer.open("bidirectional", headers(post));
  peer.requests[0]?.stream.sendHeaders(ok, { end: true });
  stream.sendReset(H3.REQUEST_CANCELLED);
  assert.equal(peer.core.state, "open");
});

for (const [name, useless] of [
  ["unknown frames", frame(0x21)],
  ["long unknown frames", frame(0x21, new Uint8Array(1_000))],
  ["DATA frames without bytes", frame(0x00)],
] as const) {
  test(`${name} without end are too much at some point (RFC 9114 §10.5)`, () => {
    const peer = new PeerOf({ role: "server" });
    const stream = peer.open("bidirectional", headers(post));
    let sent = 0;
    while (peer.closedWith === undefined && sent < 10_000) {
      sent += 1;
      stream.send(useless);
    }
    assert.equal(sent, maxIgnoredFrames + 1);
    assert.equal(peer.closedWith?.code, H3.EXCESSIVE_LOAD);
  });
}

test("the control stream cannot be used to keep us busy (RFC 9114 §10.5)", () => {
  for (const useless of [frame(0x21), frame(0x07, hex("00")), frame(0x0d, hex("00"))]) {
    const peer = new PeerOf({ role: "server" });
    const control = peer.open("unidirectional", hex("000400"));
    for (let sent = 0; sent <= maxIgnoredFrames; sent += 1) {
      control.send(useless);
    }
    assert.equal(peer.closedWith?.code, H3.EXCESSIVE_LOAD);
  }
});

test("padding by a few frames for each request goes on for ever", () => {
  const peer = new PeerOf({ role: "server" });
  for (let count = 0; count < 5_000; count += 1) {
    const grease = frame(0x21 + 0x1f * (count % 100), text("padding"));
    const stream = peer.open("bidirectional", concat([grease, headers(get), grease]));
    stream.send(grease, { fin: true });
    peer.requests.pop()?.stream.sendHeaders(ok, { end: true });
    stream.acknowledge();
  }
  assert.equal(peer.closedWith, undefined);
});

test("unidirectional streams of unknown type are stopped, and at some point too many (RFC 9114 §10.5)", () => {
  const peer = new PeerOf({ role: "server" });
  for (let count = 0; count < maxIgnoredStreams; count += 1) {
    assert.equal(peer.open("unidirectional", varint(0x54)).stopCode, H3.STREAM_CREATION_ERROR);
  }
  assert.equal(peer.core.state, "open");
  peer.open("unidirectional", varint(0x54));
  assert.equal(peer.closedWith?.code, H3.EXCESSIVE_LOAD);
});

test("parts of sections on many streams are bounded together: one stream more fails alone", () => {
  const peer = new PeerOf({ role: "server", limits: { maxPartialSectionBytes: 10_000 } });
  const begun = concat([hex("01"), varint(60_000), new Uint8Array(3_000)]);
  const streams = Array.from({ length: 4 }, () => peer.open("bidirectional", begun));
  assert.deepEqual(
    streams.map(({ resetCode }) => resetCode),
    [undefined, undefined, undefined, H3.EXCESSIVE_LOAD],
  );
  streams[0]?.sendReset(H3.NO_ERROR);
  const another = peer.open("bidirectional", begun);
  assert.equal(another.resetCode, undefined, "what was given up counts no more");
  peer.advance(headersTimeoutMs);
  for (let count = 0; count < 3; count += 1) {
    assert.equal(peer.open("bidirectional", begun).resetCode, undefined);
  }
});

test("a section is kept as it comes, not as long as it says to be", () => {
  const peer = new PeerOf({ role: "server", limits: { maxPartialSectionBytes: 10_000 } });
  for (let count = 0; count < 1_000; count += 1) {
    const stream = peer.open("bidirectional", concat([hex("01"), varint(65_536), hex("00")]));
    assert.equal(stream.resetCode, undefined);
  }
});

test("a content-length of 2 GiB makes us hold nothing", () => {
  const peer = new PeerOf({ role: "server" });
  const stream = peer.open(
    "bidirectional",
    concat([headers([...post, ["content-length", "2147483648"]]), hex("00"), varint(2 ** 31)]),
  );
  const chunk = new Uint8Array(1_000);
  stream.send(chunk);
  assert.equal(peer.requests[0]?.message.content.length, 1);
  peer.requests[0]?.stream.pause();
  stream.send(chunk);
  assert.equal(stream.unread, 1_000, "left to flow control");
});

test("a peer that ignores STOP_SENDING is not read", () => {
  const peer = new PeerOf({ role: "server" });
  const stream = peer.open("bidirectional", headers(post));
  peer.requests[0]?.stream.stopReceiving(H3.NO_ERROR);
  peer.requests[0]?.stream.sendHeaders(ok, { end: true });
  assert.equal(stream.core?.wantsBytes, false);
  assert.equal(peer.core.activeRequests, 0);
});

test("a peer that gives our QPACK streams no credit cannot make us keep more than the limit", () => {
  const peer = new PeerOf(
    { role: "server", limits: { maxControlBacklog: 500, maxResets: 10_000 } },
    { unidirectional: 1 },
  );
  let opened = 0;
  while (peer.closedWith === undefined && opened < 5_000) {
    opened += 1;
    // Each of these is to be told to the peer's encoder.
    peer.open("bidirectional", headers(get)).sendReset(H3.REQUEST_CANCELLED);
    peer.settle();
  }
  assert.equal(peer.closedWith?.code, H3.EXCESSIVE_LOAD);
  assert.ok(opened < 600);
});

test("after the connection was ended for a fault, nothing more is read or told", () => {
  const peer = new PeerOf({ role: "server" });
  const stream = peer.open("bidirectional", headers(post));
  peer.open("unidirectional", hex("00 0d 01 01"));
  stream.send(frame(0x00, text("abc")));
  const control = peer.open("unidirectional", hex("000400"));
  assert.equal(stream.core?.wantsBytes, false);
  assert.equal(control.core?.wantsBytes, false);
  assert.equal(peer.requests[0]?.message.log.length, 1);
  peer.advance(headersTimeoutMs);
});
