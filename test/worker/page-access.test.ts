// Who may talk to a worker's page, over real sockets.

import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { Endpoint } from "../../src/endpoint/endpoint.ts";
import { PageServer } from "../../src/worker/page-server.ts";
import { Worker } from "../../src/worker/worker.ts";

const token = "0123456789abcdef";
const files = new Map([
  ["/", { type: "text/html; charset=utf-8", bytes: new TextEncoder().encode("the page") }],
]);

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

describe("a worker's page", { timeout: 60_000 }, () => {
  let worker: Worker;
  let open: PageServer;
  let closed: PageServer;

  before(async () => {
    worker = new Worker({ endpoint: await Endpoint.bind({ bind: "127.0.0.1:0" }) });
    const listen = { host: "127.0.0.1", port: 0 };
    open = await PageServer.start({ worker, files, listen });
    closed = await PageServer.start({ worker, files, listen, token });
  });

  after(async () => {
    await worker.close();
    await open.close();
    await closed.close();
  });

  /** A request with headers as they are, which `fetch` would not send. */
  function ask(
    { address }: PageServer,
    path: string,
    headers: Readonly<Record<string, string>> = {},
    body?: string,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          host: address.host,
          port: address.port,
          path,
          method: body === undefined ? "GET" : "POST",
          headers,
        },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk) => {
            text += chunk;
          });
          response.once("error", reject);
          response.once("end", () =>
            resolve({ status: response.statusCode ?? 0, headers: response.headers, text }),
          );
        },
      );
      sent.once("error", reject);
      sent.end(body);
    });
  }

  const checkNetwork = "/connectquic.worker.v1.ConsoleService/CheckNetwork";
  const json = { "content-type": "application/json" };

  test("is served with headers that keep others, and markup, out", async () => {
    const { status, headers, text } = await ask(open, "/");
    assert.deepEqual([status, text], [200, "the page"]);
    assert.match(
      String(headers["content-security-policy"]),
      /default-src 'none'.*script-src 'self';/,
    );
    assert.match(String(headers["content-security-policy"]), /frame-ancestors 'none'/);
    assert.doesNotMatch(String(headers["content-security-policy"]), /unsafe|\*/);
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.equal(headers["access-control-allow-origin"], undefined);
  });

  test("takes calls of its own origin, and of programs", async () => {
    const origin = `http://127.0.0.1:${open.address.port}`;
    assert.equal((await ask(open, checkNetwork, json, "{}")).status, 200);
    const own = { ...json, origin, "sec-fetch-site": "same-origin" };
    assert.equal((await ask(open, checkNetwork, own, "{}")).status, 200);
  });

  test("refuses calls of other origins, and with it a look at the answer", async () => {
    for (const origin of ["http://attacker.example", "null", "http://127.0.0.1:1"]) {
      const { status, headers } = await ask(open, checkNetwork, { ...json, origin }, "{}");
      assert.equal(status, 403, origin);
      assert.equal(headers["access-control-allow-origin"], undefined);
    }
  });

  test("refuses a name that another has made lead here (DNS rebinding)", async () => {
    const host = `attacker.example:${open.address.port}`;
    assert.equal((await ask(open, "/", { host })).status, 403);
    const origin = `http://${host}`;
    assert.equal((await ask(open, checkNetwork, { ...json, host, origin }, "{}")).status, 403);
  });

  test("refuses what a form of another site could send without asking", async () => {
    const form = { "content-type": "text/plain" };
    assert.equal((await ask(open, checkNetwork, form, "{}")).status, 415);
  });

  test("refuses a message that is too large", async () => {
    const path = "/connectquic.worker.v1.ConsoleService/Dial";
    const body = JSON.stringify({ target: "a".repeat(100_000) });
    const { status, text } = await ask(open, path, json, body);
    assert.deepEqual([status, JSON.parse(text).code], [429, "resource_exhausted"]);
  });

  test("says what is wrong with what is dialed", async () => {
    const path = "/connectquic.worker.v1.ConsoleService/Dial";
    for (const target of ["", "nonsense", worker.state.self.id, worker.state.self.ticket]) {
      const { status, text } = await ask(open, path, json, JSON.stringify({ target }));
      assert.deepEqual([status, JSON.parse(text).code], [400, "invalid_argument"], target);
    }
  });

  test("knows no other paths", async () => {
    for (const path of ["/package.json", "/../package.json", "//attacker.example/", "/page"]) {
      assert.match(String((await ask(open, path)).status), /^40[04]$/, path);
    }
  });

  test("gives and takes files as little as it takes calls", async () => {
    const origin = "http://attacker.example";
    for (const body of ["content", undefined]) {
      assert.equal((await ask(open, "/files/1", { origin }, body)).status, 403);
      const site = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
      assert.equal((await ask(open, "/files/1", site, body)).status, 403);
      assert.equal((await ask(closed, "/files/1", {}, body)).status, 401);
      assert.equal((await ask(closed, `/files/1?token=${token}`, {}, body)).status, 401);
      // Nothing is expected, and nothing kept.
      assert.equal((await ask(open, "/files/1", {}, body)).status, 404);
      assert.equal((await ask(open, "/files/1e3", {}, body)).status, 404);
    }
  });

  test("says what is missing for a file, and for a partner", async () => {
    for (const [method, body, code] of [
      ["StartFile", { peerId: "x", name: "a", size: "1" }, "unavailable"],
      ["FindPartner", { pool: "chess" }, "failed_precondition"],
      ["LeavePartner", {}, "failed_precondition"],
    ] as const) {
      const path = `/connectquic.worker.v1.ConsoleService/${method}`;
      const { text } = await ask(open, path, json, JSON.stringify(body));
      assert.equal(JSON.parse(text).code, code, method);
    }
  });

  test("with a token: lets in who has it, and keeps it out of the URL", async () => {
    assert.equal((await ask(closed, "/")).status, 401);
    assert.equal((await ask(closed, checkNetwork, json, "{}")).status, 401);
    assert.equal((await ask(closed, "/?token=wrong")).status, 401);
    const { status, headers } = await ask(closed, `/?token=${token}`);
    assert.deepEqual([status, headers.location], [303, "/"]);
    const [setCookie = ""] = headers["set-cookie"] ?? [];
    assert.match(setCookie, /; HttpOnly; SameSite=Strict$/);
    const cookie = setCookie.split(";")[0] ?? "";
    assert.equal((await ask(closed, "/", { cookie })).status, 200);
    assert.equal((await ask(closed, checkNetwork, { ...json, cookie }, "{}")).status, 200);
    const bearer = { ...json, authorization: `Bearer ${token}` };
    assert.equal((await ask(closed, checkNetwork, bearer, "{}")).status, 200);
  });

  test("with a token: another site gets nowhere, though the browser were to send the cookie", async () => {
    const { headers } = await ask(closed, `/?token=${token}`);
    const cookie = (headers["set-cookie"] ?? [])[0]?.split(";")[0] ?? "";
    const others = { ...json, cookie, origin: "http://attacker.example" };
    assert.equal((await ask(closed, checkNetwork, others, "{}")).status, 403);
  });
});
