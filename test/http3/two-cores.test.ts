// A client's and a server's core with dynamic tables of any size, and a channel between them that carries each stream in its
// order and no other, some of them late: sections before the inserts that they need, cancellations before what they cancel.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { H3 } from "../../src/http3/h3-error.ts";
import type { Http3CoreOptions } from "../../src/http3/http3-core.ts";
import type { Field, FieldSection } from "../../src/http3/qpack/field.ts";
import { PrimitiveWriter } from "../../src/http3/qpack/primitive-writer.ts";
import { Qpack } from "../../src/http3/qpack/qpack-error.ts";
import { maxEntriesOf, writeSectionPrefix } from "../../src/http3/qpack/section-prefix.ts";
import type { RequestStream } from "../../src/http3/request-stream.ts";
import { frame, ok, type PeerStream, post } from "../support/http3-peer.ts";
import { JoinedCores, type Side } from "../support/joined-cores.ts";
import { CoreAuditor } from "./core-auditor.ts";
import { Heard } from "./heard.ts";
import { randomFrom } from "./scenes.ts";

const slow = process.env.CONNECT_QUIC_TEST === "slow";
const runs = slow ? 20_000 : 400;

interface Message {
  readonly fields: readonly Field[];
  readonly content: readonly number[];
  readonly trailers: readonly Field[] | undefined;
}

interface Exchange {
  readonly request: Message;
  readonly response: Message;
  /** Steps of the channel before the next request. */
  readonly steps: number;
  /** Who gives it up, some steps later, and how. A server can only when it has heard of it. */
  readonly givenUp: GivenUp | undefined;
}

interface GivenUp {
  readonly by: Side;
  readonly how: "cancel" | "stop";
  readonly after: number;
}

interface Goaway {
  readonly by: Side;
  readonly before: number;
}

/** One side's use of QPACK. */
interface Table {
  /** What it lets the other side use. */
  readonly capacity: number;
  readonly blockedStreams: number;
  /** What it uses of what the other side lets it. */
  readonly used: number;
  readonly atRisk: number;
}

/** Few enough that they come again, and enough to fill a small table many times. */
const field: fc.Arbitrary<Field> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(
      name(),
      fc.nat(4).map((n) => `value ${n}`),
    ),
  },
  { weight: 2, arbitrary: fc.tuple(name(), fc.nat(500).map(String)) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<Field>(
      ["authorization", "secret"],
      ["content-type", "application/proto"],
      ["x-large", "x".repeat(130)],
    ),
  },
);

function name(): fc.Arbitrary<string> {
  return fc.constantFrom("x-a", "x-b", "x-some-long-name", "user-agent");
}

const fields = fc.array(field, { maxLength: 6 });
const message: fc.Arbitrary<Message> = fc.record({
  fields,
  content: fc.array(fc.nat(300), { maxLength: 2 }),
  trailers: fc.option(fields, { nil: undefined }),
});
const exchange: fc.Arbitrary<Exchange> = fc.record({
  request: message,
  response: message,
  steps: fc.nat(10),
  givenUp: mostlyNot(
    fc.record({
      by: fc.constantFrom("client", "server"),
      how: fc.constantFrom("cancel", "stop"),
      after: fc.nat(20),
    } as const),
  ),
});
const exchanges = fc.array(exchange, { minLength: 1, maxLength: 30, size: "max" });
/** Who says that it takes no more, and before which exchange; mostly nobody. */
const goaway: fc.Arbitrary<Goaway | undefined> = mostlyNot(
  fc.record({ by: fc.constantFrom("client", "server"), before: fc.nat(30) } as const),
);
const table: fc.Arbitrary<Table> = fc.record({
  capacity: fc.constantFrom(0, 31, 64, 100, 220, 400, 4_096),
  blockedStreams: fc.constantFrom(0, 1, 3, 16, 16),
  used: fc.constantFrom(90, 4_096, 4_096),
  atRisk: fc.constantFrom(0, 1, 16, 16),
});
const tables = fc.record({ client: table, server: table });
/** Whether both sides have SETTINGS before the first request. */
const settled = fc.constantFrom(true, true, false);
const seeds = fc.integer({ min: 1, max: 2 ** 31 - 2 });

function mostlyNot<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

/** What a run has seen, so that the test can tell whether it was worth it. */
const seen = { blocked: 0, resetWhileBlocked: 0, evicted: 0, givenUp: 0, refused: 0, answered: 0 };

class World {
  readonly cores: JoinedCores;
  readonly auditors: Readonly<Record<Side, CoreAuditor>>;
  readonly #tables: Record<Side, Table>;
  readonly #exchanges: Exchange[] = [];
  readonly #requests: Part[] = [];
  /** By the number of the request. */
  readonly #served = new Map<number, Part>();
  readonly #givenUp = new Set<number>();
  readonly #answered = new Set<number>();
  readonly #later: { readonly at: number; readonly act: () => void }[] = [];
  readonly #random: () => number;
  #steps = 0;

  constructor(tables: Record<Side, Table>, seed: number) {
    this.#tables = tables;
    this.#random = randomFrom(seed);
    const optionsOf = ({ capacity, blockedStreams, used, atRisk }: Table) => ({
      limits: { qpackMaxTableCapacity: capacity, qpackBlockedStreams: blockedStreams },
      qpackEncoder: { maxTableCapacity: used, maxBlockedStreams: atRisk },
    });
    const onRequest: Http3CoreOptions["onRequest"] = (stream) => {
      const heard = new Heard("request", () => this.cores.server.closedWith === undefined);
      this.#served.set(stream.id / 4, { stream, heard });
      return heard;
    };
    this.cores = new JoinedCores(this.#random, {
      client: optionsOf(tables.client),
      server: { ...optionsOf(tables.server), onRequest },
      slow: this.#random(),
    });
    this.cores.onArrival = (at, arrival) => {
      const stream = this.cores.server.accepted[arrival.streamId / 4];
      if (at === "server" && arrival.type === "reset" && stream && this.#isBlocked(stream)) {
        seen.resetWhileBlocked += 1;
      }
    };
    this.auditors = {
      client: new CoreAuditor(limitsOf(tables.server), this.cores, "client"),
      server: new CoreAuditor(limitsOf(tables.client), this.cores, "server"),
    };
  }

  /** Sends a request while others are under way. */
  begin(exchange: Exchange): void {
    const index = this.#exchanges.push(exchange) - 1;
    const { request, steps, givenUp } = exchange;
    const heard = new Heard("response", () => this.cores.client.closedWith === undefined);
    const stream = this.cores.client.core.request(requestFields(request, index), heard);
    this.#requests.push({ stream, heard });
    send(stream, request);
    if (givenUp !== undefined) {
      const act = () => this.#giveUp(index, givenUp);
      this.#later.push({ at: this.#steps + givenUp.after, act });
    }
    for (let count = 0; count < steps; count += 1) {
      this.#step();
    }
  }

  /** Goes on until nothing is on its way. */
  settle(): void {
    while (this.#step()) {
      assert.ok(this.#steps < 200_000, "it comes to an end");
    }
  }

  check(goaway: Goaway | undefined): void {
    for (const { closedWith } of [this.cores.client, this.cores.server]) {
      assert.equal(closedWith, undefined, closedWith?.reason);
    }
    for (const { heard } of [...this.#requests, ...this.#served.values()]) {
      heard.check();
    }
    this.#exchanges.forEach(({ request, response }, index) => {
      const answer = this.#requests[index]?.heard;
      if (this.#givenUp.has(index)) {
        seen.givenUp += 1;
        return;
      }
      if (goaway !== undefined && answer?.error?.unprocessed === true) {
        seen.refused += 1;
        assert.equal(this.#served.has(index), false, "a request that was refused was not seen");
        return;
      }
      seen.answered += 1;
      checkMessage(this.#served.get(index)?.heard, requestFields(request, index), request);
      checkMessage(answer, responseFields(response, index), response);
    });
    assert.equal(this.cores.client.core.activeRequests, 0);
    assert.equal(this.cores.server.core.activeRequests, 0);
    for (const auditor of [this.auditors.client, this.auditors.server]) {
      auditor.checkSettled();
      seen.evicted += auditor.evictedCount;
    }
  }

  /** Entries are free to be evicted again: what is sent from now on comes into the tables. */
  checkTablesAtWork(): void {
    const message: Message = {
      fields: [["x-afterwards", "always"]],
      content: [],
      trailers: undefined,
    };
    const { client, server } = this.auditors;
    const before = { client: client.references, server: server.references };
    for (let count = 0; count < 25; count += 1) {
      this.begin({ request: message, response: message, steps: 0, givenUp: undefined });
      this.settle();
    }
    for (const [side, other] of [
      ["client", "server"],
      ["server", "client"],
    ] as const) {
      const size = Math.min(this.#tables[side].used, this.#tables[other].capacity);
      assert.equal(
        this.auditors[side].references > before[side],
        size >= 64,
        `the table of the ${side}`,
      );
    }
  }

  /** No stream counts as blocked any more: as many as were promised may be, and one more may not (RFC 9204 §2.1.2). */
  checkNothingBlocked(): void {
    const { server } = this.cores;
    const { capacity, blockedStreams } = this.#tables.server;
    if (maxEntriesOf(capacity) === 0) {
      return;
    }
    const { insertCount } = this.auditors.client;
    const prefix = { requiredInsertCount: insertCount + 1, base: insertCount + 1 };
    const section = new PrimitiveWriter();
    writeSectionPrefix(section, prefix, maxEntriesOf(capacity));
    const blocked = frame(0x01, section.prefixedInteger(0x80, 6, 0).take());
    for (let count = 0; count < blockedStreams; count += 1) {
      server.open("bidirectional", blocked);
    }
    assert.equal(server.closes, 0, server.closedWith?.reason);
    server.open("bidirectional", blocked);
    assert.equal(server.closedWith?.code, Qpack.DECOMPRESSION_FAILED);
  }

  /** Whether the header section of a request waits for inserts. */
  #isBlocked({ id, core, stopCode, resetCode }: PeerStream): boolean {
    const isOver = stopCode !== undefined || resetCode !== undefined;
    return !isOver && core?.wantsBytes === false && !this.#served.has(id / 4);
  }

  #giveUp(index: number, { by, how }: Pick<GivenUp, "by" | "how">): void {
    const part = by === "client" ? this.#requests[index] : this.#served.get(index);
    if (part === undefined) {
      return;
    }
    const { stream, heard } = part;
    this.#givenUp.add(index);
    heard.giveUp();
    if (how === "cancel") {
      stream.cancel(H3.REQUEST_CANCELLED);
      return;
    }
    stream.stopReceiving(H3.NO_ERROR);
    if (by === "server") {
      this.#answer(index);
    }
  }

  #step(): boolean {
    this.#steps += 1;
    const carried = this.cores.step();
    const blocked = this.cores.server.accepted.find((stream) => this.#isBlocked(stream));
    if (blocked !== undefined) {
      seen.blocked += 1;
      // Chance alone would hardly ever hit one of these.
      if (this.#random() < 0.1) {
        this.#giveUp(blocked.id / 4, { by: "client", how: "cancel" });
      }
    }
    for (const later of [...this.#later]) {
      if (later.at <= this.#steps || !carried) {
        this.#later.splice(this.#later.indexOf(later), 1);
        later.act();
      }
    }
    let answered = false;
    for (const [index, { heard }] of this.#served) {
      if (heard.outcome === "complete" && !this.#answered.has(index)) {
        answered = true;
        this.#answer(index);
      }
    }
    return carried || answered;
  }

  #answer(index: number): void {
    const stream = this.#served.get(index)?.stream;
    const response = this.#exchanges[index]?.response;
    if (stream !== undefined && response !== undefined && !this.#answered.has(index)) {
      this.#answered.add(index);
      stream.sendHeaders(responseFields(response, index));
      send(stream, response);
    }
  }
}

/** A message that one side receives, and its stream. */
interface Part {
  readonly stream: RequestStream;
  readonly heard: Heard;
}

function limitsOf({ capacity, blockedStreams }: Table) {
  return { maxTableCapacity: capacity, blockedStreams };
}

function requestFields({ fields }: Message, index: number): FieldSection {
  return [...post, ...fields, turn(index)];
}

function responseFields({ fields }: Message, index: number): FieldSection {
  return [...ok, ...fields, turn(index)];
}

/** Three messages have it, so that there is always something new to insert, and to wait for. */
function turn(index: number): Field {
  return ["x-turn", `number ${Math.floor(index / 3)}`];
}

/** Sends what comes after the header section. */
function send(stream: RequestStream, { content, trailers }: Message): void {
  for (const length of content) {
    stream.sendData(new Uint8Array(length).fill(length));
  }
  if (trailers === undefined) {
    stream.end();
  } else {
    stream.sendTrailers(trailers);
  }
}

function checkMessage(heard: Heard | undefined, head: FieldSection, sent: Message): void {
  assert.equal(heard?.outcome, "complete", heard?.error?.message);
  assert.deepEqual(heard?.head, head);
  assert.equal(
    heard?.content,
    sent.content.map((length) => String.fromCharCode(length & 0xff).repeat(length)).join(""),
  );
  assert.deepEqual(heard?.trailerFields, sent.trailers);
}

test("two cores tell each other everything, whatever the tables, the order and who gives up (RFC 9204 §2.1, §2.2)", () => {
  fc.assert(
    fc.property(
      tables,
      settled,
      exchanges,
      goaway,
      seeds,
      (tables, settled, exchanges, goaway, seed) => {
        const world = new World(tables, seed);
        if (settled) {
          world.settle();
        }
        exchanges.forEach((exchange, index) => {
          if (index === goaway?.before) {
            world.cores[goaway.by].core.goaway();
          }
          world.begin(exchange);
        });
        world.settle();
        world.check(goaway);
        if (goaway === undefined) {
          world.checkTablesAtWork();
          world.check(goaway);
          world.checkNothingBlocked();
        }
      },
    ),
    { numRuns: runs },
  );
  for (const [what, count] of Object.entries(seen)) {
    assert.ok(count > runs / 100, `${what}: ${count}`);
  }
});
