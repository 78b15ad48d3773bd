import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  type FieldSection,
  fieldsFromHeaders,
  headersFromFields,
  parseRequestHead,
  parseStatus,
  requestFields,
  responseFields,
} from "./fields.ts";

const request: FieldSection = [
  [":method", "POST"],
  [":scheme", "https"],
  [":authority", "peer.iroh.invalid"],
  [":path", "/a.B/C?x=1"],
];

test("a request's header section has the pseudo-header fields first (RFC 9114 §4.3.1)", () => {
  const fields = requestFields(
    "POST",
    "https://peer.iroh.invalid/a.B/C?x=1",
    new Headers({ "Content-Type": "application/proto", A: "1" }),
  );
  assert.deepEqual(fields, [...request, ["a", "1"], ["content-type", "application/proto"]]);
});

test("a URL that an interceptor made its own way is understood", () => {
  const fields = requestFields("GET", "HTTPS://Peer.Iroh.Invalid:443/a b#c", new Headers());
  assert.deepEqual(fields.slice(2), [
    [":authority", "peer.iroh.invalid"],
    [":path", "/a%20b"],
  ]);
});

test("fields that concern a single connection are left out, and te but for trailers (RFC 9114 §4.2)", () => {
  const header = new Headers({
    connection: "close",
    host: "x",
    "keep-alive": "1",
    "proxy-connection": "x",
    te: "trailers",
    "transfer-encoding": "chunked",
    upgrade: "h2c",
  });
  assert.deepEqual(fieldsFromHeaders(header), [["te", "trailers"]]);
  assert.deepEqual(fieldsFromHeaders(new Headers({ te: "gzip" })), []);
});

test("several set-cookie fields stay apart", () => {
  const header = new Headers();
  header.append("set-cookie", "a=1");
  header.append("set-cookie", "b=2");
  assert.deepEqual(fieldsFromHeaders(header), [
    ["set-cookie", "a=1"],
    ["set-cookie", "b=2"],
  ]);
});

test("a cookie that comes in pieces is joined as cookies are (RFC 9114 §4.2.1)", () => {
  const headers = headersFromFields([
    ["cookie", "a=1"],
    ["x", "y"],
    ["cookie", "b=2; c=3"],
  ]);
  assert.equal(headers?.get("cookie"), "a=1; b=2; c=3");
  assert.equal(headersFromFields([["cookie", "a\u0000"]]), undefined);
});

test("fields with the same name are joined", () => {
  const header = headersFromFields([
    ["a", "1"],
    ["a", "2"],
  ]);
  assert.equal(header?.get("a"), "1, 2");
});

test("a request's header section is read", () => {
  const head = parseRequestHead([...request, ["a", "1"]]);
  assert.equal(head?.method, "POST");
  assert.equal(head?.authority, "peer.iroh.invalid");
  assert.equal(head?.path, "/a.B/C?x=1");
  assert.deepEqual([...(head?.header ?? [])], [["a", "1"]]);
});

const unusable: readonly [what: string, fields: FieldSection][] = [
  ["without a path, as that of CONNECT", request.slice(0, 3)],
  ["with a path that is none", [...request.slice(0, 3), [":path", "*"]]],
  ["with an empty path", [...request.slice(0, 3), [":path", ""]]],
  ["without an authority", [...request.slice(0, 2), [":path", "/"]]],
  ["with a user in the authority", [[":authority", "a@b"], ...request.slice(0, 1), [":path", "/"]]],
  ["with a path in the authority", [[":authority", "a/b"], ...request.slice(0, 1), [":path", "/"]]],
  [
    "with a space in the authority",
    [[":authority", "a b"], ...request.slice(0, 1), [":path", "/"]],
  ],
  ["with a name that is no token", [...request, ["a b", "1"]]],
  ["with a line break in a value", [...request, ["a", "1\n2"]]],
  ["with a pseudo-header field that comes late", [["a", "1"], ...request]],
];
for (const [what, fields] of unusable) {
  test(`a request ${what} is refused`, () => {
    assert.equal(parseRequestHead(fields), undefined);
  });
}

test("whatever is in a header section, reading it does not throw, and its URL can be parsed", () => {
  const text = fc.string({ unit: "binary", maxLength: 20 });
  const name = fc.oneof(
    fc.constantFrom(":method", ":path", ":authority", ":scheme", "a", "content-type"),
    text,
  );
  const value = fc.oneof(text, fc.constantFrom("POST", "/a.B/C", "h", "[::1]:1"));
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), (fields) => {
      const head = parseRequestHead(fields);
      parseStatus(fields);
      if (head !== undefined) {
        new URL(`https://${head.authority}${head.path}`);
      }
    }),
    { numRuns: 100_000 },
  );
});

test("authorities that pass can be parsed as part of a URL", () => {
  const authority = fc.stringMatching(/^[A-Za-z0-9._:[\]-]{1,12}$/);
  fc.assert(
    fc.property(authority, (text) => {
      const head = parseRequestHead([
        [":method", "POST"],
        [":authority", text],
        [":path", "/"],
      ]);
      if (head !== undefined) {
        new URL(`https://${head.authority}/`);
      }
    }),
    { numRuns: 20_000 },
  );
});

test("headers survive the way there and back", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);
  // An empty value in a list ends in white space when it is joined, which `Headers` cuts off the second time.
  const value = fc.stringMatching(/^[\x21-\x7e]{1,20}$/);
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value)), (entries) => {
      const header = new Headers(entries.filter(([each]) => !each.startsWith("te")));
      for (const each of ["connection", "host", "upgrade"]) {
        header.delete(each);
      }
      const back = headersFromFields(fieldsFromHeaders(header));
      assert.deepEqual([...(back ?? [])], [...header]);
    }),
  );
});

test("a response's header section is written and read", () => {
  const fields = responseFields(200, new Headers({ a: "1" }));
  assert.deepEqual(fields, [
    [":status", "200"],
    ["a", "1"],
  ]);
  assert.equal(parseStatus(fields), 200);
  assert.deepEqual(responseFields(404, undefined), [[":status", "404"]]);
});

test("a status that is none is refused", () => {
  for (const status of ["", "2", "2000", "abc", "099", "2e1"]) {
    assert.equal(parseStatus([[":status", status]]), undefined);
  }
  assert.equal(parseStatus([]), undefined);
});
