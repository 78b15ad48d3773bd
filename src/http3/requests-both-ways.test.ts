// Requests of servers, by our extension (docs/requests-both-ways.md).

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import {
  concat,
  frame,
  get,
  headers,
  hex,
  ok,
  PeerOf,
  Recorder,
  varint,
} from "../../test/support/http3-peer.ts";
import { JoinedCores } from "../../test/support/joined-cores.ts";
import { H3 } from "./h3-error.ts";
import { defaultHttp3Limits } from "./http3-limits.ts";
import type { FieldSection } from "./qpack/field.ts";
import { decodeSettings, requestsBothWaysSetting } from "./settings.ts";

const nothing = hex("");
const offering = { requestsBothWays: true };

/** The peer's control stream, which says 0, 1, another number or nothing of requests both ways. */
function control(value: number | undefined, ...frames: readonly Uint8Array[]): Uint8Array {
  const setting = value === undefined ? [] : [varint(requestsBothWaysSetting), varint(value)];
  return concat([hex("00"), frame(0x04, ...setting), ...frames]);
}

function settingsOf(peer: PeerOf): ReadonlyMap<number, number> {
  return decodeSettings(peer.opened[0]?.bytes.subarray(3) ?? nothing).extensions;
}

function lastGoaway(peer: PeerOf): readonly number[] {
  return [...(peer.opened[0]?.bytes.subarray(-3) ?? [])];
}

test("the identifier is none of those that mean nothing, or that others have (RFC 9114 §7.2.4.1)", () => {
  assert.notEqual((requestsBothWaysSetting - 0x21) % 0x1f, 0);
  assert.equal(requestsBothWaysSetting, 0x64eda65);
});

test("requests both ways are offered where that was asked for, and nowhere else", () => {
  for (const role of ["client", "server"] as const) {
    assert.equal(settingsOf(new PeerOf({ role, ...offering })).get(requestsBothWaysSetting), 1);
    assert.equal(settingsOf(new PeerOf({ role })).has(requestsBothWaysSetting), false);
  }
});

test("a server sends requests when both sides have offered it, and not before it knows", () => {
  const agreed = new PeerOf({ role: "server", ...offering });
  assert.equal(agreed.core.sendsRequests, undefined);
  assert.throws(() => agreed.core.request(get, new Recorder()), TypeError);
  agreed.open("unidirectional", control(1));
  assert.equal(agreed.core.sendsRequests, true);
  assert.equal(agreed.settingsArrived, 1);
  const response = new Recorder();
  const request = agreed.core.request(get, response, { end: true });
  assert.equal(request.id, 1);
  const stream = agreed.opened.find(({ id }) => id === 1);
  stream?.send(headers(ok), { fin: true });
  assert.deepEqual(response.log, ["headers :status=200", "end"]);

  for (const [own, theirs] of [
    [offering, 0],
    [offering, undefined],
    [{}, 1],
  ] as const) {
    const peer = new PeerOf({ role: "server", ...own });
    peer.open("unidirectional", control(theirs));
    assert.equal(peer.core.sendsRequests, false);
    assert.throws(() => peer.core.request(get, new Recorder()), TypeError);
    assert.equal(peer.closedWith, undefined);
  }
});

test("a client answers requests of a server that has offered it", () => {
  const peer = new PeerOf({ role: "client", ...offering });
  peer.open("unidirectional", control(1));
  const stream = peer.open("bidirectional", headers(get));
  stream.send(nothing, { fin: true });
  const [received] = peer.requests;
  assert.equal(received?.stream.id, 1);
  assert.equal(received?.message.log.at(-1), "end");
  received?.stream.sendHeaders(ok, { end: true });
  assert.ok(stream.finished);
  assert.equal(peer.core.activeRequests, 0);
});

test("a request that overtakes the server's SETTINGS waits for them", () => {
  const peer = new PeerOf({ role: "client", ...offering });
  const stream = peer.open("bidirectional", headers(get));
  stream.send(nothing, { fin: true });
  assert.equal(stream.unread, headers(get).length, "nothing is read");
  assert.equal(peer.requests.length, 0);
  peer.open("unidirectional", control(1));
  assert.equal(peer.requests[0]?.message.log.at(-1), "end");
});

test("a server that has not offered it may open no bidirectional stream (RFC 9114 §6.1)", () => {
  for (const value of [0, undefined]) {
    const before = new PeerOf({ role: "client", ...offering });
    const stream = before.open("bidirectional", headers(get));
    assert.equal(before.closes, 0);
    before.open("unidirectional", control(value));
    assert.equal(before.closedWith?.code, H3.STREAM_CREATION_ERROR);
    assert.equal(before.requests.length, 0);
    stream.send(headers(get));

    const after = new PeerOf({ role: "client", ...offering });
    after.open("unidirectional", control(value));
    assert.equal(after.closes, 0);
    after.open("bidirectional", headers(get));
    assert.equal(after.closedWith?.code, H3.STREAM_CREATION_ERROR);
    assert.equal(after.requests.length, 0);
  }
  const plain = new PeerOf({ role: "client" });
  plain.open("unidirectional", control(1));
  plain.open("bidirectional", headers(get));
  assert.equal(plain.closedWith?.code, H3.STREAM_CREATION_ERROR);
});

test("requests of a server whose SETTINGS never come are rejected in time (RFC 9114 §10.5)", () => {
  const peer = new PeerOf({ role: "client", ...offering });
  const early = Array.from({ length: 1_000 }, () => peer.open("bidirectional", headers(get)));
  assert.ok(
    early.every(({ unread }) => unread > 0),
    "what they sent is left to flow control",
  );
  const reset = peer.open("bidirectional", headers(get));
  reset.sendReset(H3.REQUEST_CANCELLED);
  peer.advance(defaultHttp3Limits.headersTimeoutMs);
  assert.ok(early.every(({ resetCode }) => resetCode === H3.REQUEST_REJECTED));
  assert.equal(peer.core.activeRequests, 0);
  assert.equal(peer.requests.length, 0);
});

test("a server that gives up too many of its requests loses the connection (RFC 9114 §10.5)", () => {
  const peer = new PeerOf({ role: "client", ...offering });
  peer.open("unidirectional", control(1));
  for (let count = 0; count <= defaultHttp3Limits.maxResets; count += 1) {
    assert.equal(peer.closes, 0);
    peer.open("bidirectional", headers(get)).sendReset(H3.REQUEST_CANCELLED);
  }
  assert.equal(peer.closedWith?.code, H3.EXCESSIVE_LOAD);
});

test("the setting is 0 or 1, for whoever knows it (RFC 9114 §7.2.4)", () => {
  for (const role of ["client", "server"] as const) {
    const peer = new PeerOf({ role, ...offering });
    peer.open("unidirectional", control(2));
    assert.equal(peer.closedWith?.code, H3.SETTINGS_ERROR);
    const plain = new PeerOf({ role });
    plain.open("unidirectional", control(2));
    assert.equal(plain.closedWith, undefined);
  }
});

test("the GOAWAY of a client that takes requests names the first that it does not take (RFC 9114 §5.2)", () => {
  const idle = new PeerOf({ role: "client", ...offering });
  idle.core.goaway();
  assert.deepEqual(lastGoaway(idle), [0x07, 0x01, 0x01], "also before the server's SETTINGS");

  const peer = new PeerOf({ role: "client", ...offering });
  peer.open("unidirectional", control(1));
  const stream = peer.open("bidirectional", headers(get));
  peer.core.goaway();
  assert.deepEqual(lastGoaway(peer), [0x07, 0x01, 0x05]);
  const late = peer.open("bidirectional", headers(get));
  assert.equal(late.resetCode, H3.REQUEST_REJECTED);
  assert.equal(late.stopCode, H3.REQUEST_REJECTED);
  peer.settle();
  assert.deepEqual([...(peer.opened.at(-1)?.bytes ?? [])], [0x03, 0x45], "RFC 9204 §2.2.2.2");
  stream.send(nothing, { fin: true });
  peer.requests[0]?.stream.sendHeaders(ok, { end: true });
  assert.equal(peer.isDrained, false);
  stream.acknowledge();
  assert.equal(peer.isDrained, true);
});

test("a client's GOAWAY fails what a server has sent beyond it, as unprocessed (RFC 9114 §5.2)", () => {
  const peer = new PeerOf({ role: "server", ...offering }, { bidirectional: 2 });
  const stream = peer.open("unidirectional", control(1));
  const responses = [1, 2, 3].map(() => new Recorder());
  for (const response of responses) {
    peer.core.request(get, response, { end: true });
  }
  stream.send(frame(0x07, hex("05")));
  assert.deepEqual(
    responses.map(({ error }) => error?.unprocessed),
    [undefined, true, true],
  );
  assert.equal(peer.goaways, 1);
  peer.open("bidirectional", headers(get));
  assert.equal(peer.requests.length, 1, "the client's own requests go on");
});

test("a client's GOAWAY names a request of the server's where both send them (RFC 9114 §7.2.6)", () => {
  for (const [value, id, code] of [
    [1, "00", H3.ID_ERROR],
    [1, "04", H3.ID_ERROR],
    [1, "07", H3.ID_ERROR],
    [1, "09", undefined],
    [0, "04", undefined],
    [undefined, "07", undefined],
  ] as const) {
    const peer = new PeerOf({ role: "server", ...offering });
    peer.open("unidirectional", control(value, frame(0x07, hex(id))));
    assert.equal(peer.closedWith?.code, code, `${value} ${id}`);
  }
});

test("both sides get the answers to their requests, whatever overtakes what", () => {
  const answered = { client: 0, server: 0 };
  fuzz(
    fc.tuple(fc.integer({ min: 1, max: 2 ** 31 - 2 }), fc.array(fc.boolean(), { maxLength: 40 })),
    ([seed, senders]) => {
      let state = seed;
      const random = (): number => {
        state = (state * 48_271) % 2_147_483_647;
        return state / 2_147_483_647;
      };
      const options = {
        ...offering,
        limits: { qpackMaxTableCapacity: 220 },
        qpackEncoder: { maxBlockedStreams: 16 },
      };
      const cores = new JoinedCores(random, {
        client: { ...options, onRequest: answer },
        server: { ...options, onRequest: answer },
        slow: random(),
      });
      const expected: [from: "client" | "server", response: Recorder, head: string][] = [];
      for (const [index, byServer] of senders.entries()) {
        const from = byServer ? "server" : "client";
        const { core } = cores[from];
        if (core.sendsRequests === true) {
          const response = new Recorder();
          const value = `value ${index % 5}`;
          core.request([...get, ["x-a", value], ["x-b", `${index}`]], response, { end: true });
          expected.push([from, response, `headers :status=200 x-a=${value} x-b=${index}`]);
        }
        for (let steps = random() * 12; steps > 0; steps -= 1) {
          cores.step();
        }
      }
      cores.run();
      for (const [from, response, head] of expected) {
        assert.deepEqual(response.log, [head, "end"]);
        answered[from] += 1;
      }
      for (const { closedWith, core } of [cores.client, cores.server]) {
        assert.equal(closedWith, undefined, closedWith?.reason);
        assert.equal(core.activeRequests, 0);
      }
    },
    300,
  );
  assert.ok(answered.client > 200 && answered.server > 200, JSON.stringify(answered));
});

/** Gives back the fields of a request at its end. */
function answer(
  stream: { sendHeaders(fields: FieldSection, options: { end: boolean }): void },
  fields: FieldSection,
): Recorder {
  const message = new Recorder();
  message.onCall = (name) => {
    if (name === "end") {
      stream.sendHeaders([...ok, ...fields.filter(([field]) => field.startsWith("x-"))], {
        end: true,
      });
    }
  };
  return message;
}
