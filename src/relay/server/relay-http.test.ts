import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../../test/support/fuzz.ts";
import { relayHttpVectors } from "../../../test/vectors/relay-vectors.ts";
import { answerRelayRequest, checkRelayUpgrade, type RelayHttpRequest } from "./relay-http.ts";

function request(
  method: string,
  target: string,
  headers: Readonly<Record<string, string | null>> = {},
): RelayHttpRequest {
  const lower = Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value ?? undefined]),
  );
  return { method, target, header: (name) => lower[name] };
}

test("pages are those of iroh's relay", () => {
  assert.ok(relayHttpVectors.routes.length > 0);
  for (const { method, path, headers, response } of relayHttpVectors.routes) {
    const answer = answerRelayRequest(request(method, path, headers));
    const name = `${method} ${path}`;
    assert.equal(answer.status, response.status, name);
    const { "content-length": length, status: _, body, ...others } = response;
    for (const [header, value] of Object.entries(others)) {
      assert.equal(answer.headers[header], value, `${name} ${header}`);
    }
    // Our own text, and no version.
    if (!["/", "/index.html", "/healthz"].includes(path) && method !== "HEAD") {
      assert.equal(answer.body, body ?? "", name);
      assert.equal(
        answer.headers["content-length"],
        length ?? answer.headers["content-length"],
        name,
      );
    }
    assert.ok(answer.headers["strict-transport-security"]);
    assert.ok(answer.headers["content-security-policy"]);
  }
});

test("a WebSocket is granted or refused as by iroh's relay", () => {
  for (const { name, path, change, response } of relayHttpVectors.upgrade) {
    const headers = { ...relayHttpVectors.base_headers, ...change };
    const answer = checkRelayUpgrade(request("GET", path, headers));
    if (response.status === 101) {
      assert.ok("subprotocol" in answer, name);
      assert.equal(answer.subprotocol, response["sec-websocket-protocol"], name);
      assert.equal(answer.version, answer.subprotocol.endsWith("2") ? 2 : 1);
    } else {
      assert.ok("status" in answer, name);
      assert.deepEqual([answer.status, answer.body], [response.status, response.body], name);
      const version = response["sec-websocket-version"];
      assert.equal(answer.headers["sec-websocket-version"], version, name);
    }
  }
});

test("the first token counts, and that of the header before that of the URL", () => {
  const tokenOf = (target: string, authorization?: string): string | undefined => {
    const headers = { ...relayHttpVectors.base_headers, Authorization: authorization ?? null };
    const answer = checkRelayUpgrade(request("GET", target, headers));
    assert.ok("subprotocol" in answer);
    return answer.token;
  };
  assert.equal(tokenOf("/relay"), undefined);
  assert.equal(tokenOf("/relay?token=a+b%21&token=c"), "a b!");
  assert.equal(tokenOf("/relay?token=a", "BEARER b"), "b");
  assert.equal(tokenOf("/relay?token=a", "Basic b"), "a");
  assert.equal(tokenOf("/relay?a=?token=x"), undefined);
});

test("metrics are there where they are wanted", () => {
  const options = { metrics: () => "counted\n# EOF\n" };
  const answer = answerRelayRequest(request("GET", "/metrics"), options);
  assert.equal(answer.status, 200);
  assert.match(answer.headers["content-type"] ?? "", /^application\/openmetrics-text/);
  assert.equal(answer.body, "counted\n# EOF\n");
  assert.equal(answerRelayRequest(request("GET", "/metrics")).status, 404);
});

test("the plain port beside TLS answers the captive-portal check alone", () => {
  const options = { probeOnly: true };
  assert.equal(answerRelayRequest(request("GET", "/generate_204"), options).status, 204);
  for (const path of ["/", "/ping", "/healthz", "/relay"]) {
    assert.equal(answerRelayRequest(request("GET", path), options).status, 404);
  }
});

test("F30: whatever is requested, it is answered or granted", () => {
  const text = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.string({ unit: "binary", maxLength: 50 }),
    fc.constantFrom("websocket", "13", "iroh-relay-v1", "iroh-relay-v2, x", "Bearer  a", "bearer"),
  );
  const target = fc.oneof(
    text,
    fc.tuple(fc.constantFrom("/relay?", "/relay?token=", "/ping?", "/generate_204"), text),
  );
  const names = fc.constantFrom(
    ...["upgrade", "sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol"],
    ...["authorization", "x-iroh-challenge"],
  );
  const requests = fc.record({
    method: fc.constantFrom("GET", "HEAD", "PUT", ""),
    target: target.map((parts) => (typeof parts === "string" ? parts : parts.join(""))),
    headers: fc.array(fc.tuple(names, text)).map((entries) => new Map(entries)),
  });
  fuzz(
    requests,
    ({ method, target, headers }) => {
      const request = { method, target, header: (name: string) => headers.get(name) };
      const upgrade = checkRelayUpgrade(request);
      const answers = "status" in upgrade ? [upgrade] : [];
      for (const { status, headers, body } of [...answers, answerRelayRequest(request)]) {
        assert.ok(status >= 200 && status < 500);
        assert.ok(body.length < 1_000);
        // Nothing of what was asked can end a header and begin another.
        assert.ok(Object.values(headers).every((value) => /^[\x20-\x7e]*$/.test(value)));
      }
    },
    20_000,
  );
});
