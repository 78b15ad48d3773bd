import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { createSecureServer, type Http2SecureServer } from "node:http2";
import { request } from "node:https";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import {
  create,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import {
  type ClientDuplexStream,
  type ClientWritableStream,
  credentials,
  makeGenericClientConstructor,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { deferred } from "../../src/base/deferred.ts";
import {
  type Caller,
  callerKey,
  createPeerRouter,
  Endpoint,
  type PeerRouter,
} from "../../src/index.ts";
import { aborted, EchoService, echoImplementation } from "../support/echo-service.ts";
import { TestAuthority } from "../support/test-pki.ts";

describe("the bridge of a peer router", () => {
  let authority: TestAuthority;
  let endpoint: Endpoint;
  let router: PeerRouter;
  let server: Http2SecureServer;
  let url: string;
  const reports: unknown[] = [];
  const callers: (Caller | undefined)[] = [];
  let welcome = true;
  let hold = async (_signal: AbortSignal): Promise<void> => {};

  before(async () => {
    authority = await TestAuthority.create();
    endpoint = await Endpoint.bind({
      bind: "127.0.0.1:0",
      onError: (error) => reports.push(error),
    });
    router = createPeerRouter(endpoint, { authorize: () => welcome }).service(EchoService, {
      ...echoImplementation,
      echo: async ({ message }, { values, signal }) => {
        callers.push(values.get(callerKey));
        await hold(signal);
        return { message };
      },
    });
    const { chainPem, keyPem } = await authority.server(["127.0.0.1", "localhost"]);
    server = createSecureServer(
      {
        cert: chainPem,
        key: keyPem,
        ca: authority.certPem,
        requestCert: true,
        rejectUnauthorized: false,
        allowHTTP1: true,
      },
      router.bridge(),
    );
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    url = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  after(async () => {
    server.close();
    await router.close({ graceMs: 0 });
    await endpoint.close({ timeoutMs: 0 });
    assert.deepEqual(reports, []);
  });

  test("serves all kinds of calls to @grpc/grpc-js", async () => {
    const client = grpcClient(url, authority.certPem);
    try {
      const unary = await answer<{ message: string }>((answered) =>
        client.Echo({ message: "hello" }, answered),
      );
      assert.equal(unary.message, "hello");

      const numbers: number[] = [];
      for await (const { number } of client.Repeat({ message: "again", count: 100 })) {
        numbers.push(number);
      }
      assert.equal(numbers.length, 100);

      const collected = await answer<{ messages: string[] }>((answered) => {
        const call = client.Collect(answered);
        call.write({ message: "a" });
        call.write({ message: "b" });
        call.end();
      });
      assert.deepEqual(collected.messages, ["a", "b"]);

      const conversation = client.Converse();
      for (const message of ["one", "two"]) {
        conversation.write({ message });
        const [answer] = (await once(conversation, "data")) as [{ message: string }];
        assert.equal(answer.message, message);
      }
      conversation.end();
      await once(conversation, "end");
    } finally {
      client.close();
    }
  });

  test("leaves what Node has received to others who look at it", async () => {
    const kept: Uint8Array[] = [];
    const bridge = router.bridge();
    const plain = createServer((request, response) => {
      const { push } = request;
      request.push = (chunk: Uint8Array | null, encoding) => {
        if (chunk !== null) {
          kept.push(chunk);
        }
        return push.call(request, chunk, encoding);
      };
      bridge(request, response);
    });
    plain.listen(0, "127.0.0.1");
    await once(plain, "listening");
    try {
      const client = createClient(
        EchoService,
        createConnectTransport({
          baseUrl: `http://127.0.0.1:${(plain.address() as AddressInfo).port}`,
          httpVersion: "1.1",
        }),
      );
      const message = "x".repeat(300_000);
      const requests = (async function* () {
        yield { message };
      })();
      assert.deepEqual((await client.collect(requests)).messages, [message]);
      assert.ok(Buffer.concat(kept).length > message.length);
    } finally {
      plain.closeAllConnections();
      plain.close();
    }
  });

  test("asks the router's hook, and answers in the protocol of the call", async () => {
    const client = grpcClient(url, authority.certPem);
    welcome = false;
    try {
      await assert.rejects(
        answer((answered) => client.Echo({}, answered)),
        { code: status.PERMISSION_DENIED },
      );
      const connect = createClient(EchoService, connectTransport());
      await assert.rejects(connect.echo({}), { code: Code.PermissionDenied });
    } finally {
      welcome = true;
      client.close();
    }
  });

  test("has nothing to report when a caller goes away", async () => {
    const begun = deferred<void>();
    const ended = deferred<void>();
    hold = async (signal) => {
      begun.resolve();
      await aborted(signal);
      ended.resolve();
    };
    const client = createClient(EchoService, connectTransport());
    const controller = new AbortController();
    const call = client.echo({}, { signal: controller.signal });
    await begun.promise;
    controller.abort();
    await assert.rejects(call, { code: Code.Canceled });
    await ended.promise;
    hold = async () => {};
  });

  test("tells handlers by what HTTP a call came, and who vouches for its caller", async () => {
    callers.length = 0;
    const alice = await authority.client("alice");
    const shown = { cert: alice.chainPem, key: alice.keyPem };
    await createClient(EchoService, connectTransport()).echo({});
    await createClient(EchoService, connectTransport(shown)).echo({});
    assert.equal(await postByHttp1("/echo.v1.EchoService/Echo"), 200);
    assert.equal(await postByHttp1("/echo.v1.EchoService/Nothing"), 404);
    const seen = callers.map((caller) => {
      assert(caller?.type === "web");
      assert.equal(caller.remoteAddress.host, "127.0.0.1");
      const [leaf] = caller.certificates;
      return [caller.httpVersion, leaf && new X509Certificate(leaf).subject];
    });
    assert.deepEqual(seen, [
      ["2.0", undefined],
      ["2.0", "CN=alice"],
      ["1.1", undefined],
    ]);
  });

  test("answers browsers by the rules of CORS, and keeps what handlers and the server say", async () => {
    const origin = "https://app.example";
    const speaking = createPeerRouter(await Endpoint.bind({ bind: "127.0.0.1:0" }));
    speaking.service(EchoService, {
      echo: ({ message }, { responseHeader }) => {
        responseHeader.set("vary", "x-language");
        return { message };
      },
    });
    const bridge = speaking.bridge({ cors: { origins: [origin], exposedHeaders: ["x-own"] } });
    const plain = createServer((asked, response) => {
      response.setHeader("alt-svc", 'h3=":443"');
      bridge(asked, response);
    }).listen(0, "127.0.0.1");
    await once(plain, "listening");
    const target = `http://127.0.0.1:${(plain.address() as AddressInfo).port}/echo.v1.EchoService/Echo`;
    const ask = { method: "OPTIONS", headers: { "access-control-request-method": "POST" } };
    const call = { method: "POST", headers: { "content-type": "application/json" }, body: "{}" };
    const send = async (init: typeof ask | typeof call, from: string) => {
      const headers = { ...init.headers, origin: from, connection: "close" };
      const response = await fetch(target, { ...init, headers });
      await response.arrayBuffer();
      const fields = ["origin", "methods", "headers", "credentials"].map((name) =>
        response.headers.get(`access-control-allow-${name}`),
      );
      const exposed = response.headers.get("access-control-expose-headers");
      const { "alt-svc": announced, vary } = Object.fromEntries(response.headers);
      assert.equal(announced, 'h3=":443"');
      return { status: response.status, vary, fields, exposed };
    };
    try {
      const { fields: asked, ...answered } = await send(ask, origin);
      assert.deepEqual(answered, { status: 204, vary: "origin", exposed: null });
      assert.deepEqual([asked[0], asked[1], asked[3]], [origin, "POST, GET", null]);
      assert.match(asked[2] ?? "", /Connect-Protocol-Version/);
      const called = await send(call, origin);
      assert.equal(called.status, 200);
      assert.equal(called.vary, "x-language, origin");
      assert.deepEqual(called.fields, [origin, null, null, null]);
      assert.match(called.exposed ?? "", /, x-own$/);
      const nothing = { fields: [null, null, null, null], exposed: null };
      const other = "https://stranger.example";
      assert.deepEqual(await send(ask, other), { status: 204, vary: "origin", ...nothing });
      assert.deepEqual(await send(call, other), {
        status: 200,
        vary: "x-language, origin",
        ...nothing,
      });
      assert.throws(() => speaking.bridge({ cors: { origins: ["app.example"] } }), TypeError);
    } finally {
      plain.close();
      await speaking.close({ graceMs: 0 });
      await speaking.endpoint.close({ timeoutMs: 0 });
    }
  });

  function connectTransport(shown: { cert?: string; key?: string } = {}): Transport {
    return createConnectTransport({
      httpVersion: "2",
      baseUrl: `https://${url}`,
      nodeOptions: { ca: authority.certPem, ...shown },
      idleConnectionTimeoutMs: 10,
    });
  }

  async function postByHttp1(path: string): Promise<number | undefined> {
    const call = request(`https://${url}${path}`, {
      method: "POST",
      ca: authority.certPem,
      agent: false,
      headers: { "content-type": "application/json" },
    });
    call.end("{}");
    const [response] = (await once(call, "response")) as [{ statusCode?: number; resume(): void }];
    response.resume();
    return response.statusCode;
  }
});

function answer<T>(call: (answered: Answered<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(error)));
  });
}

type Answered<T> = (error: ServiceError | null, response: T) => void;

/** What @grpc/grpc-js makes of the echo service. */
interface EchoClient {
  Echo(request: object, answered: Answered<{ message: string }>): void;
  Repeat(request: object): AsyncIterable<{ number: number }>;
  Collect(answered: Answered<{ messages: string[] }>): ClientWritableStream<object>;
  Converse(): ClientDuplexStream<object, object>;
  close(): void;
}

function grpcClient(address: string, authority: string): EchoClient {
  const methods = EchoService.methods.map((method) => [method.name, describeMethod(method)]);
  const Client = makeGenericClientConstructor(Object.fromEntries(methods), EchoService.typeName);
  const client = new Client(address, credentials.createSsl(Buffer.from(authority)), {
    // It takes the host of the address for the name to ask for, and Node 26 refuses addresses there.
    "grpc.ssl_target_name_override": "localhost",
  });
  return client as unknown as EchoClient;
}

/** A method as that library wants it described. */
function describeMethod(method: DescMethod): object {
  const { input, output, methodKind } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
    responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
    requestSerialize: (message: MessageInitShape<typeof input>) =>
      Buffer.from(toBinary(input, create(input, message))),
    responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
  };
}
