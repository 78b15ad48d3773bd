// What a peer may do wrong, at the core alone. Every case runs with the bytes whole, cut in two at every place, and one by
// one.

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Fault, faults } from "../../test/support/http3-faults.ts";
import { get, hex, PeerOf, type PeerStream, Recorder } from "../../test/support/http3-peer.ts";
import { H3 } from "./h3-error.ts";

for (const fault of faults) {
  const scope = fault.scope === "connection" ? "the connection" : "the stream alone";
  test(`${fault.name} at a ${fault.role}: ends ${scope}`, () => {
    check(fault, (bytes) => [bytes]);
    const longest = Math.max(...fault.acts.map(({ bytes }) => bytes.length));
    for (let at = 1; at < Math.min(longest, 300); at += 1) {
      check(fault, (bytes) => [bytes.subarray(0, at), bytes.subarray(at)]);
    }
    check(fault, (bytes) => Array.from(bytes, (_, index) => bytes.subarray(index, index + 1)));
  });
}

function check(fault: Fault, cut: (bytes: Uint8Array) => readonly Uint8Array[]): void {
  const { peer, streams, response } = play(fault, cut);
  if (fault.scope === "connection") {
    assert.equal(peer.closedWith?.code, fault.code, peer.closedWith?.reason);
    assert.match(peer.closedWith?.reason ?? "", /RFC|QPACK|field|table|instruction|SETTINGS/);
    return;
  }
  assert.equal(peer.closedWith, undefined, peer.closedWith?.reason);
  const stream = streams.get("bidi");
  assert.equal(stream?.resetCode ?? stream?.stopCode, fault.code);
  const heard = response ?? peer.requests[0]?.message;
  if (heard !== undefined) {
    assert.equal(heard.error?.code, fault.code);
    assert.equal(heard.error?.scope, "stream");
    assert.equal(heard.error?.origin, "local");
    assert.equal(heard.log.filter((entry) => entry === "failed").length, 1);
  }
}

function play(fault: Fault, cut: (bytes: Uint8Array) => readonly Uint8Array[]) {
  const peer = new PeerOf({ role: fault.role });
  const streams = new Map<string, PeerStream>();
  let response: Recorder | undefined;
  if (fault.role === "client") {
    response = new Recorder();
    const { id } = peer.core.request(get, response);
    const stream = peer.opened.find((opened) => opened.id === id);
    assert.ok(stream);
    streams.set("bidi", stream);
  }
  for (const act of fault.acts) {
    const stream =
      streams.get(act.on) ?? peer.open(act.on === "bidi" ? "bidirectional" : "unidirectional");
    streams.set(act.on, stream);
    for (const piece of cut(act.bytes)) {
      stream.send(piece);
    }
    if (act.close === "fin") {
      stream.send(hex(""), { fin: true });
    } else if (act.close === "reset") {
      stream.sendReset(H3.NO_ERROR);
    }
  }
  peer.settle();
  return { peer, streams, response };
}
