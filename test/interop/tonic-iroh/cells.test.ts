// What can be called over the wire "tonic-iroh", and by whom: the table in docs/for-rust.md, each of its cells tried. Where
// the crate calls itself, one sees which limits are its own.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Client, Code, createClient } from "@connectrpc/connect";
import { compressionGzip, createQuicTransport, Endpoint } from "../../../src/index.ts";
import { EchoService, Outbox } from "../../support/echo-service.ts";
import { hasCode } from "../../support/expect-code.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { noTonicPeer, OurServer, RustClient, RustServer } from "./tonic-peers.ts";

const options = { skip: noTonicPeer, timeout: 60_000 };

stayAlive();

type Server = OurServer | RustServer;

/** What a cell does: gives what there is to see, which is compared with what is expected of it. */
interface Cell {
  readonly kind: "unary" | "server streaming" | "client streaming" | "bidirectional";
  /** How requests and answers follow each other. */
  readonly exchange: string;
  /** @param id the caller's */
  works(id: string): unknown;
  ours(echo: Client<typeof EchoService>, server: Server): Promise<unknown>;
  rust(client: RustClient, server: Server): Promise<unknown>;
  /**
   * What a caller in Rust gets instead, whoever serves. That it waits in vain is seen by its giving up after a while, so a
   * machine that is slow makes no difference.
   */
  readonly limit?: RegExp;
}

const big = { count: 200, length: 10_000 };

// A handler answers "who-am-I" with the id of who calls, so each kind of method knows it.
const cells: readonly Cell[] = [
  {
    kind: "unary",
    exchange: "a request, an answer",
    works: (id) => id,
    ours: async (echo) => (await echo.echo({ message: "who-am-I" })).message,
    rust: (client) => client.call("echo who-am-I"),
  },
  {
    kind: "unary",
    exchange: "compressed with gzip, both ways",
    works: () => ["gzip", "gzip"],
    ours: async (echo) => {
      let encoding: string | null = null;
      const { message } = await echo.echo(
        { message: `compressed ${"x".repeat(100_000)}` },
        { onHeader: (headers) => (encoding = headers.get("grpc-encoding")) },
      );
      return [encoding, message];
    },
    rust: (client) => client.call("gzip"),
  },
  {
    kind: "server streaming",
    exchange: "all answers at once",
    works: (id) => [`${id} 1`, `${id} 2`, `${id} 3`],
    ours: async (echo) => {
      const answers: string[] = [];
      for await (const { message, number } of echo.repeat({ message: "who-am-I", count: 3 })) {
        answers.push(`${message} ${number}`);
      }
      return answers;
    },
    rust: (client) => client.call("repeat who-am-I 3"),
  },
  {
    kind: "server streaming",
    exchange: "each answer arrives when it is given",
    works: () => [1, 2, 3],
    ours: async (echo, server) => {
      const numbers: number[] = [];
      for await (const { number } of echo.repeat({ message: "paced", count: 3 })) {
        numbers.push(number);
        server.step();
      }
      return numbers;
    },
    rust: async (client, server) => {
      client.process.say("repeat-live 3");
      const numbers: unknown[] = [];
      for (let round = 0; round < 3; round++) {
        numbers.push((await client.process.expect("message")).number);
        server.step();
      }
      await client.process.expect("result");
      return numbers;
    },
  },
  {
    kind: "client streaming",
    exchange: "all requests at once",
    works: (id) => [id, "a", "b"],
    ours: async (echo) => (await echo.collect(list("who-am-I", "a", "b"))).messages,
    rust: (client) => client.call("collect who-am-I a b"),
  },
  {
    kind: "client streaming",
    exchange: "each request arrives when it is made",
    works: () => ["a", "b", "a", "b"],
    ours: async (echo, server) => {
      const outbox = new Outbox();
      const answer = echo.collect(outbox);
      const arrived: unknown[] = [];
      for (const message of ["a", "b"]) {
        outbox.send(message);
        arrived.push(await server.received());
      }
      outbox.finish();
      return [...arrived, ...(await answer).messages];
    },
    rust: async (client, server) => {
      client.process.say("collect-live");
      const arrived: unknown[] = [];
      for (const message of ["a", "b"]) {
        client.process.say(message);
        arrived.push(await server.received());
      }
      const messages = await client.call("finish");
      return [...arrived, ...(messages as string[])];
    },
  },
  {
    kind: "client streaming",
    exchange: "answered before the last request",
    works: () => ["enough"],
    ours: async (echo) => {
      const outbox = new Outbox();
      outbox.send("enough");
      return (await echo.collect(outbox)).messages;
    },
    rust: (client) => client.outcome("collect-held enough"),
    limit: /^late/,
  },
  {
    kind: "client streaming",
    exchange: "refused before the last request",
    works: () => Code.FailedPrecondition,
    ours: async (echo) => {
      const outbox = new Outbox();
      outbox.send("refuse");
      await assert.rejects(echo.collect(outbox), hasCode(Code.FailedPrecondition));
      return Code.FailedPrecondition;
    },
    rust: (client) => client.outcome("collect-held refuse"),
    limit: /^late/,
  },
  {
    kind: "bidirectional",
    exchange: "all requests, then all answers",
    works: (id) => [id, "a", "b"],
    ours: async (echo) => {
      const answers: string[] = [];
      for await (const { message } of echo.converse(list("who-am-I", "a", "b"))) {
        answers.push(message);
      }
      return answers;
    },
    rust: (client) => client.call("converse who-am-I a b"),
  },
  {
    kind: "bidirectional",
    exchange: "a conversation: a request follows from an answer",
    works: () => "ping",
    ours: async (echo) => {
      const outbox = new Outbox();
      outbox.send("ping");
      const answers: string[] = [];
      for await (const { message } of echo.converse(outbox)) {
        answers.push(message);
        if (answers.length === 3) {
          outbox.finish();
        } else {
          outbox.send(message);
        }
      }
      assert.deepEqual(answers, ["ping", "ping", "ping"]);
      return "ping";
    },
    rust: (client) => client.outcome("converse-held ping"),
    limit: /^late: ping$/,
  },
  {
    kind: "bidirectional",
    exchange: "2 MB of requests, as much of answers meanwhile",
    works: () => big.count * big.length,
    ours: async (echo) => {
      const messages = new Array<string>(big.count).fill("x".repeat(big.length));
      let length = 0;
      for await (const { message } of echo.converse(list(...messages))) {
        length += message.length;
      }
      return length;
    },
    rust: (client) => client.outcome(`converse-much ${big.count} ${big.length}`),
    limit: /^stuck$/,
  },
];

const servers = { ours: OurServer, Rust: RustServer };

for (const cell of cells) {
  const { kind, exchange, works, limit } = cell;
  for (const [served, Server] of Object.entries(servers)) {
    test(`we call ${served}: ${kind}: ${exchange}`, options, async () => {
      await using server = await Server.start();
      await using endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
      await using transport = createQuicTransport({
        endpoint,
        to: server.addr,
        wire: "tonic-iroh",
        ...(exchange.startsWith("compressed") && {
          sendCompression: compressionGzip,
          acceptCompression: [compressionGzip],
        }),
      });
      const seen = await cell.ours(createClient(EchoService, transport), server);
      assert.deepEqual(seen, works(endpoint.id.toString()));
      assert.equal((await transport.connect()).remoteId.toString(), server.addr.id.toString());
    });

    const outcome = limit === undefined ? "" : ": the limit of the crate's client";
    test(`Rust calls ${served}: ${kind}: ${exchange}${outcome}`, options, async () => {
      await using server = await Server.start();
      await using client = await RustClient.start({ to: server.addr });
      const seen = await cell.rust(client, server);
      if (limit === undefined) {
        assert.deepEqual(seen, works(client.id));
      } else {
        assert.match(String(seen), limit, "or else there is a crate that can do better");
      }
    });
  }
}

test("docs/for-rust.md says so", () => {
  const page = readFileSync(new URL("../../../docs/for-rust.md", import.meta.url), "utf8");
  const rows = cells.map(({ kind, exchange, limit }) => {
    const rust = limit === undefined ? "works" : "limit";
    return `| ${kind} | ${exchange} | works | works | ${rust} | ${rust} |\n`;
  });
  assert.ok(page.includes(rows.join("")), `it should hold this table:\n${rows.join("")}`);
});

async function* list(...messages: string[]) {
  for (const message of messages) {
    yield { message };
  }
}
