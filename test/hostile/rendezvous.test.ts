// A place of rendezvous among those who want to deceive or exhaust it.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { EndpointAddr } from "../../src/identity/endpoint-addr.ts";
import { createQuicTransport, Endpoint, SecretKey } from "../../src/index.ts";
import {
  RegistrationRefusedSchema,
  RegistrationSchema,
  RendezvousService,
  type SignedRegistration,
  SignedRegistrationSchema,
} from "../../src/rendezvous/gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { signRegistration } from "../../src/rendezvous/registration.ts";
import type { RendezvousHostOptions } from "../../src/rendezvous/rendezvous-host.ts";
import { type Place, paperPeer, startPlace } from "../rendezvous/place.ts";
import { hasCode } from "../support/expect-code.ts";
import { loopback } from "../support/peers.ts";
import { stayAlive } from "../support/stay-alive.ts";

stayAlive();

type Calls = Client<typeof RendezvousService>;

let lastUs = 0n;

function signed(
  key: SecretKey,
  {
    audience = "",
    offMs = 0,
    labels = {},
  }: { audience?: string; offMs?: number; labels?: Record<string, string> } = {},
): SignedRegistration {
  const nowUs = BigInt(Date.now()) * 1_000n;
  lastUs = nowUs <= lastUs ? lastUs + 1n : nowUs;
  return signRegistration(key, {
    addr: new EndpointAddr(key.publicKey),
    namespace: "",
    audience,
    signedUs: lastUs + BigInt(offMs) * 1_000n,
    services: [],
    labels,
  }).signed;
}

async function start(
  t: TestContext,
  options?: RendezvousHostOptions,
): Promise<{ place: Place; calls: Calls }> {
  const place = await startPlace(t, options);
  return { place, calls: createClient(RendezvousService, await place.transport("http")) };
}

test("nobody registers for another: forged, bent and mixed signatures are Unauthenticated", async (t) => {
  const { calls } = await start(t);
  const victim = SecretKey.generate();
  const { registration, signature } = signed(victim);
  const ofAttacker = signed(SecretKey.generate());
  const forgeries = [
    ofAttacker.signature,
    new Uint8Array(),
    new Uint8Array(64),
    signature.slice(0, 63),
    signature.map((byte, index) => (index === 5 ? byte ^ 1 : byte)),
  ];
  for (const forged of forgeries) {
    const request = create(SignedRegistrationSchema, { registration, signature: forged });
    await assert.rejects(calls.register({ registration: request }), hasCode(Code.Unauthenticated));
  }
  assert.deepEqual((await calls.lookUp({})).peers, []);
});

test("a registration is taken once: not again, not after its end, and not out of what others looked up", async (t) => {
  const { calls } = await start(t);
  const key = SecretKey.generate();
  const registration = signed(key);
  const { lease } = await calls.register({ registration });
  const refused = (error: unknown): true => {
    hasCode(Code.Aborted, /not newer/)(error);
    const [details] = ConnectError.from(error).findDetails(RegistrationRefusedSchema);
    assert.ok(details !== undefined && details.notBeforeUs > 0n, "it says from when on");
    return true;
  };
  await assert.rejects(calls.register({ registration }), refused);
  const { peers } = await calls.lookUp({});
  const [found] = peers;
  assert.ok(found?.registration, "it is told as it was signed");
  await assert.rejects(calls.register({ registration: found.registration }), refused);
  await calls.unregister({ lease: { endpointId: key.publicKey.bytes, lease } });
  await assert.rejects(calls.register({ registration }), refused);
  assert.deepEqual((await calls.lookUp({})).peers, []);
});

test("dates that are far off, and registrations for another place, are refused", async (t) => {
  const { calls, place } = await start(t, { audiences: ["https://here.example"] });
  for (const offMs of [-3_600_000, 3_600_000]) {
    const registration = signed(SecretKey.generate(), { offMs });
    await assert.rejects(
      calls.register({ registration }),
      hasCode(Code.Aborted, /its date is 3\d\d\d s (ahead|ago)/),
    );
  }
  const elsewhere = signed(SecretKey.generate(), { audience: "https://there.example" });
  await assert.rejects(
    calls.register({ registration: elsewhere }),
    hasCode(Code.InvalidArgument, /for "https:\/\/there.example", which is not here/),
  );
  await calls.register({
    registration: signed(SecretKey.generate(), { audience: "https://here.example" }),
  });
  assert.deepEqual(place.reports, []);
});

test("a lease is of use to nobody who does not know its secret", async (t) => {
  const { calls } = await start(t);
  const key = SecretKey.generate();
  const endpointId = key.publicKey.bytes;
  await calls.register({ registration: signed(key) });
  const guessed = { endpointId, lease: new Uint8Array(16) };
  const replaced = hasCode(Code.AlreadyExists);
  await assert.rejects(calls.renew({ lease: guessed }), replaced);
  await assert.rejects(calls.unregister({ lease: guessed }), replaced);
  await assert.rejects(first(calls.hold({ lease: guessed })), replaced);
  await assert.rejects(first(calls.pair({ lease: guessed })), replaced);
  const malformed = hasCode(Code.InvalidArgument);
  await assert.rejects(calls.renew({}), malformed);
  await assert.rejects(
    calls.renew({ lease: { endpointId, lease: new Uint8Array(15) } }),
    malformed,
  );
  const stranger = SecretKey.generate().publicKey.bytes;
  await assert.rejects(
    calls.renew({ lease: { endpointId: stranger, lease: new Uint8Array(16) } }),
    hasCode(Code.NotFound),
  );
  assert.equal((await calls.lookUp({})).peers.length, 1);
});

test("a peer that is known by its key registers nobody else", async (t) => {
  const { place } = await start(t);
  const calls = createClient(RendezvousService, await place.transport("quic"));
  await assert.rejects(
    calls.register({ registration: signed(SecretKey.generate()) }),
    hasCode(Code.PermissionDenied, /registers itself/),
  );
});

test("1 MB of labels, and all else that is too much, is refused, and the place goes on", async (t) => {
  const { calls, place } = await start(t, {
    limits: { maxRegistrations: 2, maxWatchesPerCaller: 1, registrationsPerSecond: 1 },
  });
  const huge = create(SignedRegistrationSchema, {
    registration: new Uint8Array(1_000_000),
    signature: new Uint8Array(64),
  });
  const tooMuch = hasCode(Code.ResourceExhausted);
  await assert.rejects(calls.register({ registration: huge }), tooMuch);
  const byKey = createClient(RendezvousService, await place.transport("quic"));
  await assert.rejects(byKey.register({ registration: huge }), tooMuch);
  const large = create(SignedRegistrationSchema, {
    registration: new Uint8Array(20_000),
    signature: new Uint8Array(64),
  });
  await assert.rejects(calls.register({ registration: large }), tooMuch);
  await assert.rejects(
    calls.lookUp({ selector: { endpointIds: Array.from({ length: 257 }, () => large.signature) } }),
    tooMuch,
  );
  for (let count = 0; count < 2; count += 1) {
    await calls.register({ registration: signed(SecretKey.generate()) });
  }
  await assert.rejects(
    calls.register({ registration: signed(SecretKey.generate()) }),
    hasCode(Code.ResourceExhausted, /there are 2 registrations already/),
  );
  const watch = new AbortController();
  const watching = calls.watch({}, { signal: watch.signal })[Symbol.asyncIterator]();
  await watching.next();
  await assert.rejects(first(calls.watch({})), tooMuch);
  watch.abort();
  await assert.rejects(watching.next());
  // More than ten at once of one caller cost too much.
  const flood = await Promise.allSettled(
    Array.from({ length: 20 }, () =>
      calls.register({ registration: signed(SecretKey.generate()) }),
    ),
  );
  const reasons = flood.map((each) => (each.status === "rejected" ? String(each.reason) : "taken"));
  assert.ok(
    reasons.some((reason) => reason.includes("too many registrations in a short time")),
    String(reasons),
  );
  assert.equal((await calls.lookUp({})).peers.length, 2);
  assert.deepEqual(place.reports, []);
});

test("for a watcher that does not read nothing waits: later it is told what there is by then", async (t) => {
  const limits = { maxChanges: 4, registrationsPerSecond: 1_000_000 };
  const { place, calls } = await start(t, { limits });
  const { metrics } = place.host;
  const endpoint = await Endpoint.bind({
    bind: loopback,
    transport: { streamReceiveWindow: 65_536 },
  });
  t.after(() => endpoint.close({ timeoutMs: 0 }));
  const transport = createQuicTransport({ endpoint, to: place.endpoint.ticket() });
  const slow = createClient(RendezvousService, transport);
  const leaving = new AbortController();
  const changes = slow.watch({}, { signal: leaving.signal })[Symbol.asyncIterator]();
  await changes.next();
  const key = SecretKey.generate();
  let number = 0;
  // Until it has missed more than the place remembers: what is on its way fills a window of 64 KiB.
  while (number - metrics.changesSent <= 2 * limits.maxChanges) {
    number += 1;
    await calls.register({ registration: signed(key, { labels: largeLabels(number) }) });
    assert.ok(number < 2_000, "what is sent to it has a limit");
  }
  let resets = 0;
  for (let told = 0; told !== number; ) {
    const { value } = await changes.next();
    assert.ok(value, "it is told");
    resets += value.reset ? 1 : 0;
    for (const { change } of value.changes) {
      if (change.case === "put") {
        const bytes = change.value.registration?.registration ?? new Uint8Array();
        told = Number(fromBinary(RegistrationSchema, bytes).labels.number);
      }
    }
  }
  assert.ok(resets >= 1, "it is told all anew");
  assert.ok(metrics.changesSent < number, "it has not been told all");
  leaving.abort();
  await assert.rejects(changes.next());
  assert.deepEqual(place.reports, []);
});

/** Some 7 KB of labels. */
function largeLabels(number: number): Record<string, string> {
  const filling = Array.from({ length: 28 }, (_, index) => [`filling${index}`, "x".repeat(250)]);
  return { number: String(number), ...Object.fromEntries(filling) };
}

test("look-ups of names that nobody uses leave nothing behind, and watches end with their namespaces' limit", async (t) => {
  const { calls } = await start(t, { limits: { maxNamespaces: 2 } });
  for (let count = 0; count < 100; count += 1) {
    await calls.lookUp({ selector: { namespace: `n${count}` } });
  }
  const { signal, abort } = bound(new AbortController());
  const watches = ["a", "b"].map((namespace) =>
    calls.watch({ selector: { namespace } }, { signal })[Symbol.asyncIterator](),
  );
  for (const each of watches) {
    await each.next();
  }
  await assert.rejects(
    first(calls.watch({ selector: { namespace: "c" } })),
    hasCode(Code.ResourceExhausted),
  );
  await assert.rejects(
    calls.register({ registration: signed(SecretKey.generate()) }),
    hasCode(Code.ResourceExhausted, /there are 2 namespaces already/),
  );
  abort();
  await Promise.all(watches.map((each) => assert.rejects(each.next())));
});

test("tokens and names that are none are InvalidArgument", async (t) => {
  const { calls, place } = await start(t);
  const malformed = hasCode(Code.InvalidArgument);
  await assert.rejects(calls.lookUp({ pageToken: new Uint8Array(9) }), malformed);
  await assert.rejects(calls.lookUp({ selector: { service: "a b" } }), malformed);
  await assert.rejects(calls.lookUp({ selector: { namespace: "\n" } }), malformed);
  await assert.rejects(
    calls.lookUp({ selector: { endpointIds: [new Uint8Array(31)] } }),
    malformed,
  );
  await assert.rejects(calls.register({}), malformed);
  // Resume points of others are no reason to fail: the watcher is told all.
  const watch = new AbortController();
  const { signal } = watch;
  for (const resume of [new Uint8Array(1_000), new TextEncoder().encode("x.99999999999999999")]) {
    const [response] = await taken(calls.watch({ resume }, { signal }));
    assert.ok(response?.reset && response.complete, "the whole set");
  }
  watch.abort();
  assert.deepEqual(place.reports, []);
});

test("a page of another origin can neither call nor read; one that is welcome can", async (t) => {
  const { place } = await start(t);
  const target = `${place.url}/${RendezvousService.typeName}/LookUp`;
  const ask = (origin: string, method: string): Promise<Response> =>
    fetch(target, {
      method,
      headers: {
        origin,
        "content-type": "application/json",
        "access-control-request-method": "POST",
      },
      ...(method === "POST" ? { body: "{}" } : {}),
    });
  const allowed = "access-control-allow-origin";
  const evil = "https://evil.example";
  assert.equal((await ask(evil, "OPTIONS")).headers.get(allowed), null);
  assert.equal((await ask(evil, "POST")).headers.get(allowed), null);
  const welcome = "https://app.example";
  assert.equal((await ask(welcome, "OPTIONS")).headers.get(allowed), welcome);
  const answer = await ask(welcome, "POST");
  assert.equal(answer.headers.get(allowed), welcome);
  assert.equal(answer.status, 200);
  // What pages may send without asking is nothing that is taken.
  const simple = await fetch(target, {
    method: "POST",
    headers: { origin: evil, "content-type": "text/plain" },
    body: "{}",
  });
  assert.equal(simple.status, 415);
});

test("a lease outlives a clock that is set back or forth by a day", async (t) => {
  let offMs = 0;
  const { nodePlatform } = await import("../../src/base/node-platform.ts");
  const platform = { ...nodePlatform, unixMs: () => nodePlatform.unixMs() + offMs };
  const { place, calls } = await start(t, { platform });
  const rendezvous = await place.rendezvous("http");
  const registration = rendezvous.register(paperPeer());
  await registration.ready();
  for (const jump of [86_400_000, -86_400_000]) {
    offMs = jump;
    const another = rendezvous.register(paperPeer());
    await another.ready();
    assert.equal((await calls.lookUp({})).peers.length, 2);
    await another.close();
  }
  assert.equal(registration.state.type, "registered");
  await registration.close();
});

function bound(controller: AbortController): { signal: AbortSignal; abort: () => void } {
  return { signal: controller.signal, abort: () => controller.abort() };
}

async function first<T>(stream: AsyncIterable<T>): Promise<T | undefined> {
  for await (const value of stream) {
    return value;
  }
  return undefined;
}

/** The first message alone. */
async function taken<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const value = await first(stream);
  return value === undefined ? [] : [value];
}
