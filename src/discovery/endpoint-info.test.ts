import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { anyEndpointAddr } from "../../test/vectors/arbitrary-addr.ts";
import { addrTexts, dnsTxtVectors } from "../../test/vectors/vectors.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { formatTransportAddr, parseTransportAddr } from "../identity/transport-addr.ts";
import { DiscoveryError } from "./discovery-error.ts";
import { endpointRecordName, formatEndpointInfo, parseEndpointInfo } from "./endpoint-info.ts";

/** Each once: reading keeps what is there twice. */
const texts = (addrs: readonly Parameters<typeof formatTransportAddr>[0][]): string[] => [
  ...new Set(addrs.map(formatTransportAddr)),
];

for (const vector of dnsTxtVectors.encode) {
  test(`is written as iroh writes it: ${vector.name}`, () => {
    const id = EndpointId.parse(vector.id);
    const info = {
      addrs: addrTexts(vector.addrs).map(parseTransportAddr),
      ...(vector.user_data === null ? {} : { userData: vector.user_data }),
    };
    assert.deepEqual(formatEndpointInfo(info), vector.strings);
    const [, , ...origin] = vector.txt_name.split(".");
    assert.equal(`${endpointRecordName(id, origin.join("."))}.`, vector.txt_name);
    const read = parseEndpointInfo(vector.strings);
    const expected = vector.read_back ?? vector;
    assert.deepEqual(texts(read.addrs), addrTexts(expected.addrs));
    assert.equal(read.userData ?? null, expected.user_data);
  });
}

for (const vector of dnsTxtVectors.decode) {
  // Names are asked for here and never read.
  if (["NotAnIrohRecord", "NumLabels", "DecodingError"].includes(vector.error ?? "")) {
    continue;
  }
  test(`is read as iroh reads it: ${vector.name}`, () => {
    if (vector.decoded === undefined) {
      assert.throws(
        () => parseEndpointInfo(vector.strings),
        (error) => error instanceof DiscoveryError && error.code === "invalid-record",
      );
      return;
    }
    const read = parseEndpointInfo(vector.strings);
    assert.deepEqual(texts(read.addrs), addrTexts(vector.decoded.addrs));
    assert.equal(read.userData ?? null, vector.decoded.user_data);
  });
}

test("what is written is read, but for what a second = takes along", () => {
  fuzz(
    fc.tuple(anyEndpointAddr, fc.option(fc.string({ unit: "grapheme", maxLength: 60 }))),
    ([addr, userData]) => {
      const info = { addrs: addr.addrs, ...(userData === null ? {} : { userData }) };
      let strings: string[];
      try {
        strings = formatEndpointInfo(info);
      } catch (error) {
        assert.ok(error instanceof DiscoveryError && error.code === "too-large", String(error));
        return;
      }
      if (strings.every((string) => string.split("=").length === 2)) {
        const read = parseEndpointInfo(strings);
        assert.ok(new EndpointAddr(addr.id, read.addrs).equals(addr));
        assert.equal(read.userData ?? null, userData);
      }
    },
    3_000,
  );
});

test("whatever strings come, they are read or refused", () => {
  const string = fc.oneof(
    fc.string({ unit: "binary" }),
    fc
      .tuple(fc.constantFrom("relay", "addr", "user-data"), fc.string({ unit: "binary" }))
      .map((parts) => parts.join("=")),
    fc.string({ unit: fc.constantFrom(..."adr=[]:._10%f") }).map((text) => `addr=${text}`),
  );
  fuzz(
    fc.array(string, { maxLength: 6 }),
    (strings) => {
      try {
        parseEndpointInfo(strings);
      } catch (error) {
        assert.ok(error instanceof DiscoveryError, String(error));
      }
    },
    20_000,
  );
});
