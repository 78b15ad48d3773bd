import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  judgePageRequest,
  type PageAccess,
  type PageRequest,
  type PageVerdict,
} from "./page-guard.ts";
import { createPageToken } from "./page-token.ts";

const secret = "a token of 16 or more";
const open: PageAccess = { hosts: [], token: undefined };
const closed: PageAccess = { hosts: ["worker.example"], token: createPageToken(secret, 8_080) };
const cookie = `${closed.token?.cookieName}=${closed.token?.cookie}`;

function judge(
  access: PageAccess,
  { method = "GET", url = "/", ...headers }: Record<string, string | undefined>,
): PageVerdict {
  return judgePageRequest({ method, url, headers: { host: "127.0.0.1:8080", ...headers } }, access);
}

function outcome(verdict: PageVerdict): string | number {
  return verdict.type === "refused" ? verdict.status : verdict.type;
}

describe("judgePageRequest, Host", () => {
  const rows: readonly (readonly [string | undefined, string | number])[] = [
    ["127.0.0.1:8080", "allowed"],
    ["localhost:8080", "allowed"],
    ["LOCALHOST", "allowed"],
    ["[::1]:8080", "allowed"],
    ["192.168.1.5", "allowed"],
    ["attacker.example", 403],
    ["attacker.example:8080", 403],
    ["localhost.attacker.example:8080", 403],
    ["127.0.0.1.attacker.example", 403],
    ["localhost:8080@attacker.example", 403],
    ["worker.example", 403],
    ["", 403],
    [undefined, 403],
  ];
  for (const [host, expected] of rows) {
    test(`${host}: ${expected}`, () => {
      assert.equal(outcome(judge(open, { host })), expected);
    });
  }

  test("a name that was given is ours, whatever its case", () => {
    assert.equal(outcome(judge(closed, { host: "Worker.Example:443", cookie })), "allowed");
  });

  test("a host that comes twice is none", () => {
    const request: PageRequest = { method: "GET", url: "/", headers: { host: ["localhost", "x"] } };
    assert.equal(outcome(judgePageRequest(request, open)), 403);
  });
});

describe("judgePageRequest, other sites", () => {
  const call = { method: "POST", url: "/connectquic.worker.v1.ConsoleService/Watch" };
  const rows: readonly (readonly [string, Record<string, string>, string | number])[] = [
    [
      "our page calls",
      { ...call, origin: "http://127.0.0.1:8080", "sec-fetch-site": "same-origin" },
      "allowed",
    ],
    ["a program calls", call, "allowed"],
    ["another origin calls", { ...call, origin: "http://attacker.example" }, 403],
    ["another port of this machine calls", { ...call, origin: "http://127.0.0.1:9090" }, 403],
    ["a page without an origin calls", { ...call, origin: "null" }, 403],
    ["another site calls, without an origin", { ...call, "sec-fetch-site": "cross-site" }, 403],
    [
      "another port of this machine calls, without an origin",
      { ...call, "sec-fetch-site": "same-site" },
      403,
    ],
    [
      "another site sends a form",
      { ...call, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
      403,
    ],
    [
      "another site has a link to the page",
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
      "allowed",
    ],
    [
      "another site has a link to a file",
      { url: "/page.js", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" },
      403,
    ],
    [
      "another site loads the script",
      { url: "/page.js", "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" },
      403,
    ],
    [
      "another site asks whether it may call",
      { method: "OPTIONS", origin: "http://attacker.example" },
      405,
    ],
    [
      "someone types the address",
      { "sec-fetch-site": "none", "sec-fetch-mode": "navigate" },
      "allowed",
    ],
  ];
  for (const [what, headers, expected] of rows) {
    test(`${what}: ${expected}`, () => {
      assert.equal(outcome(judge(open, headers)), expected);
    });
  }
});

describe("judgePageRequest, token", () => {
  test("in the URL it becomes a cookie for this site alone, and leaves the URL", () => {
    const verdict = judge(closed, { url: `/?token=${encodeURIComponent(secret)}` });
    assert.deepEqual(verdict, {
      type: "signed-in",
      setCookie: `${cookie}; Path=/; HttpOnly; SameSite=Strict`,
      location: "/",
    });
    assert(!cookie.includes(secret), "the cookie gives the token away");
  });

  const call = { method: "POST", url: "/x" };
  const rows: readonly (readonly [string, Record<string, string>, string | number])[] = [
    ["none", {}, 401],
    ["a wrong one in the URL", { url: "/?token=wrong" }, 401],
    ["in the URL of a call", { ...call, url: `/x?token=${encodeURIComponent(secret)}` }, 401],
    ["the cookie", { cookie: `other=1; ${cookie}` }, "allowed"],
    ["the cookie of another port", { cookie: cookie.replace("8080", "8081") }, 401],
    ["a wrong cookie", { cookie: `${closed.token?.cookieName}=wrong` }, 401],
    ["the token as a cookie", { cookie: `${closed.token?.cookieName}=${secret}` }, 401],
    ["a wrong header", { ...call, authorization: "Bearer wrong" }, 401],
    ["a wrong header beside the cookie", { ...call, authorization: "Bearer wrong", cookie }, 401],
    ["the cookie, from another site", { ...call, cookie, origin: "http://attacker.example" }, 403],
  ];
  for (const [what, headers, expected] of rows) {
    test(`${what}: ${expected}`, () => {
      assert.equal(outcome(judge(closed, headers)), expected);
    });
  }

  test("in a header: allowed", () => {
    const access = { hosts: [], token: createPageToken("0123456789abcdef", 1) };
    const verdict = judge(access, { ...call, authorization: "Bearer 0123456789abcdef" });
    assert.equal(outcome(verdict), "allowed");
  });
});

test("judgePageRequest has an answer for whatever is sent", () => {
  const text = fc.option(fc.string({ unit: "binary" }), { nil: undefined });
  fc.assert(
    fc.property(fc.string(), fc.string(), text, text, text, (method, url, host, ...others) => {
      const [authorization, cookies] = others;
      const headers = { host: host ?? "localhost", authorization, cookie: cookies };
      const { type } = judgePageRequest({ method, url, headers }, closed);
      assert.equal(type, "refused");
    }),
  );
});
