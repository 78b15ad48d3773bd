// Rooms whose members are peers in this process: what comes of those who break the rules.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import * as limits from "../../../examples/chat/limits.ts";
import { signMessage } from "../../../examples/chat/message.ts";
import { Room, type RoomEvent } from "../../../examples/chat/room.ts";
import { ChatService, MessageSchema } from "../../../gen/chat/v1/chat_pb.ts";
import {
  type ChatClient,
  type ChatServiceImpl,
  createChatClient,
  registerChatService,
} from "../../../gen/chat/v1/chat_quic.ts";
import {
  createPeerClient,
  createPeerRouter,
  Endpoint,
  EndpointTicket,
  peerKey,
  SecretKey,
} from "../../../src/index.ts";

const name = "lobby";

class Events {
  readonly all: RoomEvent[] = [];
  readonly #looks = new Set<() => void>();

  push(event: RoomEvent): void {
    this.all.push(event);
    for (const look of [...this.#looks]) {
      look();
    }
  }

  /** What was said, in the order in which it was told. */
  get texts(): string[] {
    return this.all.flatMap((event) =>
      event.type === "said" ? event.messages.map(({ text }) => text) : [],
    );
  }

  /** Resolves when `condition` is met, now or after an event. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (condition()) {
          this.#looks.delete(look);
          resolve();
        }
      };
      this.#looks.add(look);
      look();
    });
  }

  async note(pattern: RegExp): Promise<void> {
    await this.until(() =>
      this.all.some((event) => event.type === "note" && pattern.test(event.text)),
    );
  }
}

interface Member {
  readonly endpoint: Endpoint;
  readonly room: Room;
  readonly events: Events;
}

async function member(t: TestContext, nick: string, ...others: Endpoint[]): Promise<Member> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint, { readMaxBytes: limits.maxMessageBytes });
  const events = new Events();
  const room = new Room({ name, nick, router, tell: (event) => events.push(event) });
  registerChatService(router, {
    follow: (request, context) => room.follow(request, context.values.get(peerKey), context.signal),
  });
  t.after(async () => {
    await room.leave();
    await router.close({ graceMs: 0 });
    await endpoint.close();
  });
  await room.join(others.map((other) => other.addr()));
  return { endpoint, room, events };
}

/** A peer that follows a room, and answers those that follow it as it is told. */
async function hostile(
  t: TestContext,
  follow: ChatServiceImpl["follow"],
): Promise<{ endpoint: Endpoint; follow(to: Member): ReturnType<ChatClient["follow"]> }> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint);
  registerChatService(router, { follow });
  t.after(async () => {
    await router.close({ graceMs: 0 });
    await endpoint.close();
  });
  return {
    endpoint,
    follow: (to) =>
      createPeerClient(ChatService, router.transportTo(to.endpoint.addr())).follow(
        request(endpoint),
      ),
  };
}

function request(endpoint: Endpoint) {
  const ticket = new EndpointTicket(endpoint.addr()).toBytes();
  return { room: name, nick: "mallory", ticket, known: [] };
}

type Answer = ReturnType<ChatServiceImpl["follow"]> extends AsyncIterable<infer T> ? T : never;

const welcome: Answer = { event: { case: "welcome", value: { nick: "mallory" } } };
const caughtUp: Answer = { event: { case: "caughtUp", value: {} } };

function messageOf(
  key: SecretKey,
  text: string,
  { timeMs = Date.now(), room = name, nick = "mallory" } = {},
): Answer {
  const { signed } = signMessage(key, { room, nick, timeMs, text });
  return { event: { case: "message", value: signed } };
}

/** Reads what a member answers, and ends when that does, in whatever way. */
async function drain(answers: AsyncIterable<unknown>): Promise<Code | undefined> {
  try {
    for await (const _ of answers) {
      // Goes on.
    }
    return undefined;
  } catch (error) {
    return ConnectError.from(error).code;
  }
}

const key = SecretKey.generate();
const other = SecretKey.generate();
const unsigned = signMessage(other, { room: name, nick: "ada", timeMs: 1, text: "I owe you" });

const offences: readonly [title: string, answers: readonly Answer[], note: RegExp][] = [
  ["no welcome", [caughtUp], /does not say who it is/],
  ["two welcomes", [welcome, welcome], /does not say who it is/],
  [
    "a nick that is none",
    [{ event: { case: "welcome", value: { nick: "a\x1b[2J" } } }],
    /does not say who it is/,
  ],
  [
    "a ticket that is none",
    [welcome, { event: { case: "member", value: { ticket: new Uint8Array(8) } } }],
    /a ticket that is none/,
  ],
  [
    "a message in the name of another",
    [
      welcome,
      caughtUp,
      {
        event: {
          case: "message",
          value: {
            content: unsigned.signed.content,
            signature: key.sign(unsigned.signed.content),
          },
        },
      },
    ],
    /its author has not signed/,
  ],
  [
    "a message of another room",
    [welcome, messageOf(key, "psst", { room: "kitchen" })],
    /a message of another room/,
  ],
  [
    "a message that is no message",
    [
      welcome,
      {
        event: {
          case: "message",
          value: { content: new Uint8Array([0xff]), signature: new Uint8Array(64) },
        },
      },
    ],
    /cannot be read/,
  ],
  [
    "a message of nobody",
    [
      welcome,
      {
        event: {
          case: "message",
          value: {
            content: toBinary(MessageSchema, create(MessageSchema, { room: name })),
            signature: new Uint8Array(64),
          },
        },
      },
    ],
    /cannot be read/,
  ],
  [
    "a message that is too long",
    [welcome, messageOf(key, "x".repeat(limits.maxTextBytes + 1))],
    /that cannot be/,
  ],
  [
    "a history without end",
    [
      welcome,
      ...Array.from({ length: limits.maxHistory + limits.maxMembers + 2 }, () =>
        messageOf(key, "again", { timeMs: 7 }),
      ),
    ],
    /more than there can be/,
  ],
];

for (const [title, answers, note] of offences) {
  test(`Room shuts out a member that sends ${title}`, async (t) => {
    const ada = await member(t, "ada");
    const mallory = await hostile(t, async function* (_request, context) {
      yield* answers;
      await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
    });
    const following = drain(mallory.follow(ada));
    await ada.events.note(note);
    assert.equal(await following, Code.PermissionDenied, "it hears nothing any more");
    assert.equal(await drain(mallory.follow(ada)), Code.PermissionDenied, "nor later");
    assert.ok(!ada.events.texts.some((text) => /owe|psst/.test(text)), `${ada.events.texts}`);
    // Others come and go as before.
    const bob = await member(t, "bob", ada.endpoint);
    await bob.room.say("hello", new AbortController().signal);
    await ada.events.until(() => ada.events.texts.includes("hello"));
  });
}

test("Room does not take a message larger than the limit, and goes on", async (t) => {
  const ada = await member(t, "ada");
  const mallory = await hostile(t, async function* () {
    yield welcome;
    yield messageOf(key, "x".repeat(limits.maxMessageBytes));
  });
  void drain(mallory.follow(ada));
  await ada.events.until(() => ada.events.all.some(({ type }) => type === "lost"));
  assert.deepEqual(ada.events.texts, []);
});

test("Room leaves out what is dated ahead, and what an author says without end, and says so once", async (t) => {
  const ada = await member(t, "ada");
  // Far more than is taken, however slowly this goes, and less than is read without a pause.
  const count = limits.newsRate.burst - 10;
  const now = Date.now();
  const spam = Array.from({ length: count }, (_, at) =>
    messageOf(other, `spam ${at}`, { timeMs: now + at }),
  );
  const mallory = await hostile(t, async function* (_request, context) {
    yield welcome;
    yield caughtUp;
    const early = Date.now() + limits.clockToleranceMs + 60_000;
    yield messageOf(key, "tomorrow", { timeMs: early });
    yield messageOf(key, "tomorrow", { timeMs: early + 1 });
    yield* spam;
    // By another author: it is heard, and all before it has been read.
    yield messageOf(SecretKey.generate(), "the end", { timeMs: now + count });
    await new Promise((resolve) => context.signal.addEventListener("abort", resolve));
  });
  void drain(mallory.follow(ada));
  await ada.events.until(() => ada.events.texts.includes("the end"));
  const { texts } = ada.events;
  assert.ok(!texts.includes("tomorrow"), "dated ahead");
  assert.ok(texts.length < count, `${texts.length} of ${count}`);
  const notes = ada.events.all.flatMap((event) => (event.type === "note" ? [event.text] : []));
  assert.equal(notes.length, 2, notes.join("\n"));
});

test("Room does not let in who shows the ticket of another, has no name, or comes again and again", async (t) => {
  const ada = await member(t, "ada");
  const stranger = await Endpoint.bind({ bind: "127.0.0.1:0" });
  t.after(() => stranger.close());
  const client = createChatClient(stranger, ada.endpoint.addr());
  const good = request(stranger);
  const bad = [
    { ...good, ticket: new EndpointTicket(ada.endpoint.addr()).toBytes() },
    { ...good, ticket: new Uint8Array(3) },
    { ...good, nick: "a b" },
    { ...good, known: Array.from({ length: limits.maxHistory + 1 }, () => 1n) },
  ];
  for (const each of bad) {
    assert.equal(await drain(client.follow(each)), Code.InvalidArgument);
  }
  let code: Code | undefined;
  while (code === undefined) {
    const following = client.follow(good)[Symbol.asyncIterator]();
    code = await following.next().then(
      () => undefined,
      (error: unknown) => ConnectError.from(error).code,
    );
    await following.return?.();
  }
  assert.equal(code, Code.ResourceExhausted);
});

test("Room hands on what a member says to those who cannot reach it", async (t) => {
  const ada = await member(t, "ada");
  const bob = await member(t, "bob", ada.endpoint);
  // Follows ada, and cannot be followed: what it is to hear of bob comes by way of ada.
  const mute = await hostile(t, () => {
    throw new ConnectError("not for you", Code.PermissionDenied);
  });
  const heard: string[] = [];
  for await (const { event } of mute.follow(ada)) {
    heard.push(event.case ?? "");
    if (event.case === "caughtUp") {
      await bob.room.say("hello", new AbortController().signal);
    } else if (event.case === "message") {
      break;
    }
  }
  assert.deepEqual(heard, ["welcome", "member", "caughtUp", "message"]);
});
