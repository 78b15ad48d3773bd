// The chat of examples/ as people run it: processes that join, talk, leave and die.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { EndpointTicket, SecretKey } from "../../../src/index.ts";
import { type ChatProcess, startChat } from "./chat-process.ts";

const clock = "[0-2][0-9]:[0-5][0-9]";

function ticketOf(chat: ChatProcess): Promise<string> {
  return chat.seen(/^ticket +(endpoint\S+)$/);
}

async function endsWell(chat: ChatProcess): Promise<void> {
  const { code, stderr } = await chat.ended;
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
}

/** How somebody sees what was said: with the time if it was said before it could be heard. */
function line(room: string, text: string): RegExp {
  return new RegExp(`^\\[${room}\\] (?:${clock} )?${text.replace("?", "\\?")}$`);
}

/** What was said, as somebody has seen it. */
function said(chat: ChatProcess): string[] {
  return chat.lines.flatMap((line) => /^\[\S+\] (?:[0-9:]{5} )?(\w+: .*)$/.exec(line)?.[1] ?? []);
}

test("who comes late has the history from a member, when its author and who has made the room are gone", async (t) => {
  const ada = startChat(t, "--nick", "ada");
  ada.type("one", "two");
  const bob = startChat(t, "--nick", "bob", "--join", await ticketOf(ada));
  await bob.seen(new RegExp(`^\\[lobby\\] ${clock} ada: two$`));
  await ada.seen(/^\[lobby\] \* bob has joined$/);
  bob.type("three");
  await ada.seen(line("lobby", "bob: three"));
  ada.child.kill("SIGINT");
  await endsWell(ada);
  await bob.seen(/^\[lobby\] \* ada has left$/);

  const cyd = startChat(t, "--nick", "cyd", "--join", await ticketOf(bob));
  await cyd.seen(line("lobby", "bob: three"));
  assert.deepEqual(said(cyd), ["ada: one", "ada: two", "bob: three"]);
  bob.child.kill("SIGINT");
  await endsWell(bob);
  await cyd.seen(/^\[lobby\] \* bob has left$/);
  cyd.endInput();
  await endsWell(cyd);
});

test("a member that is killed is missed soon, and the others go on, who know each other by its ticket alone", async (t) => {
  const ada = startChat(t, "--nick", "ada");
  const ticket = await ticketOf(ada);
  const others = ["bob", "cyd", "dan"].map((nick) =>
    startChat(t, "--nick", nick, "--join", ticket),
  );
  const [bob, cyd, dan] = others as [ChatProcess, ChatProcess, ChatProcess];
  await Promise.all(
    others.flatMap((chat) =>
      ["ada", "bob", "cyd", "dan"]
        .filter((nick) => others.indexOf(chat) !== ["bob", "cyd", "dan"].indexOf(nick))
        .map((nick) => chat.seen(new RegExp(`^\\[lobby\\] \\* ${nick} (?:is here|has joined)$`))),
    ),
  );
  ada.child.kill("SIGKILL");
  await Promise.all(others.map((chat) => chat.seen(/^\[lobby\] \* ada is lost: /)));
  bob.type("are you there?");
  await Promise.all([cyd, dan].map((chat) => chat.seen(line("lobby", "bob: are you there?"))));
  // What the one that was killed had begun goes on, for others as well.
  const eve = startChat(t, "--nick", "eve", "--join", await ticketOf(dan));
  await eve.seen(line("lobby", "bob: are you there?"));
  await Promise.all(others.map((chat) => chat.seen(/^\[lobby\] \* eve has joined$/)));
  eve.type("hello");
  await Promise.all(others.map((chat) => chat.seen(line("lobby", "eve: hello"))));
  for (const chat of [...others, eve]) {
    chat.child.kill("SIGINT");
  }
  await Promise.all([...others, eve].map(endsWell));
});

test("what is said in one room is not heard in the other", async (t) => {
  const ada = startChat(t, "--nick", "ada");
  ada.type("/join kitchen");
  const ticket = await ticketOf(ada);
  const bob = startChat(t, "--nick", "bob", "--join", ticket);
  // Not before ada is in both.
  await ada.seen(/^\[lobby\] \* bob has joined$/);
  ada.type("who is hungry?", "/who");
  await ada.seen(/^\[lobby\] \* here: ada, bob$/);
  await ada.seen(/^\[kitchen\] \* here: ada$/);
  const cyd = startChat(t, "--nick", "cyd", "--join", ticket, "--room", "kitchen");
  await cyd.seen(line("kitchen", "ada: who is hungry?"));
  cyd.type("me");
  await ada.seen(line("kitchen", "cyd: me"));
  // By way of ada, whom he has met in the lobby.
  bob.type("/join kitchen", "me, too");
  await Promise.all([ada, cyd].map((chat) => chat.seen(line("kitchen", "bob: me, too"))));
  ada.type("/leave", "dinner is ready");
  await Promise.all([bob, cyd].map((chat) => chat.seen(/^\[kitchen\] \* ada has left$/)));
  await bob.seen(line("lobby", "ada: dinner is ready"));
  for (const chat of [ada, bob, cyd]) {
    chat.child.kill("SIGINT");
  }
  await Promise.all([ada, bob, cyd].map(endsWell));
  assert.deepEqual(said(cyd), ["ada: who is hungry?", "cyd: me", "bob: me, too"]);
  assert.ok(!cyd.lines.some((line) => line.startsWith("[lobby]")), cyd.lines.join("\n"));
});

test("all that comes through a pipe is said, also when nothing follows", async (t) => {
  const ada = startChat(t, "--nick", "ada", "--stay");
  ada.endInput();
  const bob = startChat(t, "--nick", "bob", "--join", await ticketOf(ada));
  const lines = Array.from({ length: 20 }, (_, at) => `line ${at}`);
  bob.type(...lines);
  bob.endInput();
  await endsWell(bob);
  await ada.seen(/^\[lobby\] \* bob has left$/);
  assert.deepEqual(
    said(ada),
    lines.map((line) => `bob: ${line}`),
  );
  ada.child.kill("SIGTERM");
  await endsWell(ada);
});

test("somebody with the nick of another is told apart, and what a terminal obeys is not shown", async (t) => {
  const ada = startChat(t, "--nick", "ada");
  const ticket = await ticketOf(ada);
  const { id } = EndpointTicket.parse(ticket).addr;
  const other = startChat(t, "--nick", "ada", "--join", ticket);
  await other.seen(new RegExp(`^\\[lobby\\] \\* ada~${id.toString().slice(0, 4)} is here$`));
  other.type("\x1b[2J\x07gone");
  await ada.seen(new RegExp(`^\\[lobby\\] (?:${clock} )?ada~[0-9a-f]{4}: {2}\\[2J gone$`));
});

test("chat says in one line why it cannot join", async (t) => {
  const ada = startChat(t, "--nick", "ada");
  const ticket = await ticketOf(ada);
  const { addr } = EndpointTicket.parse(ticket);
  const stranger = EndpointAddr.from({ id: SecretKey.generate().publicKey, addrs: addr.addrs });
  const cases: [args: string[], code: number, line: RegExp][] = [
    [["--join", "endpointabc"], 2, /^chat: --join takes a ticket: invalid ticket "endpointabc"/],
    [
      ["--join", ticket, "--room", "nowhere"],
      1,
      /^chat: [0-9a-f]{10} is not in the room "nowhere"$/,
    ],
    [
      ["--join", new EndpointTicket(stranger).toString()],
      1,
      /^chat: cannot connect to [0-9a-f]{10} /,
    ],
    [["--room", "no room"], 2, /^chat: --room takes up to 24 letters/],
    [["--nick", "a:b"], 2, /^chat: --nick takes up to 24 letters/],
    [["--rom", "x"], 2, /^chat: Unknown option '--rom'/],
  ];
  for (const [args, expected, line] of cases) {
    const { code, stderr } = await startChat(t, "--nick", "bob", ...args).ended;
    assert.equal(code, expected, stderr);
    assert.match(stderr.trimEnd(), line);
    assert.match(stderr, /^[^\n]+\n$/, "one line");
  }
  const help = startChat(t, "--help");
  await help.seen(/^Usage: .*examples\/chat\/main\.ts/);
  await endsWell(help);
});
