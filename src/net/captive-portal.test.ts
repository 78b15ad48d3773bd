import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { hasCaptivePortal } from "./captive-portal.ts";
import type { HttpRequest, HttpResponse } from "./network.ts";

const { signal } = new AbortController();

async function ask(
  relay: string,
  answer: (challenge: string) => Pick<HttpResponse, "status" | "headers">,
) {
  const asked: { readonly url: string; readonly request: HttpRequest }[] = [];
  const found = await hasCaptivePortal(parseRelayUrl(relay), {
    request: async (url, request) => {
      asked.push({ url: url.href, request });
      const challenge = request.headers?.["x-iroh-challenge"] ?? "";
      return { ...answer(challenge), body: new Uint8Array(0) };
    },
    signal,
  });
  return { found, url: asked[0]?.url };
}

const honest = (challenge: string) => ({
  status: 204,
  headers: { "x-iroh-response": `response ${challenge}` },
});

test("hasCaptivePortal asks a relay at its plain HTTP port and believes the answer to its question", async () => {
  assert.deepEqual(await ask("https://relay.example./", honest), {
    found: false,
    url: "http://relay.example./generate_204",
  });
  assert.deepEqual(await ask("http://127.0.0.1:3340", honest), {
    found: false,
    url: "http://127.0.0.1:3340/generate_204",
  });
});

test("hasCaptivePortal finds who answers in place of the relay", async () => {
  const page = await ask("https://relay.example", () => ({ status: 200, headers: {} }));
  assert.equal(page.found, true);
  const empty = await ask("https://relay.example", () => ({ status: 204, headers: {} }));
  assert.equal(empty.found, true);
});

test("hasCaptivePortal asks with what a relay takes, whatever its name", async () => {
  for (const relay of ["https://[2001:db8::1]/", `https://${"long.".repeat(30)}example/`]) {
    const { found } = await ask(relay, (challenge) => {
      assert.match(challenge, /^[A-Za-z0-9._-]{1,63}$/);
      return honest(challenge);
    });
    assert.equal(found, false);
  }
});

test("hasCaptivePortal rejects when there is no answer", async () => {
  const unreachable = hasCaptivePortal(parseRelayUrl("https://relay.example"), {
    request: () => Promise.reject(new Error("ECONNREFUSED")),
    signal,
  });
  await assert.rejects(unreachable, /ECONNREFUSED/);
});
