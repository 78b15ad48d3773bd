// gRPC between ours and the Rust crate tonic-iroh-transport 0.9.2, in both roles, by a program on it that is beside.

import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { EchoRequestSchema } from "../../../gen/echo/v1/echo_pb.ts";
import { createEchoClient, EchoServiceAlpn } from "../../../gen/echo/v1/echo_quic.ts";
import { peerKey } from "../../../src/index.ts";
import { aborted, EchoService, echoImplementation } from "../../support/echo-service.ts";
import { hasCode } from "../../support/expect-code.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { noTonicPeer, RustClient, RustServer } from "./tonic-peers.ts";

const options = { skip: noTonicPeer, timeout: 60_000 };

stayAlive();

test("we call Rust: all kinds of methods, and its handler knows us", options, async () => {
  await using server = await RustServer.start();
  const { echo, endpoint } = server;
  assert.equal((await echo.echo({ message: "who-am-I" })).message, endpoint.id.toString());
  assert.equal((await server.transport.connect()).remoteId.toString(), server.addr.id.toString());
  const numbers: number[] = [];
  for await (const { number } of echo.repeat({ message: "x", count: 100 })) {
    numbers.push(number);
  }
  assert.deepEqual(
    numbers,
    Array.from({ length: 100 }, (_, index) => index + 1),
  );
  const { messages } = await echo.collect(list("a", "b", "c"));
  assert.deepEqual(messages, ["a", "b", "c"]);
  const message = "x".repeat(3_000_000);
  assert.equal((await echo.echo({ message })).message.length, message.length);
});

test(
  "F11: we call Rust: a conversation, each message after the answer to the last",
  options,
  async () => {
    await using server = await RustServer.start();
    let answered: (() => void) | undefined;
    async function* questions() {
      for (let round = 0; round < 20; round++) {
        const next = new Promise<void>((resolve) => {
          answered = resolve;
        });
        yield { message: `${round}` };
        await next;
      }
    }
    const answers: string[] = [];
    for await (const { message } of server.echo.converse(questions())) {
      answers.push(message);
      answered?.();
    }
    assert.deepEqual(
      answers,
      Array.from({ length: 20 }, (_, round) => `${round}`),
    );
  },
);

test("we call Rust: metadata both ways, errors with details", options, async () => {
  await using server = await RustServer.start();
  const headers = new Headers({ "x-ask": "question", "x-ask-bin": "AP8K" });
  let answer: Headers | undefined;
  await server.echo.echo(
    { message: "metadata" },
    { headers, onHeader: (received) => (answer = received) },
  );
  assert.equal(answer?.get("x-answer"), "question");
  assert.equal(answer?.get("x-answer-bin"), "AP8K");
  const isFailure = (error: unknown): boolean => {
    assert.ok(error instanceof ConnectError);
    assert.equal(error.code, Code.FailedPrecondition);
    assert.equal(error.rawMessage, "not today");
    assert.equal(error.metadata.get("x-reason"), "weather");
    const [detail] = error.findDetails(EchoRequestSchema);
    assert.equal(detail?.message, "tomorrow");
    return true;
  };
  await assert.rejects(server.echo.echo({ message: "fail" }), isFailure);
  const received: number[] = [];
  await assert.rejects(async () => {
    for await (const { number } of server.echo.repeat({ message: "fail", count: 2 })) {
      received.push(number);
    }
  }, isFailure);
  assert.deepEqual(received, [1, 2]);
});

test("we call Rust: deadline and cancellation reach its handlers", options, async () => {
  await using server = await RustServer.start();
  const { echo, process } = server;
  const timeUp = echo.echo({ message: "hang" }, { timeoutMs: 300 });
  await assert.rejects(timeUp, hasCode(Code.DeadlineExceeded));
  await process.expect("started");
  await process.expect("dropped");
  const controller = new AbortController();
  const canceled = echo.echo({ message: "hang" }, { signal: controller.signal });
  canceled.catch(() => {});
  await process.expect("started");
  controller.abort();
  await assert.rejects(canceled, hasCode(Code.Canceled));
  await process.expect("dropped");
  // Leaving a loop is a cancellation as well.
  const generated = createEchoClient(server.endpoint, server.addr, { wire: "tonic-iroh" });
  for await (const { number } of generated.repeat({ message: "endless", count: 4_000_000_000 })) {
    if (number === 10) {
      break;
    }
  }
  await process.expect("dropped");
  assert.equal((await echo.echo({ message: "after" })).message, "after");
});

test("we call Rust, ours first: it takes its own wire in the same handshake", options, async () => {
  await using server = await RustServer.start();
  const { endpoint, addr } = server;
  const echo = createEchoClient(endpoint, addr, { wire: ["connect-quic", "tonic-iroh"] });
  assert.equal((await echo.echo({ message: "x" })).message, "x");
  assert.deepEqual(
    [...endpoint.connections].map(({ alpn }) => alpn),
    [EchoServiceAlpn],
  );
});

test("we call Rust: 500 calls one after another, and 100 at once", options, async (context) => {
  await using server = await RustServer.start();
  const started = performance.now();
  for (let index = 0; index < 500; index++) {
    await server.echo.echo({ message: `${index}` });
  }
  context.diagnostic(`${((performance.now() - started) * 2).toFixed(0)} us a call`);
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, index) => server.echo.echo({ message: `${index}` })),
  );
  assert.deepEqual(
    answers.map(({ message }) => message),
    Array.from({ length: 100 }, (_, index) => `${index}`),
  );
});

test("Rust calls us: all kinds of methods, and our handlers know it", options, async () => {
  const callers = new Set<string>();
  await using client = await RustClient.start((router) =>
    router.service(EchoService, {
      ...echoImplementation,
      echo: ({ message }, { values }) => {
        callers.add(values.get(peerKey).id.toString());
        return { message };
      },
      async *repeat({ message, count }, { values }) {
        callers.add(values.get(peerKey).id.toString());
        for (let number = 1; number <= count; number++) {
          yield { message, number };
        }
      },
    }),
  );
  assert.equal(await client.call("echo hello"), "hello");
  assert.equal(await client.call("sizes 3000000"), 3_000_000);
  assert.deepEqual(await client.call("repeat x 3"), ["x 1", "x 2", "x 3"]);
  assert.deepEqual(await client.call("collect a b c"), ["a", "b", "c"]);
  assert.deepEqual(await client.call("converse a b c"), ["a", "b", "c"]);
  assert.deepEqual([...callers], [client.id]);
});

test("Rust calls us: metadata both ways, errors with details", options, async () => {
  await using client = await RustClient.start((router) =>
    router.service(EchoService, {
      echo: ({ message }, { requestHeader, responseHeader }) => {
        if (message === "metadata") {
          responseHeader.set("x-answer", requestHeader.get("x-ask") ?? "");
          responseHeader.set("x-answer-bin", requestHeader.get("x-ask-bin") ?? "");
          return { message };
        }
        const detail = { desc: EchoRequestSchema, value: { message: "tomorrow" } };
        const metadata = { "x-reason": "weather" };
        throw new ConnectError("not today", Code.FailedPrecondition, metadata, [detail]);
      },
    }),
  );
  assert.deepEqual(await client.call("metadata"), ["question", "00ff0a"]);
  client.process.say("echo fail");
  const { code, message, details, reason } = await client.process.expect("error");
  assert.deepEqual({ code, message, reason }, { code: 9, message: "not today", reason: "weather" });
  const detail = toBinary(EchoRequestSchema, create(EchoRequestSchema, { message: "tomorrow" }));
  assert.deepEqual(details, [Buffer.from(detail).toString("hex")]);
  client.process.say("repeat x 1");
  assert.equal((await client.process.expect("error")).code, Code.Unimplemented);
});

test("Rust calls us: deadline and cancellation reach our handlers", options, async () => {
  const reasons: unknown[] = [];
  await using client = await RustClient.start((router) =>
    router.service(EchoService, {
      echo: async (_request, { signal }) => {
        await aborted(signal);
        reasons.push(signal.reason);
        throw signal.reason;
      },
    }),
  );
  client.process.say("deadline");
  assert.equal((await client.process.expect("error")).code, Code.DeadlineExceeded);
  assert.ok(hasCode(Code.DeadlineExceeded)(reasons[0]));
  assert.equal(await client.call("cancel"), "given up");
  while (reasons.length < 2) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(hasCode(Code.Canceled)(reasons[1]));
});

test("Rust calls us: who may not call is told so", options, async () => {
  await using client = await RustClient.start((router) =>
    router.service(EchoService, echoImplementation, { authorize: () => false }),
  );
  client.process.say("echo x");
  assert.equal((await client.process.expect("error")).code, Code.PermissionDenied);
});

async function* list(...messages: string[]) {
  for (const message of messages) {
    yield { message };
  }
}
