import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import {
  formatSocketAddress,
  parseSocketAddress,
  type SocketAddress,
  socketAddress,
} from "../base/socket-address.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import {
  AddressObservers,
  type AddressObserversOptions,
  type AskOptions,
  maxServers,
} from "./address-observers.ts";
import type { Observation } from "./observation.ts";

const own = { 4: parseSocketAddress("198.51.100.1:9"), 6: parseSocketAddress("[2001:db8::9]:9") };
const relay = parseRelayUrl("https://relay.example");

function ask(options: Partial<AskOptions> = {}): AskOptions {
  return { full: true, signal: new AbortController().signal, ...options };
}

/** STUN servers that all answer, at addresses of both families. */
function observers(options: Partial<AddressObserversOptions> = {}) {
  const resolved: string[] = [];
  const probed: string[] = [];
  const made = new AddressObservers({
    platform: new ManualPlatform(),
    families: () => [4, 6],
    resolveHost: async (host, port) => {
      resolved.push(host);
      return [
        socketAddress("192.0.2.1", port),
        socketAddress("192.0.2.2", port),
        socketAddress("2001:db8::1", port),
      ];
    },
    probe: async (server) => {
      probed.push(formatSocketAddress(server));
      return { observer: server, address: own[server.family], latencyMs: 10 };
    },
    ...options,
  });
  return { observers: made, resolved, probed };
}

test("AddressObservers asks each STUN server once over each family", async () => {
  const { observers: asked, probed } = observers({ stunServers: ["stun.example:7"] });
  const observed: Observation[] = [];
  const outcomes = await asked.ask(ask({ observed: (one) => observed.push(one) }));
  assert.deepEqual(probed, ["192.0.2.1:7", "[2001:db8::1]:7"]);
  assert.deepEqual(outcomes, [
    {
      kind: "stun",
      server: "stun.example:7",
      family: 4,
      type: "answered",
      observation: { observer: parseSocketAddress("192.0.2.1:7"), address: own[4] },
      latencyMs: 10,
    },
    {
      kind: "stun",
      server: "stun.example:7",
      family: 6,
      type: "answered",
      observation: { observer: parseSocketAddress("[2001:db8::1]:7"), address: own[6] },
      latencyMs: 10,
    },
  ]);
  assert.deepEqual(
    observed.map(({ address }) => address),
    [own[4], own[6]],
  );
});

test("AddressObservers asks over the families that are bound, and takes IPv4 in IPv6 clothes for what it is", async () => {
  const { observers: asked, probed } = observers({
    stunServers: ["stun.example"],
    families: () => [4],
    resolveHost: async (_host, port) => [socketAddress("::ffff:192.0.2.7", port)],
  });
  await asked.ask(ask());
  assert.deepEqual(probed, ["192.0.2.7:3478"]);
  const { observers: other } = observers({ stunServers: ["a"], families: () => [] });
  const [outcome] = await other.ask(ask());
  assert.match(outcome?.type === "failed" ? outcome.error : "", /no address of a is of a family/);
});

test("AddressObservers asks relays by QUIC address discovery, and measures how long it takes", async () => {
  const platform = new ManualPlatform();
  const { observers: asked } = observers({
    platform,
    relays: () => [relay],
    discover: async (_relay, { family }) => {
      platform.advance(family === 4 ? 25 : 0);
      const observer = family === 4 ? "192.0.2.1:7842" : "[2001:db8::1]:7842";
      return { observer: parseSocketAddress(observer), address: own[family] };
    },
  });
  const outcomes = await asked.ask(ask());
  assert.deepEqual(
    outcomes.map((one) => [one.kind, one.server, one.family, one.type]),
    [
      ["relay", relay, 4, "answered"],
      ["relay", relay, 6, "answered"],
    ],
  );
  assert.equal(outcomes[0]?.type === "answered" && outcomes[0].latencyMs, 25);
});

test("F24: AddressObservers lets no server hold up another, and says what came of each", async () => {
  const limit = new AbortController();
  const { observers: asked } = observers({
    stunServers: ["good.example", "silent.example", "unknown.example", "slow-dns.example"],
    families: () => [4],
    resolveHost: async (host, port) => {
      if (host === "unknown.example") {
        throw new Error("getaddrinfo ENOTFOUND unknown.example");
      }
      if (host === "slow-dns.example") {
        await new Promise(() => {});
      }
      return [socketAddress(host === "good.example" ? "192.0.2.1" : "192.0.2.2", port)];
    },
    probe: async (server: SocketAddress) => {
      if (server.host === "192.0.2.2") {
        await new Promise(() => {});
      }
      return { observer: server, address: own[4], latencyMs: 10 };
    },
    relays: () => [relay],
    discover: () => {
      throw new Error("no engine");
    },
  });
  const observed: Observation[] = [];
  const asking = asked.ask(ask({ signal: limit.signal, observed: (one) => observed.push(one) }));
  await settled();
  assert.equal(observed.length, 1, "a good answer counts before the others have come");
  limit.abort(new Error("no answer within 3000 ms"));
  assert.deepEqual(
    (await asking).map((one) => [one.server, one.type === "failed" ? one.error : one.type]),
    [
      ["good.example", "answered"],
      ["silent.example", "no answer within 3000 ms"],
      ["unknown.example", "getaddrinfo ENOTFOUND unknown.example"],
      ["slow-dns.example", "no answer within 3000 ms"],
      [relay, "no engine"],
    ],
  );
});

test("a hostile observer's nonsense is a failure of its own", async () => {
  const { observers: asked } = observers({
    relays: () => [relay],
    families: () => [4],
    discover: async () => ({
      observer: parseSocketAddress("192.0.2.1:7842"),
      address: parseSocketAddress("127.0.0.1:9"),
    }),
  });
  const observed: Observation[] = [];
  const [outcome] = await asked.ask(ask({ observed: (one) => observed.push(one) }));
  assert.equal(
    outcome?.type === "failed" && outcome.error,
    "it sees 127.0.0.1:9, where nobody can be",
  );
  assert.equal(observed.length, 0);
});

test("AddressObservers resolves names again with a full check alone, and lives with a resolver that is down", async () => {
  let isDown = false;
  let resolved = 0;
  const { observers: asked, probed } = observers({
    stunServers: ["stun.example"],
    families: () => [4],
    resolveHost: async (_host, port) => {
      resolved += 1;
      if (isDown) {
        throw new Error("EAI_AGAIN");
      }
      return [socketAddress("192.0.2.1", port)];
    },
  });
  await asked.ask(ask());
  await asked.ask(ask({ full: false }));
  assert.equal(resolved, 1);
  isDown = true;
  const [outcome] = await asked.ask(ask({ full: true }));
  assert.equal(resolved, 2);
  assert.equal(outcome?.type, "answered");
  assert.equal(probed.length, 3);
});

test("AddressObservers asks no more than a few servers, and none that it has no means to ask", async () => {
  const many = Array.from({ length: 20 }, (_, index) => `stun${index}.example`);
  const { observers: asked, resolved } = observers({
    stunServers: many,
    relays: () => [relay],
  });
  assert.equal((await asked.ask(ask())).length, 2 * maxServers);
  assert.equal(resolved.length, maxServers);
  const nobody = new AddressObservers({
    platform: new ManualPlatform(),
    families: () => [4],
    resolveHost: () => Promise.reject(new Error("asked in vain")),
    stunServers: many,
    relays: () => [relay],
  });
  assert.deepEqual(await nobody.ask(ask()), []);
  assert.throws(() => observers({ stunServers: ["http://x"] }), TypeError);
});
