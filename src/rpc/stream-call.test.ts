// The short way of streaming calls against the general one: the same bytes on the wire, the same outcome on both sides.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type CallOptions,
  Code,
  ConnectError,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import {
  bothGeneral,
  connectWays,
  describeContext,
  describeError,
  otherWays,
  sameWire,
  type Ways,
  type WaysOptions,
  type WaysPair,
  type Wire,
} from "../../test/support/both-ways.ts";
import { type EchoService, echoImplementation } from "../../test/support/echo-service.ts";
import { settled } from "../../test/support/manual-platform.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { deferred } from "../base/deferred.ts";
import { callComplete } from "./call-scope.ts";
import { defaultCompressions } from "./compressions.ts";
import type { Protocol } from "./protocol-transport.ts";

stayAlive();

type Implementation = Partial<ServiceImpl<typeof EchoService>>;
type Client = WaysPair["client"];

interface Scenario extends Pick<WaysOptions, "transport" | "service"> {
  readonly options?: CallOptions;
  readonly implementation?: (journal: Journal) => Implementation;
  call?(client: Client, journal: Journal, options: CallOptions): Promise<unknown>;
  /** Who stops before the end, which may be at once or when all was sent: a matter of time. */
  readonly stopped?: "client" | "both";
  /** What is not compared of the journal. */
  readonly except?: readonly string[];
}

/** What was seen, by where. */
type Journal = Record<string, unknown[]>;

function note(journal: Journal, where: string, what: unknown): void {
  journal[where] ??= [];
  journal[where].push(what);
}

/** Requests, and what becomes of their source. */
async function* requests(
  journal: Journal,
  messages: readonly string[],
  then: () => Promise<void> = async () => {},
): AsyncGenerator<{ message: string }> {
  try {
    for (const message of messages) {
      yield { message };
    }
    await then();
    note(journal, "requests", "ended");
  } catch (error) {
    note(journal, "requests", error instanceof ConnectError ? describeError(error) : String(error));
    throw error;
  } finally {
    note(journal, "requests", "finally");
  }
}

/**
 * Requests that have no end: whoever has read `messages` waits. Notes what a generator would see: the first that is done to
 * them.
 */
function openRequests(
  journal: Journal,
  messages: readonly string[],
): AsyncIterableIterator<{ message: string }> {
  const values = messages.values();
  const seen = (what: unknown): void => {
    if (journal.requests === undefined) {
      note(journal, "requests", what);
    }
  };
  return {
    next: async () => {
      const { done, value } = values.next();
      return done === true ? new Promise(() => {}) : { done: false, value: { message: value } };
    },
    throw: async (error) => {
      seen(describeError(error));
      throw error;
    },
    return: async () => {
      seen("left");
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** A call that has to end although its requests do not. */
const converseOpen: NonNullable<Scenario["call"]> = async (client, journal, options) => {
  for await (const { message } of client.converse(openRequests(journal, ["a"]), options)) {
    note(journal, "responses", message);
  }
};

const collectOpen: NonNullable<Scenario["call"]> = async (client, journal, options) => {
  note(journal, "responses", await client.collect(openRequests(journal, ["a"]), options));
};

const converse: NonNullable<Scenario["call"]> = async (client, journal, options) => {
  for await (const { message } of client.converse(requests(journal, ["a", "b", "c"]), options)) {
    note(journal, "responses", message);
  }
};

const repeat: NonNullable<Scenario["call"]> = async (client, journal, options) => {
  for await (const { message, number } of client.repeat({ message: "again", count: 3 }, options)) {
    note(journal, "responses", [message, number]);
  }
};

const collect: NonNullable<Scenario["call"]> = async (client, journal, options) => {
  const { messages } = await client.collect(requests(journal, ["a", "", "c"]), options);
  note(journal, "responses", messages);
};

/** With requests that end, and with some that do not. */
const kinds = {
  converse: { call: converse, open: converseOpen },
  repeat: { call: repeat, open: repeat },
  collect: { call: collect, open: collectOpen },
} as const;

/** Of a handler: whether its generator was left, and what its signal said. */
function watched(
  journal: Journal,
  answers: (context: HandlerContext) => AsyncGenerator<{ message: string }>,
): Implementation {
  return {
    async *converse(_requests, context) {
      context.signal.addEventListener("abort", () => {
        const { reason } = context.signal;
        const seen = reason instanceof ConnectError ? describeError(reason) : String(reason);
        note(journal, "signal", reason === callComplete ? "complete" : seen);
      });
      try {
        yield* answers(context);
      } catch (error) {
        note(journal, "handler", String(error));
        throw error;
      } finally {
        note(journal, "handler", "finally");
      }
    },
  };
}

const compressing = { acceptCompression: [...defaultCompressions] };
const long = "x".repeat(5_000);

async function* failAfterOne(error: unknown): AsyncGenerator<{ message: string }> {
  yield { message: "1" };
  throw error;
}

const refusal = new ConnectError("not today", Code.FailedPrecondition, { "x-why": "closed" });

const scenarios: Readonly<Record<string, Scenario>> = {
  ...Object.fromEntries(
    Object.entries(kinds).flatMap(([name, { call, open }]): [string, Scenario][] => [
      [`${name}`, { call }],
      [`${name} in JSON`, { call, transport: { useBinaryFormat: false } }],
      [
        `${name} with headers and a deadline`,
        { call, options: { headers: { "x-custom": "1", "x-b-bin": "AAEC" }, timeoutMs: 60_000 } },
      ],
      [`${name} with compression allowed`, { call, transport: compressing, service: compressing }],
      [
        `${name} compressed`,
        {
          call,
          transport: {
            ...compressing,
            sendCompression: defaultCompressions[0] ?? null,
            compressMinBytes: 0,
          },
          service: { ...compressing, compressMinBytes: 0 },
        },
      ],
      [
        `${name} in a compression that is unknown`,
        {
          call: open,
          stopped: "both",
          transport: { sendCompression: { ...defaultCompressions[0], name: "x" } as never },
        },
      ],
      [`${name} refused`, { call: open, stopped: "both", service: { authorize: () => false } }],
      [`${name} allowed`, { call, service: { authorize: async () => true } }],
      [
        `${name} with a deadline that the server does not take`,
        {
          call: open,
          stopped: "both",
          options: { timeoutMs: 60_000 },
          service: { maxTimeoutMs: 1_000 },
        },
      ],
    ]),
  ),
  "a deadline for all calls": { transport: { defaultTimeoutMs: 60_000 } },
  "no deadline": { options: { timeoutMs: 0 }, transport: { defaultTimeoutMs: 60_000 } },
  "headers, messages that are compressed, and trailers": {
    ...{ transport: compressing, service: compressing },
    implementation: () => ({
      async *converse(_requests, { responseHeader, responseTrailer }) {
        responseHeader.set("x-header", "h");
        responseHeader.append("set-cookie", "a=1");
        responseTrailer.set("x-trailer", "t");
        yield { message: long };
        responseHeader.set("x-late", "is not seen");
        responseTrailer.append("x-trailer", "u");
        yield { message: "short" };
      },
    }),
  },
  "what a handler sees": {
    call: converseOpen,
    stopped: "both",
    options: { headers: { "x-custom": "1" }, timeoutMs: 60_000 },
    implementation: () => ({
      async *converse(_requests, context) {
        yield { message: JSON.stringify(describeContext({ ...context })) };
      },
    }),
  },
  "a message of 70,000 bytes each way": {
    call: async (client, journal, options) => {
      const large = "y".repeat(70_000);
      for await (const { message } of client.converse(requests(journal, [large]), options)) {
        note(journal, "responses", message.length);
      }
    },
  },
  "no requests and no responses": {
    call: async (client, journal, options) => {
      for await (const { message } of client.converse(requests(journal, []), options)) {
        note(journal, "responses", message);
      }
    },
  },
  "an error at once": {
    except: ["requests"], // Which may have been left before.
    stopped: "both",
    implementation: () => ({ collect: () => Promise.reject(refusal) }),
    call: collectOpen,
  },
  "an error that is thrown, not rejected": {
    stopped: "both",
    implementation: () => ({
      repeat: () => {
        throw refusal;
      },
    }),
    call: repeat,
  },
  "an error after a response": {
    stopped: "both",
    call: converseOpen,
    implementation: (journal) => watched(journal, () => failAfterOne(refusal)),
  },
  "an error of a kind that nobody is to see": {
    stopped: "both",
    call: converseOpen,
    implementation: (journal) => watched(journal, () => failAfterOne(new TypeError("secret"))),
  },
  "a long error, compressed": {
    stopped: "both",
    call: converseOpen,
    ...{ transport: compressing, service: compressing },
    implementation: (journal) =>
      watched(journal, () => failAfterOne(new ConnectError(long, Code.Aborted))),
  },
  "undefined thrown": {
    stopped: "both",
    call: converseOpen,
    implementation: (journal) => watched(journal, () => failAfterOne(undefined)),
  },
  "an answer before the requests are over": {
    stopped: "both",
    implementation: (journal) =>
      watched(journal, async function* () {
        yield { message: "enough" };
      }),
    call: async (client, journal, options) => {
      const waiting = requests(journal, ["a"], () => new Promise(() => {}));
      for await (const { message } of client.converse(waiting, options)) {
        note(journal, "responses", message);
      }
    },
  },
  "a handler that leaves its requests": {
    stopped: "both",
    call: converseOpen,
    implementation: (journal) => ({
      async *converse(received) {
        for await (const { message } of received) {
          yield { message };
          break;
        }
        note(journal, "handler", "left");
        yield { message: "last" };
      },
    }),
  },
  "requests that fail": {
    stopped: "both",
    call: async (client, journal, options) => {
      const answered = deferred<void>();
      const failing = requests(journal, ["a"], async () => {
        await answered.promise;
        throw new Error("source broke");
      });
      for await (const { message } of client.converse(failing, options)) {
        note(journal, "responses", message);
        answered.resolve();
      }
    },
  },
  "a request that is none": {
    stopped: "both",
    call: async (client, journal, options) => {
      for await (const { message } of client.converse(requests(journal, ["\ud800"]), options)) {
        note(journal, "responses", message);
      }
    },
  },
  "a response that is none": {
    stopped: "both",
    call: converseOpen,
    implementation: (journal) =>
      watched(journal, async function* () {
        yield { message: 5 as unknown as string };
      }),
  },
  "a request that the client finds too large": {
    except: ["header"], // It may have come before.
    stopped: "both",
    transport: { writeMaxBytes: 1_000 },
    call: async (client, journal, options) => {
      for await (const { message } of client.converse(
        openRequests(journal, ["a", long]),
        options,
      )) {
        note(journal, "responses", message);
      }
    },
  },
  "a request that the server finds too large": {
    stopped: "both",
    service: { readMaxBytes: 1_000 },
    call: async (client, journal, options) => {
      for await (const { message } of client.converse(
        openRequests(journal, ["a", long]),
        options,
      )) {
        note(journal, "responses", message);
      }
    },
  },
  "a response that the server finds too large": {
    except: ["signal"], // Its reason is an AbortError on the general way, the error on the short one.
    stopped: "both",
    call: converseOpen,
    service: { writeMaxBytes: 1_000 },
    implementation: (journal) =>
      watched(journal, async function* () {
        yield { message: "a" };
        yield { message: long };
      }),
  },
  "a response that the client finds too large": {
    stopped: "both",
    call: converseOpen,
    transport: { readMaxBytes: 1_000 },
    implementation: () => ({
      async *converse() {
        yield { message: "a" };
        yield { message: long };
      },
    }),
  },
  "one request too few": {
    stopped: "both",
    implementation: () => ({ collect: async () => ({ messages: ["early"] }) }),
    call: collectOpen,
  },
  "a signal that fires in the loop": {
    stopped: "both",
    implementation: (journal) =>
      watched(journal, async function* ({ signal }) {
        yield { message: "1" };
        yield { message: "2" };
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        yield { message: "3" };
      }),
    call: async (client, journal, options) => {
      const controller = new AbortController();
      const open = requests(journal, ["a"], () => new Promise(() => {}));
      const responses = client.converse(open, { ...options, signal: controller.signal });
      for await (const { message } of responses) {
        note(journal, "responses", message);
        await settled();
        controller.abort();
      }
    },
  },
  "a signal that fires when the response is complete, and partly read": {
    call: async (client, journal, options) => {
      const controller = new AbortController();
      const responses = client.converse(requests(journal, ["a", "b"]), {
        ...options,
        signal: controller.signal,
      });
      for await (const { message } of responses) {
        note(journal, "responses", message);
        await settled();
        controller.abort();
      }
    },
  },
  "a signal that has fired before": {
    call: async (client, journal, options) => {
      const aborted = { ...options, signal: AbortSignal.abort() };
      for await (const { message } of client.converse(requests(journal, ["a"]), aborted)) {
        note(journal, "responses", message);
      }
    },
  },
  "a signal with a reason that is a ConnectError": {
    call: async (client, journal, options) => {
      const signal = AbortSignal.abort(new ConnectError("mine", Code.ResourceExhausted));
      for await (const { message } of client.converse(requests(journal, []), {
        ...options,
        signal,
      })) {
        note(journal, "responses", message);
      }
    },
  },
};

for (const protocol of ["connect", "grpc"] as const) {
  describe(`streams of ${protocol}: the short way and the general way are the same for`, () => {
    for (const [name, scenario] of Object.entries(scenarios)) {
      test(name, async () => {
        const general = await play(scenario, protocol, bothGeneral);
        for (const ways of otherWays) {
          const played = await play(scenario, protocol, ways);
          const which = `${ways.client} to ${ways.server}`;
          assert.deepEqual(played.outcome, general.outcome, which);
          assert.ok(sameWire(played.wire, general.wire, scenario.stopped), which);
        }
      });
    }
  });
}

interface Played {
  readonly outcome: unknown;
  readonly wire: Wire;
}

async function play(scenario: Scenario, protocol: Protocol, ways: Ways): Promise<Played> {
  const { call = converse, implementation, options, transport, service } = scenario;
  const journal: Journal = {};
  const { client, wire, end } = await connectWays(ways, {
    protocol,
    ...(transport === undefined ? {} : { transport }),
    ...(service === undefined ? {} : { service }),
    implementation: implementation?.(journal) ?? echoImplementation,
  });
  try {
    await call(client, journal, {
      ...options,
      onHeader: (header) => note(journal, "header", [...header]),
      onTrailer: (trailer) => note(journal, "trailer", [...trailer]),
    });
  } catch (error) {
    note(journal, "error", describeError(error));
  }
  await end();
  for (const where of scenario.except ?? []) {
    delete journal[where];
  }
  return { outcome: journal, wire };
}
