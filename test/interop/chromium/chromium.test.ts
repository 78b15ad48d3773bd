// Connect-Web in a page in Chromium, which calls a router's public listener over HTTP/3 from another origin.

import assert from "node:assert/strict";
import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createSecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Code, ConnectError } from "@connectrpc/connect";
import { build } from "esbuild";
import { EchoRequestSchema } from "../../../gen/echo/v1/echo_pb.ts";
import { type Deferred, deferred } from "../../../src/base/deferred.ts";
import {
  type Caller,
  callerKey,
  createPeerRouter,
  Endpoint,
  type PeerRouter,
  type PublicListener,
} from "../../../src/index.ts";
import { aborted, EchoService } from "../../support/echo-service.ts";
import { TestAuthority, type TestCertificate } from "../../support/test-pki.ts";
import { ourEngines } from "../http3/stack.ts";
import { Chromium, type ChromiumPage, findChromium } from "./chromium.ts";
import type { cases, Way } from "./page.ts";

type Cases = typeof cases;

const program = findChromium();
const skip =
  program === undefined && "no chromium: install Debian's package, or say in CHROMIUM where it is";
const ways: readonly Way[] = ["connect-json", "connect-binary", "grpc-web"];
/** Names that only this browser knows. */
const host = "rpc.test";
const announcedHost = "announced.test";
/** Without it, browsers do not tell pages of other origins by which protocol a response came. */
const mayBeTimed = ["timing-allow-origin", "*"] as const;

for (const ours of ourEngines) {
  describe(`Connect-Web in Chromium${ours.note}`, {
    skip: skip || (ours.missing ?? false),
    timeout: 120_000,
  }, () => {
    /** Two origins of pages; the second may not call. */
    let pages: Server;
    let strangers: Server;
    let certificate: TestCertificate;
    let endpoint: Endpoint;
    let router: PeerRouter;
    let listener: PublicListener;
    let browser: Chromium;
    let page: ChromiumPage;
    let baseUrl: string;
    const callers: Caller[] = [];
    const reports: unknown[] = [];
    let endless: Deferred<AbortSignal>;

    before(async () => {
      assert(program !== undefined);
      const script = await bundle();
      [pages, strangers] = await Promise.all([servePage(script), servePage(script)]);
      const authority = await TestAuthority.create({ intermediate: true });
      certificate = await authority.server([host, announcedHost]);
      endpoint = await Endpoint.bind({
        bind: "127.0.0.1:0",
        onError: (error) => reports.push(error),
      });
      router = createPeerRouter(endpoint);
      router.service(EchoService, {
        echo: ({ message }, context) => {
          callers.push(context.values.get(callerKey) ?? assert.fail("nobody calls"));
          context.responseHeader.set(...mayBeTimed);
          context.responseHeader.set("x-answered", `${context.requestHeader.get("x-asked")}: yes`);
          context.responseHeader.set("x-hidden", "not for pages");
          if (message === "fail") {
            throw new ConnectError("no such thing: ✗", Code.NotFound, undefined, [
              { desc: EchoRequestSchema, value: { message: "a detail: ✓" } },
            ]);
          }
          return { message };
        },
        async *repeat({ message, count }, { signal, responseHeader }) {
          responseHeader.set(...mayBeTimed);
          if (message === "endless") {
            endless.resolve(signal);
            yield { message };
            await aborted(signal);
            return;
          }
          for (let number = 1; number <= count; number++) {
            yield { message, number };
          }
          if (message === "fail") {
            yield { message: "first" };
            throw new ConnectError("enough", Code.ResourceExhausted);
          }
        },
      });
      listener = await router.listen({
        bind: "127.0.0.1:0",
        engine: ours.engine(),
        cert: certificate.chainPem,
        key: certificate.keyPem,
        cors: {
          origins: [originOf(pages)],
          allowedHeaders: ["x-asked"],
          exposedHeaders: ["x-answered"],
        },
      });
      const port = listener.addresses[0]?.port;
      baseUrl = `https://${host}:${port}`;
      browser = new Chromium(program, [
        `--host-resolver-rules=MAP ${host} 127.0.0.1, MAP ${announcedHost} 127.0.0.1`,
        `--ignore-certificate-errors-spki-list=${publicKeyHash(certificate)}`,
        `--origin-to-force-quic-on=${host}:${port}`,
      ]);
      page = await browser.open(`${originOf(pages)}/`);
    });

    after(async () => {
      await browser?.[Symbol.asyncDispose]();
      await endpoint?.close({ timeoutMs: 0 });
      for (const server of [pages, strangers]) {
        server?.closeAllConnections();
        server?.close();
      }
      assert.deepEqual(reports, []);
    });

    function run<Name extends keyof Cases>(
      name: Name,
      ...args: Parameters<Cases[Name]>
    ): ReturnType<Cases[Name]> {
      return ask(page, name, ...args);
    }

    for (const way of ways) {
      describe(way, () => {
        test("echoes, sends a header of its own and reads one that is exposed", async () => {
          callers.length = 0;
          assert.deepEqual(await run("unary", way, baseUrl, "hello, wörld"), {
            message: "hello, wörld",
            answered: "may I: yes",
            hidden: null,
          });
          const versions = callers.map((caller) => caller.type === "web" && caller.httpVersion);
          assert.deepEqual(versions, ["3.0"]);
        });

        test("gets a stream of many messages in their order", async () => {
          const count = 5_000;
          assert.deepEqual(await run("stream", way, baseUrl, count), {
            inOrder: true,
            received: count,
          });
        });

        test("gets 5 MB back that it has sent", async () => {
          const size = 5_000_000;
          assert.deepEqual(await run("large", way, baseUrl, size), { size, same: true });
        });

        test("makes a hundred calls at once", async () => {
          assert.equal(await run("together", way, baseUrl, 100), true);
        });

        test("gets an error with code, message and details", async () => {
          assert.deepEqual(await run("failure", way, baseUrl, "fail"), {
            code: "NotFound",
            message: "no such thing: ✗",
            details: ["a detail: ✓"],
          });
        });

        test("gets an error in the middle of a stream", async () => {
          assert.deepEqual(await run("streamFailure", way, baseUrl), {
            first: "first",
            failure: { code: "ResourceExhausted", message: "enough", details: [] },
          });
        });

        test("gives a stream up, and the handler's signal fires", async () => {
          endless = deferred();
          const { code } = await run("abort", way, baseUrl);
          assert.equal(code, "Canceled");
          const reason = await aborted(await endless.promise);
          assert(reason instanceof ConnectError && reason.code === Code.Canceled, `${reason}`);
        });

        test("is refused by the browser in a page of an origin that may not call", async () => {
          callers.length = 0;
          await using stranger = await browser.open(`${originOf(strangers)}/`);
          const failure = await ask(stranger, "refused", way, baseUrl);
          assert.deepEqual(failure, { code: "Unknown", message: "Failed to fetch", details: [] });
          // The preflight request is answered by no handler, and nothing follows it.
          assert.deepEqual(callers, []);
          // The same listener goes on serving those that may.
          await run("unary", way, baseUrl, "still here");
        });
      });
    }

    test("goes over to HTTP/3 when a server of HTTP/2 announces the listener", async () => {
      const bridge = router.bridge({ cors: { origins: [originOf(pages)] } });
      const server = createSecureServer(
        { cert: certificate.chainPem, key: certificate.keyPem, allowHTTP1: true },
        (request, response) => {
          // Not before: the browser would come by HTTP/3 for the first call already.
          if (request.method !== "OPTIONS") {
            response.setHeader("alt-svc", listener.altSvc);
          }
          bridge(request, response);
        },
      ).listen(0, "127.0.0.1");
      try {
        await once(server, "listening");
        const { port } = server.address() as AddressInfo;
        callers.length = 0;
        const protocols = await run("untilH3", `https://${announcedHost}:${port}`, 30_000);
        assert.equal(protocols[0], "h2");
        assert.equal(protocols.at(-1), "h3");
        const versions = callers.map((caller) => caller.type === "web" && caller.httpVersion);
        assert.equal(versions[0], "2.0");
        assert.equal(versions.at(-1), "3.0");
      } finally {
        server.close();
      }
    });
  });
}

/** A call of one of the page's cases. */
function ask<Name extends keyof Cases>(
  page: ChromiumPage,
  name: Name,
  ...args: Parameters<Cases[Name]>
): ReturnType<Cases[Name]> {
  const list = args.map((value) => JSON.stringify(value)).join();
  return page.evaluate(`cases[${JSON.stringify(name)}](${list})`) as ReturnType<Cases[Name]>;
}

/** The page's program, in one script. */
async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL("page.ts", import.meta.url))],
    bundle: true,
    write: false,
    format: "iife",
    target: "es2022",
    logLevel: "warning",
  });
  return outputFiles[0]?.text ?? assert.fail("there is no page");
}

/** A web server with that page, on an origin of its own. */
async function servePage(script: string): Promise<Server> {
  const server = createServer((request, response) => {
    const isScript = request.url === "/page.js";
    response.setHeader(
      "content-type",
      `${isScript ? "text/javascript" : "text/html"};charset=utf-8`,
    );
    response.end(isScript ? script : `<!doctype html><script src="page.js"></script>`);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function originOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** As `--ignore-certificate-errors-spki-list` names a certificate. */
function publicKeyHash({ certPem }: TestCertificate): string {
  const key = new X509Certificate(certPem).publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}
