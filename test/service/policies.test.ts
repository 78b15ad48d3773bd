// Calls to the peers of a service: which one gets them, in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { Endpoint } from "../../src/index.ts";
import { EchoService } from "../support/echo-service.ts";
import { errorOf, Fleet, readyCount, statesOf, whoAnswers } from "./fleet.ts";

test("round-robin goes around, and takes in who comes", (t) =>
  Fleet.play(t, async (fleet) => {
    await fleet.serveAll("abc");
    const transport = fleet.transport({ policy: "round-robin" });
    const client = fleet.client(transport);
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 3);
    const names = await whoAnswers(client, 9);
    assert.deepEqual([...names.slice(0, 3)].sort(), ["a", "b", "c"]);
    assert.deepEqual(names.slice(3, 6), names.slice(0, 3));
    assert.deepEqual(names.slice(6, 9), names.slice(0, 3));
    await fleet.serveAll("d");
    await fleet.until(() => readyCount(transport) === 4);
    assert.deepEqual(await whoAnswers(client, 1), ["d"]);
    assert.deepEqual(fleet.source.watched, [EchoService.typeName]);
  }));

test("nearest calls the peer with the shortest round trip, and another when that has become longer", (t) =>
  Fleet.play(t, async (fleet) => {
    const far = await fleet.serve("far", { delayMs: 60 });
    const near = await fleet.serve("near", { delayMs: 5 });
    const middle = await fleet.serve("middle", { delayMs: 25 });
    fleet.source.put(far, near, middle);
    const transport = fleet.transport();
    const client = fleet.client(transport);
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 3);
    assert.deepEqual(new Set(await whoAnswers(client, 5)), new Set(["near"]));
    const latencies = transport.peers.map(({ latencyMs }) => latencyMs ?? 0);
    assert.ok(
      latencies.every((latencyMs) => latencyMs >= 10 && latencyMs < 200),
      `${latencies}`,
    );
    fleet.network.between(fleet.caller, near.host, { delayMs: 100 });
    for (let tries = 0; (await whoAnswers(client, 1))[0] !== "middle"; tries++) {
      assert.ok(tries < 50, "calls stay with what is far by now");
      await fleet.pass(1_000);
    }
  }));

test("with more peers than connections, nearest finds the near ones in time", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await Promise.all(
      [50, 40, 30, 20, 10, 2].map((delayMs) => fleet.serve(`${delayMs}`, { delayMs })),
    );
    fleet.source.put(...servers);
    const transport = fleet.transport({ maxConnections: 2 });
    const client = fleet.client(transport);
    await transport.connect();
    const connected = (): number =>
      transport.peers.filter(({ state }) => state === "ready" || state === "connecting").length;
    await fleet.until(() => {
      assert.ok(connected() <= 2, "no more than it may");
      return transport.peers.every(({ latencyMs }) => latencyMs !== undefined);
    }, 1_000_000);
    await fleet.until(() => readyCount(transport) === 2);
    assert.deepEqual(await whoAnswers(client, 2), ["2", "2"]);
    const open = (): number =>
      servers.filter(({ endpoint }) => isConnected(endpoint, fleet.endpoint)).length;
    await fleet.until(() => open() === 2);
  }));

test("of too many peers, each caller uses another part by turns", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("abcdefgh");
    const transport = fleet.transport({ policy: "round-robin", maxConnections: 3 });
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 3);
    const names = await whoAnswers(fleet.client(transport), 12);
    assert.equal(new Set(names).size, 3);
    assert.equal(servers.filter(({ endpoint }) => isConnected(endpoint, fleet.endpoint)).length, 3);
    // One goes, and another takes its place.
    const gone = servers.find(({ name }) => name === names[0]);
    assert.ok(gone !== undefined, "it is one of them");
    fleet.source.remove(gone);
    await fleet.until(
      () => readyCount(transport) === 3 && !isConnected(gone.endpoint, fleet.endpoint),
    );
  }));

test("sticky gives each key a peer of its own, the same for each caller, and moves only what it has to", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("abcd");
    const sticky = (request: { readonly message: unknown }): string =>
      (request.message as { message: string }).message;
    const ask = async (client: ReturnType<Fleet["client"]>): Promise<Map<string, string>> => {
      const answers = new Map<string, string>();
      for (const key of Array.from({ length: 40 }, (_, index) => `user-${index}`)) {
        answers.set(key, (await client.echo({ message: key })).message);
      }
      return answers;
    };
    const transport = fleet.transport({ policy: { sticky } });
    const client = fleet.client(transport);
    const before = await ask(client);
    assert.deepEqual(await ask(client), before);
    assert.equal(new Set(before.values()).size, 4, "all have some");

    const host = fleet.network.host({ name: "another caller" });
    const endpoint = await Endpoint.bind({ ...host.options });
    const other = fleet.transport({ endpoint, policy: { sticky } });
    assert.deepEqual(await ask(fleet.client(other)), before);
    await endpoint.close({ timeoutMs: 0 });

    const [a] = servers;
    assert.ok(a !== undefined, "there is one");
    fleet.source.remove(a);
    await fleet.until(() => transport.peers.length === 3);
    const after = await ask(client);
    for (const [key, name] of before) {
      if (name === "a") {
        assert.notEqual(after.get(key), "a");
      } else {
        assert.equal(after.get(key), name, `${key} stays`);
      }
    }
    fleet.source.put(a);
    await fleet.until(() => transport.peers.length === 4);
    assert.deepEqual(await ask(client), before);
  }));

test("sticky sees the request as interceptors have made it, over all kinds of calls", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("abc", {
      implementation: {
        async *repeat(_, { requestHeader }) {
          yield { message: requestHeader.get("tenant") ?? "" };
        },
      },
    });
    const seen: unknown[] = [];
    const transport = fleet.transport({
      interceptors: [
        (next) => async (request) => {
          request.header.set("tenant", "x");
          return await next(request);
        },
      ],
      policy: {
        sticky: ({ header, method, stream }) => {
          seen.push([method.name, stream]);
          return header.get("tenant") ?? "";
        },
      },
    });
    const client = fleet.client(transport);
    const names = await whoAnswers(client, 3);
    assert.equal(new Set(names).size, 1);
    for await (const { message } of client.repeat({ message: "", count: 1 })) {
      assert.equal(message, "x");
    }
    const { messages } = await client.collect(of({ message: "1" }, { message: "2" }));
    assert.deepEqual(messages, ["1", "2"]);
    assert.deepEqual(seen.slice(3), [
      ["Repeat", true],
      ["Collect", true],
    ]);
    // Nobody else was connected to.
    const states = Object.values(statesOf(transport, servers)).sort();
    assert.deepEqual(states, ["idle", "idle", "ready"]);
  }));

test("sticky keeps to its connections: who has had no call for longest makes room", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("abcdef", {
      implementation: {
        async *converse(requests) {
          for await (const { message } of requests) {
            yield { message };
          }
        },
      },
    });
    const keyOf = (request: { readonly header: Headers }): string =>
      request.header.get("key") ?? "";
    const transport = fleet.transport({ maxConnections: 2, policy: { sticky: keyOf } });
    const client = fleet.client(transport);
    const ask = async (key: string): Promise<string> =>
      (await client.echo({ message: key }, { headers: { key } })).message;
    const keys = new Map<string, string>();
    for (let index = 0; keys.size < 6; index++) {
      assert.ok(index < 200, "each peer has a key");
      keys.set(await ask(`${index}`), `${index}`);
      assert.ok(readyCount(transport) <= 2, "two at once");
    }
    const at = (name: string): string => keys.get(name) ?? "";
    // Calls that run hold their connections, so others have to share these.
    const leave = new AbortController();
    for (const name of ["a", "b"]) {
      const stream = client.converse(endless(), {
        headers: { key: at(name) },
        signal: leave.signal,
      });
      await stream[Symbol.asyncIterator]().next();
    }
    assert.ok(["a", "b"].includes(await ask(at("c"))), "one of those that there are");
    assert.equal(await ask(at("a")), "a");
    leave.abort();
    await fleet.pass(1_000);
    assert.equal(await ask(at("c")), "c");
    assert.equal(servers.length, 6);
  }));

test("what sticky throws is the error of the call", (t) =>
  Fleet.play(t, async (fleet) => {
    await fleet.serveAll("a");
    const transport = fleet.transport({
      policy: {
        sticky: () => {
          throw new Error("no tenant");
        },
      },
    });
    const error = await errorOf(fleet.client(transport).echo({ message: "" }));
    assert.match(error.message, /no tenant/);
    assert.notEqual(error.code, Code.Unavailable);
  }));

function isConnected(server: Endpoint, caller: Endpoint): boolean {
  return (server.remoteInfo(caller.id)?.reachedBy ?? "none") !== "none";
}

async function* of<T>(...messages: readonly T[]): AsyncGenerator<T> {
  yield* messages;
}

async function* endless(): AsyncGenerator<{ message: string }> {
  yield { message: "first" };
  await new Promise(() => {});
}
