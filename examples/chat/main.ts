// A chat without a server: whoever is in a room calls all others who are, and hands on what was said to who comes later.

import { userInfo } from "node:os";
import { parseArgs } from "node:util";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  createPeerRouter,
  Endpoint,
  type EndpointAddr,
  parseTarget,
  peerKey,
  SecretKey,
} from "connect-quic";
import { registerChatService } from "../../gen/chat/v1/chat_quic.ts";
import { aborted, runProgram, UsageError } from "../echo/terminal.ts";
import { formatEvent } from "./event-text.ts";
import { maxMessageBytes, maxTextBytes } from "./limits.ts";
import { type ChatMessage, isText } from "./message.ts";
import { isName, nameRule } from "./printable.ts";
import { Room } from "./room.ts";
import { Screen } from "./screen.ts";

const usage = `Usage: node --import tsx examples/chat/main.ts [options]

Chats in a room with all who are in it, without a server: the members call each other. Without --join it makes the room;
others join with the ticket of any member. Says what is typed, or read from a pipe, line by line; Ctrl-C or the end of the
input leaves.

Options
  --join <ticket>    the ticket of somebody who is in the room; may be given several times
  --room <name>      the room (default: lobby)
  --nick <name>      what others call you (default: your name on this machine)
  --key <file>       who to be: the key in this file, which is made if it does not exist (default: a new key each time)
  --bind <ip:port>   where to listen; may be given twice, for IPv4 and IPv6 (default: all addresses, free ports)
  --relay <url>      a relay server, with which others reach you wherever you are; may be given several times
  --stay             stay when the input ends, until Ctrl-C
  --help

Commands, one a line
  /join <room>       be in this room, too, with those met so far who are in it; what is typed goes there from now on
  /leave             leave the room that what is typed goes to
  /who               who is there
  /ticket            what others join with
  /quit
A line that begins with // is said with one of them.
`;

const idleTimeoutMs = 8_000;
/** How long the others get to take what was said last. */
const deliveryMs = 5_000;

/** The rooms that this member is in; the last one is where it speaks. */
class Rooms {
  readonly #rooms = new Map<string, Room>();

  get current(): Room | undefined {
    return [...this.#rooms.values()].at(-1);
  }

  get(name: string): Room | undefined {
    return this.#rooms.get(name);
  }

  enter(room: Room): void {
    this.#rooms.delete(room.name);
    this.#rooms.set(room.name, room);
  }

  async leave(room: Room): Promise<void> {
    await room.leave();
    this.#rooms.delete(room.name);
  }

  [Symbol.iterator](): Iterator<Room> {
    return this.#rooms.values();
  }
}

async function main(interrupted: AbortSignal): Promise<void> {
  const { values } = parseArgs({
    options: {
      join: { type: "string", multiple: true, default: [] },
      room: { type: "string", default: "lobby" },
      nick: { type: "string" },
      key: { type: "string" },
      bind: { type: "string", multiple: true },
      relay: { type: "string", multiple: true, default: [] },
      stay: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  const roomName = checkName("--room", values.room);
  const nick = checkName("--nick", values.nick ?? userInfo().username);
  const targets = values.join.map(parseTicket);

  await using endpoint = await Endpoint.bind({
    ...(values.bind === undefined ? {} : { bind: values.bind }),
    ...(values.key === undefined ? {} : { secretKey: await SecretKey.loadOrCreate(values.key) }),
    relays: values.relay,
    // Somebody who is gone without a word is noticed soon.
    transport: { idleTimeoutMs },
  });
  const stop = new AbortController();
  const signal = AbortSignal.any([interrupted, stop.signal]);
  const router = createPeerRouter(endpoint, {
    readMaxBytes: maxMessageBytes,
    maxConcurrentCalls: 16,
  });
  const rooms = new Rooms();
  registerChatService(router, {
    async *follow(request, context) {
      const room = rooms.get(request.room);
      if (room === undefined) {
        throw new ConnectError("not in this room", Code.NotFound);
      }
      yield* room.follow(request, context.values.get(peerKey), context.signal);
    },
  });
  if (values.relay.length > 0) {
    await endpoint.online({ signal });
  }

  const screen = new Screen({ input: process.stdin, output: process.stdout }, () => stop.abort());
  signal.addEventListener("abort", () => screen.close());
  const isOwn = ({ author }: ChatMessage): boolean => author === endpoint.id.toString();
  const prompt = (): void => {
    const { current } = rooms;
    screen.prompt(current === undefined ? "> " : `[${current.name}] ${nick}: `);
  };
  const open = (name: string): Room => {
    const room: Room = new Room({
      name,
      nick,
      router,
      tell: (event) => {
        const isTyped = event.type === "said" && event.isNews && event.messages.every(isOwn);
        if (isTyped && screen.isTerminal) {
          // It stands there already.
          return;
        }
        for (const line of formatEvent(room, event, { id: endpoint.id.toString(), nick })) {
          screen.print(line);
        }
      },
    });
    rooms.enter(room);
    return room;
  };
  /** Everybody met so far. */
  const met = (): EndpointAddr[] => {
    const ids = new Set([...rooms].flatMap((room) => Array.from(room.present, ({ id }) => id)));
    return Array.from(ids, parseTarget);
  };

  const obey = async (line: string): Promise<void> => {
    const [verb = "", argument = ""] = line.trim().split(/\s+/);
    const room = rooms.current;
    switch (verb) {
      case "/join": {
        const name = checkName("/join", argument);
        const known = rooms.get(name);
        if (known !== undefined) {
          rooms.enter(known);
        } else {
          await open(name)
            .join(met())
            .catch(() => screen.print(`[${name}] * nobody is here yet`));
        }
        return;
      }
      case "/leave":
        if (room !== undefined) {
          await rooms.leave(room);
          screen.print(`[${room.name}] * you have left`);
        }
        return;
      case "/who":
        for (const each of rooms) {
          const nicks = Array.from(each.present, (who) => who.nick);
          screen.print(`[${each.name}] * here: ${[nick, ...nicks.sort()].join(", ")}`);
        }
        return;
      case "/ticket":
        screen.print(endpoint.ticket());
        return;
      case "/quit":
        stop.abort();
        return;
      default:
        throw new UsageError(
          `no command ${JSON.stringify(verb)}: /join, /leave, /who, /ticket, /quit`,
        );
    }
  };
  const say = async (text: string): Promise<void> => {
    const room = rooms.current;
    if (room === undefined) {
      throw new UsageError("you are in no room: /join one");
    }
    if (!isText(text)) {
      throw new UsageError(
        `not said: ${Buffer.byteLength(text)} bytes, a message has at most ${maxTextBytes}`,
      );
    }
    await room.say(text, signal);
  };

  try {
    screen.print(`ticket ${endpoint.ticket()}`);
    const room = open(roomName);
    await Promise.race([room.join(targets), aborted(signal)]);
    prompt();
    for await (const line of screen.lines) {
      if (signal.aborted) {
        break;
      }
      try {
        if (/^\/(?!\/)/.test(line)) {
          await obey(line);
        } else if (line.trim() !== "") {
          await say(line.replace(/^\/\//, "/"));
        }
      } catch (error) {
        if (signal.aborted) {
          break;
        }
        if (!(error instanceof UsageError)) {
          throw error;
        }
        screen.print(`* ${error.message}`);
      }
      prompt();
    }
    if (values.stay && !screen.isTerminal) {
      await aborted(signal);
    }
    const delivered = AbortSignal.any([signal, AbortSignal.timeout(deliveryMs)]);
    await Promise.all([...rooms].map((each) => each.delivered(delivered)));
  } finally {
    screen.close();
    await Promise.all([...rooms].map((room) => room.leave()));
    await router.close();
  }
}

function checkName(what: string, text: string): string {
  if (!isName(text)) {
    throw new UsageError(`${what} takes ${nameRule}, found ${JSON.stringify(text)}`);
  }
  return text;
}

function parseTicket(text: string): EndpointAddr {
  try {
    return parseTarget(text);
  } catch (error) {
    throw new UsageError(
      `--join takes a ticket: ${error instanceof Error ? error.message : error}`,
    );
  }
}

await runProgram("chat", main);
