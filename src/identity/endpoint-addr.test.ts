import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { anyEndpointAddr } from "../../test/vectors/arbitrary-addr.ts";
import { socketAddress } from "../base/socket-address.ts";
import { customAddr } from "./custom-addr.ts";
import { EndpointAddr } from "./endpoint-addr.ts";
import { EndpointId } from "./endpoint-id.ts";
import { IdentityError, type IdentityErrorCode } from "./identity-error.ts";
import { parseRelayUrl } from "./relay-url.ts";
import { formatTransportAddr, parseTransportAddr } from "./transport-addr.ts";

const hex = "b7196bb3a8f10e400e777014e935c7b9faf9e7f605f540307d8d6a8ff70aaf00";
const id = EndpointId.parse(hex);

const failsWith =
  (code: IdentityErrorCode) =>
  (error: unknown): boolean =>
    error instanceof IdentityError && error.code === code;

test("an address is ordered as iroh orders it, equal addresses counting once", () => {
  const sorted = [
    "relay:https://aa.example./",
    "relay:https://relay.example./",
    "ip:0.0.0.0:1",
    "ip:10.1.2.3:3",
    "ip:10.1.2.3:20",
    "ip:10.1.2.10:1",
    "ip:[::]:1",
    "ip:[::1]:1",
    "ip:[::ffff:1.2.3.4]:9",
    "ip:[2001:db8::1]:1",
    "custom:6_030909",
    "custom:7_",
    "custom:7_02",
    "custom:7_0102",
    `custom:7_${"ff".repeat(30)}`,
    `custom:7_${"00".repeat(32)}`,
    `custom:7_${"00".repeat(31)}01`,
    `custom:7_01${"00".repeat(30)}`,
    "custom:ffffffffffffffff_",
  ];
  const shuffled = [...sorted, "relay:HTTPS://aa.example.:443", "ip:[0::1]:1", ...sorted].reverse();
  const addr = EndpointAddr.from({ id: hex, addrs: shuffled });
  assert.deepEqual(addr.addrs.map(formatTransportAddr), sorted);
  assert.deepEqual(addr.relayUrls, ["https://aa.example./", "https://relay.example./"]);
  assert.equal(addr.ipAddrs.length, 8);
  assert.ok(!addr.isEmpty);
});

test("addresses are given as people write them", () => {
  const addr = EndpointAddr.from({ id, addrs: ["127.0.0.1:4433", "[::1]:5", "https://r.example"] });
  assert.equal(addr.toString(), `${hex} relay:https://r.example/ ip:127.0.0.1:4433 ip:[::1]:5`);
  assert.equal(inspect(addr), `EndpointAddr(${addr})`);
  assert.equal(`${EndpointAddr.from({ id: hex })}`, hex);
  assert.ok(EndpointAddr.from({ id }).isEmpty);
});

test("an EndpointAddr keeps copies in normal form and cannot be changed", () => {
  const data = Uint8Array.of(1);
  const addr = new EndpointAddr(id, [
    { type: "ip", address: { family: 6, host: "2001:DB8::0:1", port: 1 } },
    { type: "custom", id: 1n, data },
  ]);
  data.fill(9);
  assert.deepEqual(addr.addrs, [
    { type: "ip", address: socketAddress("2001:db8::1", 1) },
    customAddr(1n, Uint8Array.of(1)),
  ]);
  assert.ok(Object.isFrozen(addr) && Object.isFrozen(addr.addrs));
});

test("withAddrs gives the same peer with more addresses", () => {
  const one = EndpointAddr.from({ id, addrs: ["ip:10.0.0.2:1"] });
  const more = one.withAddrs(["10.0.0.1:1", { type: "relay", url: parseRelayUrl("https://r./") }]);
  assert.equal(more.toString(), `${hex} relay:https://r./ ip:10.0.0.1:1 ip:10.0.0.2:1`);
  assert.equal(one.addrs.length, 1);
});

test("addresses are equal when id and set are", () => {
  const make = (...addrs: string[]): EndpointAddr => EndpointAddr.from({ id, addrs });
  assert.ok(make("1.2.3.4:5", "[::1]:5").equals(make("[0:0::1]:5", "1.2.3.4:5", "1.2.3.4:5")));
  assert.ok(!make("1.2.3.4:5").equals(make("1.2.3.4:6")));
  assert.ok(!make("1.2.3.4:5").equals(make("1.2.3.4:5", "1.2.3.4:6")));
  assert.ok(!make().equals(EndpointAddr.from({ id: "00".repeat(32) })));
});

test("bad parts are IdentityErrors that say which", () => {
  const bad: readonly (readonly [text: string, message: RegExp])[] = [
    ["ip:1.2.3:4", /invalid IP address: "1\.2\.3"/],
    ["1.2.3.4", /invalid socket address "1\.2\.3\.4": expected ip:port/],
    ["1.2.3.4:70000", /invalid port: 70000/],
    ["relay:relay.example", /invalid relay URL "relay\.example"/],
    ["custom:1_zz", /invalid custom address "1_zz"/],
    ["", /expected ip:port/],
  ];
  for (const [text, message] of bad) {
    assert.throws(
      () => EndpointAddr.from({ id, addrs: [text] }),
      (error) => failsWith("invalid-address")(error) && message.test((error as Error).message),
      text,
    );
  }
  assert.throws(() => EndpointAddr.from({ id: "abc" }), failsWith("invalid-id"));
  const outOfRange = { type: "custom", id: 1n << 64n, data: new Uint8Array(0) } as const;
  assert.throws(() => new EndpointAddr(id, [outOfRange]), failsWith("invalid-address"));
});

test("EndpointAddr has iroh's JSON", () => {
  const addr = EndpointAddr.from({
    id,
    addrs: [
      "https://relay.example./",
      "ip:[::1]:5",
      "custom:424c45_0102",
      "custom:ffffffffffffffff_",
    ],
  });
  const json = JSON.stringify(addr);
  assert.equal(
    json,
    `{"id":"${hex}","addrs":[{"Relay":"https://relay.example./"},{"Ip":"[::1]:5"},` +
      `{"Custom":{"id":4344901,"data":[1,2]}},{"Custom":{"id":"18446744073709551615","data":[]}}]}`,
  );
  assert.ok(EndpointAddr.fromJSON(JSON.parse(json)).equals(addr));
});

test("EndpointAddr.fromJSON refuses what is none, and says where", () => {
  const withAddr = (addr: unknown): unknown => ({ id: hex, addrs: [{ Ip: "1.2.3.4:5" }, addr] });
  const bad: readonly unknown[] = [
    ...[undefined, null, 1, "x", [], {}, { id: hex }, { id: 1, addrs: [] }, { id: hex, addrs: {} }],
    ...[null, 1, "ip:1.2.3.4:5", {}, { Relay: 1 }, { Relay: "x" }, { Ip: "x" }, { Tcp: "" }].map(
      withAddr,
    ),
    ...[-1, 0.5, 2 ** 53, "x", "18446744073709551616", "", null].map((n) =>
      withAddr({ Custom: { id: n, data: [] } }),
    ),
    ...["00", [256], [-1], [0.5], ["1"], {}].map((data) => withAddr({ Custom: { id: 1, data } })),
    withAddr({ Custom: null }),
    withAddr({ Custom: { id: 1 } }),
  ];
  for (const json of bad) {
    assert.throws(
      () => EndpointAddr.fromJSON(json),
      failsWith("invalid-address"),
      JSON.stringify(json),
    );
  }
  assert.throws(() => EndpointAddr.fromJSON({ id: "x", addrs: [] }), failsWith("invalid-id"));
  assert.throws(() => EndpointAddr.fromJSON(withAddr({ Tcp: "" })), /addrs\[1\] is none of/);
});

test("every address reads back from JSON and, address by address, from text", () => {
  fuzz(
    anyEndpointAddr,
    (addr) => {
      assert.ok(EndpointAddr.fromJSON(JSON.parse(JSON.stringify(addr))).equals(addr));
      const texts = addr.addrs.map(formatTransportAddr);
      assert.ok(EndpointAddr.from({ id: addr.id, addrs: texts.reverse() }).equals(addr));
    },
    5_000,
  );
});

test("any JSON is an address or an IdentityError", () => {
  const anyAddr = fc.oneof(
    fc.record({ Relay: fc.string() }),
    fc.record({ Ip: fc.string() }),
    fc.record({ Custom: fc.record({ id: fc.jsonValue(), data: fc.array(fc.integer()) }) }),
    fc.jsonValue({ maxDepth: 1 }),
  );
  const anyJson = fc.oneof(
    fc.record({ id: fc.constant(hex), addrs: fc.array(anyAddr, { maxLength: 3 }) }),
    fc.jsonValue({ maxDepth: 2 }),
  );
  fuzz(
    anyJson,
    (json) => {
      try {
        EndpointAddr.fromJSON(json);
      } catch (error) {
        assert.ok(error instanceof IdentityError);
      }
    },
    50_000,
  );
});

test("any text is a transport address that reads back, or an IdentityError", () => {
  const anyText = fc
    .tuple(
      fc.constantFrom("", "relay:", "ip:", "custom:", "https://", "["),
      fc.oneof(fc.string({ maxLength: 20 }), fc.ipV4(), fc.ipV6()),
      fc.constantFrom("", ":1", "]:1", "_00", ":99999"),
    )
    .map((parts) => parts.join(""));
  fuzz(anyText, (text) => {
    try {
      const addr = parseTransportAddr(text);
      assert.deepEqual(parseTransportAddr(formatTransportAddr(addr)), addr);
    } catch (error) {
      assert.ok(failsWith("invalid-address")(error));
    }
  });
});
