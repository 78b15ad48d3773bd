import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { Code, ConnectError, createClient, type HandlerContext } from "@connectrpc/connect";
import { deferred } from "../../src/base/deferred.ts";
import {
  type Caller,
  callerKey,
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  type ListenOptions,
  type PeerRouter,
  type PeerRouterOptions,
  type PublicListener,
  peerKey,
  type UrlTransport,
  type UrlTransportOptions,
} from "../../src/index.ts";
import { EchoService } from "../support/echo-service.ts";
import { TestAuthority, type TestCertificate } from "../support/test-pki.ts";

const loopback = "127.0.0.1:0";

describe("a public listener", () => {
  let authority: TestAuthority;
  let other: TestAuthority;
  let certificate: TestCertificate;
  let endpoint: Endpoint;
  const reports: unknown[] = [];

  before(async () => {
    authority = await TestAuthority.create({ intermediate: true });
    other = await TestAuthority.create({ name: "Other" });
    certificate = await authority.server(["localhost", "127.0.0.1"]);
    endpoint = await Endpoint.bind({ bind: loopback, onError: (error) => reports.push(error) });
    endpoint.hold();
  });

  after(async () => {
    await endpoint.close({ timeoutMs: 0 });
    assert.deepEqual(reports, []);
  });

  /** A router that answers with what `echo` says, and a listener of it. */
  async function serve(
    echo: (message: string, context: HandlerContext) => string | Promise<string> = (message) =>
      message,
    options: { router?: PeerRouterOptions; listen?: Partial<ListenOptions> } = {},
  ): Promise<{ router: PeerRouter; listener: PublicListener; url: `https://${string}` }> {
    const router = createPeerRouter(endpoint, options.router).service(EchoService, {
      echo: async ({ message }, context) => ({ message: await echo(message, context) }),
    });
    const listener = await router.listen({
      bind: loopback,
      cert: certificate.chainPem,
      key: certificate.keyPem,
      ...options.listen,
    });
    return { router, listener, url: urlOf(listener) };
  }

  function urlOf(listener: PublicListener): `https://${string}` {
    return `https://localhost:${listener.addresses[0]?.port}`;
  }

  function call(
    url: `https://${string}`,
    options: Partial<UrlTransportOptions> = {},
  ): UrlTransport {
    return createQuicTransport({ to: url, ca: authority.certPem, ...options });
  }

  async function echo(transport: UrlTransport, message = "hello"): Promise<string> {
    return (await createClient(EchoService, transport).echo({ message })).message;
  }

  test("tells handlers where a call comes from, and that it has no peer", async () => {
    const callers: (Caller | undefined)[] = [];
    const { router, url } = await serve((message, { values }) => {
      callers.push(values.get(callerKey));
      assert.throws(() => values.get(peerKey).id, /this call has no peer/);
      return message;
    });
    await using transport = call(url);
    assert.equal(await echo(transport), "hello");
    const [caller] = callers;
    assert(caller?.type === "web");
    assert.equal(caller.httpVersion, "3.0");
    assert.equal(caller.remoteAddress.host, "127.0.0.1");
    assert.deepEqual(caller.certificates, []);
    await router.close();
  });

  test("serves peers and others with the same services", async () => {
    const { router, url } = await serve((_, { values }) => values.get(callerKey)?.type ?? "none");
    await using client = await Endpoint.bind({ bind: loopback });
    await using byKey = createQuicTransport({ endpoint: client, to: endpoint.ticket() });
    await using byUrl = call(url);
    assert.equal((await createClient(EchoService, byKey).echo({})).message, "peer");
    assert.equal(await echo(byUrl), "web");
    await router.close();
  });

  test("hands the certificates of callers to handlers, and sends others away", async () => {
    const alice = await authority.client("alice");
    const mallory = await other.client("mallory");
    const names: string[] = [];
    const { router, url, listener } = await serve(
      (message, { values }) => {
        const caller = values.get(callerKey);
        assert(caller?.type === "web");
        const [leaf] = caller.certificates;
        names.push(leaf === undefined ? "nobody" : new X509Certificate(leaf).subject);
        return message;
      },
      { listen: { clientCertificates: { ca: authority.certPem } } },
    );
    await using asAlice = call(url, { cert: alice.chainPem, key: alice.keyPem });
    await echo(asAlice);
    assert.deepEqual(names, ["CN=alice"]);
    for (const shown of [{}, { cert: mallory.chainPem, key: mallory.keyPem }]) {
      await using transport = call(url, shown);
      await assert.rejects(echo(transport), (error: unknown) => {
        assert(error instanceof ConnectError && error.code === Code.Unauthenticated, `${error}`);
        assert.match(error.rawMessage, /does not accept what we are/);
        return true;
      });
    }
    await listener.close();
    const lenient = await router.listen({
      bind: loopback,
      cert: certificate.chainPem,
      key: certificate.keyPem,
      clientCertificates: { ca: authority.certPem, required: false },
    });
    await using asNobody = call(urlOf(lenient));
    await echo(asNobody);
    assert.deepEqual(names, ["CN=alice", "nobody"]);
    await router.close();
  });

  test("asks the router's hook, and not the endpoint's", async () => {
    const asked: (string | undefined)[] = [];
    const { router, url } = await serve(undefined, {
      router: {
        authorize: (caller) => {
          asked.push(caller.type);
          return false;
        },
      },
    });
    await using transport = call(url);
    await assert.rejects(echo(transport), { code: Code.PermissionDenied });
    assert.deepEqual(asked, ["web"]);
    await router.close();
  });

  test("shows another certificate, and lets connections live that there are", async () => {
    const { router, listener, url } = await serve();
    await using before = call(url);
    await echo(before);
    const fresh = await other.server(["localhost"], { key: "rsa" });
    assert.throws(
      () => listener.setCertificate({ cert: fresh.chainPem, key: certificate.keyPem }),
      {
        name: "IdentityError",
        code: "invalid-key",
      },
    );
    listener.setCertificate({ cert: fresh.chainPem, key: fresh.keyPem });
    await using after = call(url, { ca: other.certPem });
    await echo(after);
    assert.equal(await echo(before, "still here"), "still here");
    await using late = call(url);
    await assert.rejects(echo(late), { code: Code.Unauthenticated });
    await router.close();
  });

  test("closes without the router: calls end, and newcomers are refused", async () => {
    const begun = deferred<void>();
    const gate = deferred<void>();
    const { router, listener, url } = await serve(async (message) => {
      begun.resolve();
      await gate.promise;
      return message;
    });
    await using transport = call(url);
    const running = echo(transport);
    await begun.promise;
    const closed = listener.close();
    await using late = call(url);
    await assert.rejects(echo(late), { code: Code.Unavailable });
    gate.resolve();
    assert.equal(await running, "hello");
    await closed;
    await listener.closed;
    // The port is free again, and the router serves on.
    const again = await router.listen({
      bind: `127.0.0.1:${listener.addresses[0]?.port}`,
      cert: certificate.chainPem,
      key: certificate.keyPem,
    });
    await using next = call(urlOf(again));
    assert.equal(await echo(next), "hello");
    await router.close();
    await again.closed;
  });

  test("gives running calls as long as the router says", async () => {
    const begun = deferred<AbortSignal>();
    const { router, url } = await serve((_, { signal }) => {
      begun.resolve(signal);
      return new Promise(() => {});
    });
    await using transport = call(url);
    const running = echo(transport);
    running.catch(() => {});
    const signal = await begun.promise;
    await router.close({ graceMs: 0 });
    await assert.rejects(running, { code: Code.Unavailable });
    assert.equal(signal.aborted, true);
    await assert.rejects(
      router.listen({ bind: loopback, cert: certificate.chainPem, key: certificate.keyPem }),
      { name: "TypeError", message: "cannot listen: the router is closed" },
    );
  });

  test("says what servers of older HTTP are to announce", async () => {
    const { router, listener } = await serve();
    assert.equal(listener.altSvc, `h3=":${listener.addresses[0]?.port}"; ma=86400`);
    await router.close();
  });

  test("cannot be had on a port that is taken, or with what is no certificate", async () => {
    const { router, listener } = await serve();
    const { chainPem: cert, keyPem: key } = certificate;
    const taken = `127.0.0.1:${listener.addresses[0]?.port}`;
    const rejects: [Partial<ListenOptions>, { name: string; code?: string }][] = [
      [{ bind: taken }, { name: "EndpointError", code: "bind-failed" }],
      [{ bind: "localhost" }, { name: "TypeError" }],
      [{ cert: key }, { name: "IdentityError", code: "invalid-certificate" }],
      [{ key: cert }, { name: "IdentityError", code: "invalid-key" }],
      [{ clientCertificates: { ca: "nobody" } }, { name: "IdentityError" }],
      [{ clientCertificates: { ca: [] } }, { name: "IdentityError" }],
      [{ cors: { origins: ["app.example"] } }, { name: "TypeError" }],
      [{ transport: { initialMtu: 10 } }, { name: "RangeError" }],
    ];
    for (const [options, error] of rejects) {
      await assert.rejects(router.listen({ bind: loopback, cert, key, ...options }), error);
    }
    await router.close();
  });

  describe("and a transport by URL", () => {
    test("believes what an authority vouches for, and nothing else", async () => {
      const { router, url } = await serve();
      const cases: [Partial<UrlTransportOptions>, RegExp][] = [
        [{ ca: other.certPem }, /its certificate is not to be trusted .*UnknownIssuer/],
        [{ serverName: "other.test" }, /not valid for name "other\.test"/],
        [{ to: url.replace("localhost", "127.0.0.1") as typeof url }, /^$/],
      ];
      for (const [options, message] of cases) {
        await using transport = call(url, options);
        if (message.source === "^$") {
          assert.equal(await echo(transport), "hello");
        } else {
          await assert.rejects(echo(transport), (error: unknown) => {
            assert(error instanceof ConnectError && error.code === Code.Unauthenticated);
            assert.match(error.rawMessage, message);
            return true;
          });
        }
      }
      // Those that Node.js trusts.
      await using web = createQuicTransport({ to: url });
      await assert.rejects(echo(web), { code: Code.Unauthenticated });
      await router.close();
    });

    test("says who cannot be found", async () => {
      await using transport = call("https://nobody.invalid:443");
      await assert.rejects(echo(transport), (error: unknown) => {
        assert(error instanceof ConnectError && error.code === Code.Unavailable);
        assert.match(error.rawMessage, /cannot connect to nobody\.invalid:443: /);
        return true;
      });
    });

    test("dials anew when its connection was lost", async () => {
      const { router, listener, url } = await serve();
      await using transport = call(url);
      await echo(transport);
      await listener.close({ graceMs: 0 });
      const again = await router.listen({
        bind: `127.0.0.1:${listener.addresses[0]?.port}`,
        cert: certificate.chainPem,
        key: certificate.keyPem,
      });
      assert.equal(await echo(transport), "hello");
      await again.close();
      await router.close();
    });

    test("takes a URL object and files, and tells whom it calls", async () => {
      const { router, url } = await serve();
      const transport = createQuicTransport({
        to: new URL(url),
        ca: [Buffer.from(authority.certPem), other.certPem],
      });
      assert.equal(transport.url, `${url}/`);
      assert.equal(transport.state, "idle");
      await transport.connect();
      assert.equal(transport.state, "connected");
      assert.equal(await echo(transport), "hello");
      await transport.close();
      await assert.rejects(echo(transport), { code: Code.Canceled });
      await router.close();
    });

    test("ends what waits when it is closed, or given up", async () => {
      const silent = "https://127.0.0.1:9";
      const transport = call(silent, { dialTimeoutMs: 60_000 });
      const controller = new AbortController();
      const client = createClient(EchoService, transport);
      const aborted = assert.rejects(client.echo({}, { signal: controller.signal }), {
        code: Code.Canceled,
      });
      const late = assert.rejects(client.echo({}, { timeoutMs: 50 }), {
        code: Code.DeadlineExceeded,
      });
      const waiting = assert.rejects(client.echo({}), { code: Code.Canceled });
      controller.abort();
      await Promise.all([aborted, late]);
      await transport.close({ timeoutMs: 0 });
      await waiting;
    });

    test("cannot be made for what is no URL of a server", () => {
      for (const to of [
        "https://",
        "http://a.example",
        "https://a.example/?x",
        "https://u:p@a.example",
        "https://a b",
      ]) {
        assert.throws(() => createQuicTransport({ to: to as `https://${string}` }), {
          name: "ConnectError",
          code: Code.InvalidArgument,
        });
      }
      const to = "https://a.example";
      assert.throws(() => createQuicTransport({ to, cert: certificate.certPem }), TypeError);
      assert.throws(() => createQuicTransport({ to, ca: "x" }), { name: "IdentityError" });
    });
  });
});
