// Calls that a peer has not begun with go to another one, and no others do: in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { type Deferred, deferred } from "../../src/base/deferred.ts";
import { createPeerRouter } from "../../src/index.ts";
import { EchoService, echoImplementation, Outbox } from "../support/echo-service.ts";
import { errorOf, Fleet, placedAt, readyCount, type Server, whoAnswers } from "./fleet.ts";

/** Its only handler is that of its health, so that it refuses all calls as not processed. */
const busy = { router: { maxConcurrentCalls: 1 } } as const;

function runs(servers: readonly Server[]): string[] {
  return servers.flatMap(({ ran }) => ran).sort();
}

test("what a peer refuses runs once, at another one", (t) =>
  Fleet.play(t, async (fleet) => {
    const full = await fleet.serve("full", { ...busy, delayMs: 1 });
    const a = await fleet.serve("a", { delayMs: 20 });
    fleet.source.put(full, a);
    for (const policy of ["nearest", "round-robin"] as const) {
      const transport = fleet.transport({ policy });
      const client = fleet.client(transport);
      await transport.connect();
      await fleet.until(() => readyCount(transport) === 2);
      a.ran.splice(0);
      assert.deepEqual(await whoAnswers(client, 4), ["a", "a", "a", "a"]);
      assert.deepEqual(a.ran, ["0", "1", "2", "3"]);
      assert.deepEqual(full.ran, []);
      await transport.close();
    }
  }));

test("what all refuse has had three attempts at most, and says who refused", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("abcde", busy);
    let requests = 0;
    for (const { router } of servers) {
      router.health.set("", true);
    }
    const transport = fleet.transport({
      policy: {
        sticky: ({ header }) => header.get("key") ?? "",
      },
      interceptors: [
        (next) => async (request) => {
          requests += 1;
          return await next(request);
        },
      ],
    });
    const error = await errorOf(fleet.client(transport).echo({ message: "x" }));
    assert.equal(error.code, Code.Unavailable);
    assert.match(error.message, /call to \w{10} failed: .*H3_REQUEST_REJECTED/);
    assert.equal(requests, 1, "interceptors see one call");
    assert.deepEqual(runs(servers), []);
    const tried = transport.peers.filter(({ state }) => state === "ready");
    assert.equal(tried.length, 3);
  }));

test("the messages of a stream that was refused all come to the other peer", (t) =>
  Fleet.play(t, async (fleet) => {
    const full = await fleet.serve("full", { ...busy, delayMs: 1 });
    const a = await fleet.serve("a", { delayMs: 20 });
    fleet.source.put(full, a);
    const transport = fleet.transport();
    const client = fleet.client(transport);
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 2);
    const sent = Array.from({ length: 50 }, (_, index) => ({ message: `${index}` }));
    const { messages } = await client.collect(
      (async function* () {
        yield* sent;
      })(),
    );
    assert.deepEqual(
      messages,
      sent.map(({ message }) => message),
    );
    const outbox = new Outbox();
    const answers = client.converse(outbox)[Symbol.asyncIterator]();
    for (const message of ["one", "two"]) {
      outbox.send(message);
      assert.equal((await answers.next()).value?.message, message);
    }
    outbox.finish();
    assert.equal((await answers.next()).done, true);
  }));

test("a stream too long to be kept is not sent twice: it fails where it was refused", (t) =>
  Fleet.play(t, async (fleet) => {
    let begun: Deferred<void> = deferred();
    const goOn = deferred<void>();
    const collected: string[] = [];
    // It begins to read, and is then as if it had never been: what it has not acted upon it may still refuse.
    const [a, b] = await fleet.serveAll("ab", {
      implementation: {
        async collect(requests) {
          for await (const { message } of requests) {
            collected.push(message.slice(0, 1));
            begun.resolve();
            await goOn.promise;
          }
          return { messages: [] };
        },
      },
    });
    assert.ok(a !== undefined && b !== undefined, "there are two");
    begun = deferred();
    const transport = fleet.transport({ policy: "round-robin" });
    const outbox = new Outbox();
    const call = errorOf(fleet.client(transport).collect(outbox));
    outbox.send("1".repeat(100_000));
    await begun.promise;
    const [taken] = [a, b].filter(
      ({ endpoint }) => (endpoint.remoteInfo(fleet.endpoint.id)?.bytesReceived ?? 0) > 100_000,
    );
    await taken?.endpoint.close({ timeoutMs: 0 });
    goOn.resolve();
    assert.equal((await call).code, Code.Unavailable);
    assert.deepEqual(collected, ["1"]);
  }));

test("peers that cannot be reached cost a call nothing but time", (t) =>
  Fleet.play(t, async (fleet) => {
    for (const last of [1, 2, 3]) {
      fleet.source.put(placedAt(`203.0.113.${last}:4433`));
    }
    const [a] = await fleet.serveAll("a");
    assert.deepEqual(await whoAnswers(fleet.client(fleet.transport()), 2), ["a", "a"]);
    // By keys, most of which prefer somebody who is not there.
    const transport = fleet.transport({
      policy: { sticky: ({ header }) => header.get("key") ?? "" },
    });
    const client = fleet.client(transport);
    for (const key of "abcdefgh") {
      const { message } = await client.echo({ message: key }, { headers: { key } });
      assert.equal(message, "a");
    }
    assert.deepEqual(a?.ran.length, 10);
  }));

test("a call that was begun with is lost with its peer, and nobody else gets it", (t) =>
  Fleet.play(t, async (fleet) => {
    const begun = deferred<void>();
    const ran: string[] = [];
    const servers = await fleet.serveAll("abc", {
      implementation: {
        echo: async ({ message }) => {
          ran.push(message);
          begun.resolve();
          return await new Promise(() => {});
        },
        async *converse(requests) {
          for await (const { message } of requests) {
            ran.push(message);
            yield { message };
          }
        },
      },
    });
    const transport = fleet.transport({ policy: { sticky: () => "the same" } });
    const client = fleet.client(transport);
    const call = errorOf(client.echo({ message: "unary" }));
    const outbox = new Outbox();
    const answers = client.converse(outbox)[Symbol.asyncIterator]();
    outbox.send("stream");
    assert.equal((await answers.next()).value?.message, "stream");
    const stream = errorOf(answers.next());
    await begun.promise;
    const at = servers.find(({ endpoint }) =>
      transport.peers.some(({ id, state }) => state === "ready" && id.equals(endpoint.id)),
    );
    assert.ok(at !== undefined, "one has it");
    fleet.network.cut(fleet.caller, at.host);
    assert.equal((await call).code, Code.Unavailable);
    assert.equal((await stream).code, Code.Unavailable);
    assert.match((await call).message, new RegExp(`connection to ${at.endpoint.id.short} lost`));
    await fleet.pass(60_000);
    assert.deepEqual(ran.sort(), ["stream", "unary"]);
    outbox.finish();
  }));

test("while routers close and open again, each call is answered, and its handler has run once", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("abc", {});
    const transport = fleet.transport({ policy: "round-robin" });
    const client = fleet.client(transport);
    const sent: string[] = [];
    let isOver = false;
    const caller = async (name: number): Promise<void> => {
      for (let index = 0; !isOver; index++) {
        const message = `${name}.${index}`;
        sent.push(message);
        await client.echo({ message });
      }
    };
    const callers = Promise.all(Array.from({ length: 8 }, (_, index) => caller(index)));
    let router = servers[0]?.router;
    for (let round = 0; round < 7; round++) {
      const server = servers[round % servers.length];
      assert.ok(server !== undefined, "there is one");
      await fleet.until(() => readyCount(transport) === 3);
      router = round < servers.length ? server.router : router;
      await (round < servers.length ? server.router : routers.get(server))?.close();
      const again = createPeerRouter(server.endpoint);
      again.service(EchoService, {
        ...echoImplementation,
        echo: ({ message }) => {
          server.ran.push(message);
          return { message };
        },
      });
      routers.set(server, again);
      await fleet.pass(50);
    }
    isOver = true;
    await callers;
    assert.deepEqual(runs(servers), sent.sort());
    t.diagnostic(`${sent.length} calls`);
  }));

const routers = new WeakMap<Server, ReturnType<typeof createPeerRouter>>();

test("while hosts are cut off without a word, no handler runs twice", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("abcd");
    const transport = fleet.transport({ policy: "round-robin" });
    const client = fleet.client(transport);
    const answered: string[] = [];
    const failed: string[] = [];
    let isOver = false;
    const caller = async (name: number): Promise<void> => {
      for (let index = 0; !isOver; index++) {
        const message = `${name}.${index}`;
        await client.echo({ message }).then(
          () => answered.push(message),
          () => failed.push(message),
        );
        await fleet.pass(200);
      }
    };
    const callers = Promise.all(Array.from({ length: 4 }, (_, index) => caller(index)));
    for (let round = 0; round < 4; round++) {
      const server = servers[round % servers.length];
      assert.ok(server !== undefined, "there is one");
      await fleet.until(() => readyCount(transport) >= 3);
      await fleet.pass(100);
      fleet.network.cut(fleet.caller, server.host);
      await fleet.pass(35_000);
      fleet.network.heal(fleet.caller, server.host);
    }
    isOver = true;
    await callers;
    const all = runs(servers);
    assert.equal(new Set(all).size, all.length, "none ran twice");
    for (const message of answered) {
      assert.ok(all.includes(message), message);
    }
    assert.ok(failed.length > 0, "some were lost");
    t.diagnostic(`${answered.length} answered, ${failed.length} lost`);
  }));
