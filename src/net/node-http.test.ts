import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import dns from "node:dns";
import { once } from "node:events";
import { createServer, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { startProgram } from "../../test/support/process.ts";
import { TestAuthority } from "../../test/support/test-pki.ts";
import { deferred } from "../base/deferred.ts";
import type { HttpRequest } from "./network.ts";
import { nodeRequest } from "./node-http.ts";

const decoder = new TextDecoder();

/** Serves on loopback until the test is over. */
async function serve(
  context: TestContext,
  handler: RequestListener,
  server: Server = createServer(),
): Promise<{ server: Server; url: (path?: string, host?: string) => URL }> {
  server.on("request", handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const scheme = "setSecureContext" in server ? "https" : "http";
  return {
    server,
    url: (path = "/", host = "127.0.0.1") => new URL(`${scheme}://${host}:${port}${path}`),
  };
}

function get(more: Partial<HttpRequest> = {}): HttpRequest {
  return { method: "GET", signal: new AbortController().signal, maxBytes: 1_000, ...more };
}

test("nodeRequest sends method, headers and body, and hands over status, headers and body", async (context) => {
  const { url } = await serve(context, (request, response) => {
    request.on("data", (sent: Buffer) => {
      response.writeHead(418, {
        "set-cookie": ["a=1", "b=2"],
        "x-sent": request.headers["x-mine"],
      });
      response.end(`${request.method} ${request.url} ${sent}`);
    });
  });
  const response = await nodeRequest(
    url("/a?b"),
    get({ method: "PUT", headers: { "x-mine": "yes" }, body: new TextEncoder().encode("hello") }),
  );
  assert.equal(response.status, 418);
  assert.equal(response.headers["x-sent"], "yes");
  assert.equal(response.headers["set-cookie"], "a=1, b=2");
  assert.equal(decoder.decode(response.body), "PUT /a?b hello");
  assert.equal(response.body.constructor, Uint8Array);
});

test("nodeRequest refuses an answer above the limit, also one that does not end", async (context) => {
  const { url } = await serve(context, (request, response) => {
    response.write("x".repeat(100));
    if (request.url === "/exact") {
      response.end();
    } else {
      response.write("x");
    }
  });
  assert.equal((await nodeRequest(url("/exact"), get({ maxBytes: 100 }))).body.length, 100);
  await assert.rejects(nodeRequest(url(), get({ maxBytes: 100 })), /longer than 100 bytes/);
});

test("nodeRequest ends with the signal, before and during the exchange", async (context) => {
  const { server, url } = await serve(context, () => {});
  const reason = new Error("enough");
  await assert.rejects(nodeRequest(url(), get({ signal: AbortSignal.abort(reason) })), reason);
  const stop = new AbortController();
  server.once("request", () => stop.abort(reason));
  await assert.rejects(nodeRequest(url(), get({ signal: stop.signal })), reason);
});

test("nodeRequest rejects when the server closes early or nobody listens", async (context) => {
  const { server, url } = await serve(context, (_request, response) => {
    response.writeHead(200, { "content-length": "10" });
    response.write("half", () => response.destroy());
  });
  await assert.rejects(nodeRequest(url(), get()));
  server.close();
  await assert.rejects(nodeRequest(url(), get()), { code: "ECONNREFUSED" });
  await assert.rejects(nodeRequest(new URL("file:///etc/passwd"), get()), TypeError);
});

test("nodeRequest follows redirects, and leaves credentials with whom they were for", async (context) => {
  const other = await serve(context, (request, response) => {
    response.end(`other ${request.method} ${request.headers.authorization}`);
  });
  const { url } = await serve(context, (request, response) => {
    const [, status = "", to = ""] = /^\/(\d+)\/(.*)$/.exec(request.url ?? "") ?? [];
    if (status === "") {
      request.on("data", () => {});
      response.end(
        `${request.method} ${request.headers.authorization} ${request.headers["content-type"]}`,
      );
    } else {
      response.writeHead(Number(status), { location: to === "other" ? other.url().href : to });
      response.end();
    }
  });
  const headers = { authorization: "secret", "content-type": "text/plain" };
  const body = Uint8Array.of(1);
  const ask = async (path: string, method: HttpRequest["method"]): Promise<string> =>
    decoder.decode(
      (
        await nodeRequest(
          url(path),
          get({ method, headers, ...(method === "GET" ? {} : { body }) }),
        )
      ).body,
    );
  assert.equal(await ask("/302//here", "GET"), "GET secret text/plain");
  assert.equal(await ask("/302//here", "POST"), "GET secret undefined");
  assert.equal(await ask("/303//here", "PUT"), "GET secret undefined");
  assert.equal(await ask("/307//here", "POST"), "POST secret text/plain");
  assert.equal(await ask("/301/other", "GET"), "other GET undefined");
  const { status, headers: answered } = await nodeRequest(
    url("/302//here"),
    get({ followRedirects: false }),
  );
  assert.deepEqual([status, answered.location], [302, "/here"]);
});

test("nodeRequest gives up on redirects in circles, to other schemes and from https to http", async (context) => {
  const { url } = await serve(context, (request, response) => {
    response.writeHead(302, {
      location: request.url === "/file" ? "file:///etc/passwd" : "/again",
    });
    response.end();
  });
  await assert.rejects(nodeRequest(url(), get()), /more than 5 redirects/);
  await assert.rejects(nodeRequest(url("/file"), get()), /cannot follow .* to "file:/);

  const authority = await TestAuthority.create();
  const { certPem, keyPem } = await authority.server(["localhost"]);
  const tls = await serve(
    context,
    (_request, response) => {
      response.writeHead(302, { location: url().href });
      response.end();
    },
    createTlsServer({ cert: certPem, key: keyPem }),
  );
  const authorities = [new Uint8Array(new X509Certificate(authority.certPem).raw)];
  await assert.rejects(
    nodeRequest(tls.url("/", "localhost"), get({ authorities })),
    /cannot follow https:/,
  );
});

test("nodeRequest believes the given authorities alone, and knows a host by its name without the last dot", async (context) => {
  const authority = await TestAuthority.create();
  const { certPem, keyPem } = await authority.server(["localhost"]);
  const names: (string | false | null)[] = [];
  const server = createTlsServer({ cert: certPem, key: keyPem });
  server.on("secureConnection", (socket) => names.push(socket.servername ?? null));
  const { url } = await serve(context, (_request, response) => response.end("ok"), server);
  const authorities = [new Uint8Array(new X509Certificate(authority.certPem).raw)];
  // Some resolvers know no "localhost.".
  context.mock.method(dns, "lookup", (...values: unknown[]) => {
    const found = values.pop() as (error: null, addresses: unknown[]) => void;
    found(null, [{ address: "127.0.0.1", family: 4 }]);
  });
  for (const host of ["localhost", "localhost."]) {
    const response = await nodeRequest(url("/", host), get({ authorities }));
    assert.equal(decoder.decode(response.body), "ok", host);
  }
  assert.deepEqual(names, ["localhost", "localhost"]);
  await assert.rejects(nodeRequest(url("/", "localhost"), get()), /certificate/);
  await assert.rejects(nodeRequest(url("/", "127.0.0.1"), get({ authorities })), /IP/);
});

test("nodeRequest uses a connection again, and asks once more when the server had closed it", async (context) => {
  let connections = 0;
  let answers = 0;
  const { server, url } = await serve(context, (request, response) => {
    answers += 1;
    // The second request on the first connection meets a server that has had enough.
    if (answers === 2) {
      request.socket.resetAndDestroy();
    } else {
      response.end();
    }
  });
  server.on("connection", () => {
    connections += 1;
  });
  await nodeRequest(url(), get());
  await nodeRequest(url(), get());
  assert.deepEqual({ connections, answers }, { connections: 2, answers: 3 });
  await nodeRequest(url(), get());
  assert.deepEqual({ connections, answers }, { connections: 2, answers: 4 });
});

test("F22: nodeRequest keeps no connection that is idle, and waits longer than that for an answer", async (context) => {
  const sockets: Socket[] = [];
  const asked = deferred<ServerResponse>();
  const { server, url } = await serve(context, (request, response) => {
    if (request.url === "/slow") {
      asked.resolve(response);
    } else {
      response.end();
    }
  });
  server.keepAliveTimeout = 0;
  server.on("connection", (socket) => sockets.push(socket));
  const slow = nodeRequest(url("/slow"), get());
  const response = await asked.promise;
  await nodeRequest(url(), get());
  // Opened at the same time, and idle: it ends by itself, and the one that waits does not.
  const [first, second] = sockets;
  assert.ok(first !== undefined && second !== undefined);
  await Promise.race([once(first, "close"), once(second, "close")]);
  response.end("at last");
  assert.equal(decoder.decode((await slow).body), "at last");
});

test("F5: a request that is not answered, and an idle connection, keep no process alive", async (context) => {
  const { url } = await serve(context, (request, response) => {
    if (request.url === "/answered") {
      response.end();
    }
  });
  await using program = await startProgram(
    new URL("../../test/support/request-program.ts", import.meta.url),
    { args: [url("/answered").href, url("/silent").href] },
  );
  await program.close();
});
