import assert from "node:assert/strict";
import { Code, ConnectError } from "@connectrpc/connect";
import { TestService } from "../../gen/connectquic/test/v1/test_pb.ts";
import { failure } from "./expect.ts";
import { kinds } from "./kinds.ts";
import { Outbox } from "./outbox.ts";
import type { Register } from "./register.ts";
import { awaitAbort, echo, mark, passGate, produce, receive } from "./script.ts";
import type { RequestInit } from "./stage.ts";

/** Calls that the client gives up. */
export function cancellationTests(test: Register): void {
  for (const [kind, call] of Object.entries(kinds)) {
    test(`a ${kind} call with an aborted signal does not begin`, async (stage) => {
      const script = stage.script(produce(1));
      await failure(call(stage, { script }, { signal: AbortSignal.abort() }), Code.Canceled);
      // Another call, so that this one would have had its time.
      await stage.client.unary({});
      assert.deepEqual((await stage.progress()).events, []);
    });

    test(`F17: abort ends a ${kind} call, and its handler learns that it was canceled`, async (stage) => {
      const controller = new AbortController();
      const script = stage.script(awaitAbort);
      const pending = failure(
        call(stage, { script }, { signal: controller.signal }),
        Code.Canceled,
      );
      await stage.event("started");
      controller.abort();
      await pending;
      assert.equal((await stage.event("signal")).reason?.code, Code.Canceled);
      await stage.event("finished");
    });

    test(`F17: the handler of a ${kind} call that ends well does not take it for canceled`, async (stage) => {
      await call(stage, { script: stage.script(produce(1)) });
      const { reason } = await stage.event("signal");
      assert.equal(reason?.code ?? 0, 0);
    });

    test(`abort after the end of a ${kind} call changes nothing`, async (stage) => {
      const controller = new AbortController();
      await call(stage, { script: stage.script(produce(1)) }, { signal: controller.signal });
      controller.abort();
      await stage.client.unary({});
    });
  }

  test("the reason of the client's signal is the cause of the error", async (stage) => {
    const controller = new AbortController();
    const call = stage.client.unary(
      { script: stage.script(awaitAbort) },
      { signal: controller.signal },
    );
    call.catch(() => {});
    await stage.event("started");
    const reason = new Error("lost interest");
    controller.abort(reason);
    assert.equal((await failure(call, Code.Canceled)).cause, reason);
  });

  test("a ConnectError as reason of the client's signal is the error of the call", async (stage) => {
    const controller = new AbortController();
    const call = stage.client.unary(
      { script: stage.script(awaitAbort) },
      { signal: controller.signal },
    );
    call.catch(() => {});
    await stage.event("started");
    controller.abort(new ConnectError("lost interest", Code.Aborted));
    assert.equal((await failure(call, Code.Aborted)).rawMessage, "lost interest");
    await stage.event("finished");
  });

  test("abort during upload ends the call on both sides", async (stage) => {
    const controller = new AbortController();
    const outbox = new Outbox<RequestInit>({
      script: stage.script(receive(3), mark("three"), receive()),
    });
    const pending = failure(
      stage.client.clientStream(outbox, { signal: controller.signal }),
      Code.Canceled,
    );
    outbox.send({});
    outbox.send({});
    await stage.event("three");
    controller.abort();
    await pending;
    await outbox.left;
    assert.equal((await stage.event("signal")).reason?.code, Code.Canceled);
    await stage.event("finished");
  });

  test("messages that end on abort do not make the call look complete", async (stage) => {
    const controller = new AbortController();
    const script = stage.script(mark("first"), receive(), mark("complete"));
    const outbox = new Outbox<RequestInit>({ script });
    controller.signal.addEventListener("abort", () => outbox.end());
    const pending = failure(
      stage.client.clientStream(outbox, { signal: controller.signal }),
      Code.Canceled,
    );
    await stage.event("first");
    controller.abort();
    await pending;
    await stage.event("finished");
    const { events } = await stage.progress();
    assert.ok(!events.some(({ name }) => name === "complete"));
  });

  test(
    "abort between the messages of a stream ends the call on both sides",
    async (stage) => {
      const controller = new AbortController();
      const outbox = new Outbox<RequestInit>({ script: stage.script(echo()) });
      const responses = stage.client
        .bidiStream(outbox, { signal: controller.signal })
        [Symbol.asyncIterator]();
      await responses.next();
      const next = failure(responses.next(), Code.Canceled);
      controller.abort();
      await next;
      await outbox.left;
      assert.equal((await stage.event("signal")).reason?.code, Code.Canceled);
      await stage.event("finished");
    },
    { needs: ["fullDuplex"] },
  );

  test(
    "F16: after abort in the loop body no further message is delivered, not even one that had arrived",
    async (stage) => {
      const controller = new AbortController();
      const script = stage.script(produce(10), mark("all"));
      let received = 0;
      const reading = (async () => {
        for await (const _ of stage.client.serverStream(
          { script },
          { signal: controller.signal },
        )) {
          received++;
          await stage.event("all");
          // Another answer after that, to give the messages time to arrive.
          await stage.client.unary({});
          controller.abort();
        }
      })();
      await failure(reading, Code.Canceled);
      assert.equal(received, 1);
    },
    { needs: ["ahead"] },
  );

  test("F16: the handler's signal fires at once, even while its generator waits for something else", async (stage) => {
    const controller = new AbortController();
    const script = stage.script(produce(1), passGate(stage.name), produce(1));
    const responses = stage.client
      .serverStream({ script }, { signal: controller.signal })
      [Symbol.asyncIterator]();
    await responses.next();
    controller.abort();
    await failure(responses.next(), Code.Canceled);
    assert.equal((await stage.event("signal")).reason?.code, Code.Canceled);
    assert.deepEqual(
      (await stage.progress()).events.map(({ name }) => name),
      ["started", "signal"],
    );
    await stage.openGate();
    await stage.event("finished");
  });

  test("a handler that goes on yielding after cancel is ended and harms nobody", async (stage) => {
    const controller = new AbortController();
    const script = stage.script(produce(1), awaitAbort, produce(10_000, 1_000));
    const responses = stage.client
      .serverStream({ script }, { signal: controller.signal })
      [Symbol.asyncIterator]();
    await responses.next();
    controller.abort();
    await failure(responses.next(), Code.Canceled);
    await stage.event("finished");
    assert.ok((await stage.progress()).sent < 10_000);
    await stage.client.unary({});
  });

  test("a handler that answers after cancel harms nobody", async (stage) => {
    const controller = new AbortController();
    const script = stage.script(awaitAbort, produce(1));
    const call = stage.client.unary({ script }, { signal: controller.signal });
    call.catch(() => {});
    await stage.event("started");
    controller.abort();
    await failure(call, Code.Canceled);
    await stage.event("finished");
    await stage.client.unary({});
  });

  test("abort does not wait for a handler that hangs", async (stage) => {
    const controller = new AbortController();
    const script = stage.script(passGate(stage.name));
    const call = stage.client.unary({ script }, { signal: controller.signal });
    call.catch(() => {});
    await stage.event("started");
    controller.abort();
    await failure(call, Code.Canceled);
    await stage.event("signal");
    await stage.openGate();
    await stage.event("finished");
  });

  test(
    "leaving the loop over the responses of a transport ends the call",
    async (stage) => {
      const outbox = new Outbox<RequestInit>({ script: stage.script(echo()) });
      const { message } = await stage
        .transport()
        .stream(TestService.method.bidiStream, undefined, undefined, undefined, outbox, undefined);
      for await (const _ of message) {
        break;
      }
      await outbox.left;
      await stage.event("signal");
      await stage.event("finished");
    },
    { needs: ["fullDuplex", "leave"] },
  );

  test(
    "F17: a handler can tell that the connection was lost",
    async (stage) => {
      const script = stage.script(produce(1), awaitAbort);
      const responses = stage.client.serverStream({ script })[Symbol.asyncIterator]();
      await responses.next();
      const next = failure(responses.next(), Code.Unavailable, Code.Canceled);
      await stage.subject.disconnect?.();
      await next;
      const { reason } = await stage.event("signal");
      assert.equal(reason?.code, Code.Unavailable);
      await stage.event("finished");
    },
    { needs: ["disconnect"] },
  );
}
