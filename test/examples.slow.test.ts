// The programs in examples/ as people run them: what they print, and how they end.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { EndpointAddr } from "../src/identity/endpoint-addr.ts";
import { EndpointTicket } from "../src/identity/endpoint-ticket.ts";
import { RelayServer } from "../src/relay/server/relay-server.ts";
import { type Running, startInTerminal } from "./support/terminal.ts";

function start(program: string, ...args: string[]): Running {
  return startInTerminal(`examples/${program}.ts`, ...args);
}

/** Runs `use` with the ticket of an echo server, which is then stopped with Ctrl-C and has to end well. */
async function withServer(
  use: (ticket: string, server: Running) => Promise<void>,
  ...args: string[]
): Promise<void> {
  const server = start("echo/server", ...args);
  try {
    await use(await server.line(/^ticket +(\S+)$/), server);
    server.child.kill("SIGINT");
    const { code, stderr } = await server.ended;
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  } finally {
    server.child.kill("SIGKILL");
  }
}

test("npm start shows every kind of call between two processes and ends by itself", async () => {
  const { code, stdout, stderr } = await start("echo/demo").ended;
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  for (const label of ["unary", "server stream", "client stream", "both ways"]) {
    assert.match(stdout, new RegExp(`^client +${label} .* ms$`, "m"));
  }
  const id = /^server +id +([0-9a-f]{64})$/m.exec(stdout)?.[1];
  const caller = /^client +this peer +([0-9a-f]{64})$/m.exec(stdout)?.[1];
  assert.ok(id !== undefined && caller !== undefined);
  assert.match(stdout, new RegExp(`^client +called +${id}$`, "m"));
  assert.match(
    stdout,
    new RegExp(`^server +${caller.slice(0, 10)} +echo.v1.EchoService/Echo `, "m"),
  );
});

test("the echo client repeats, converses and pings", async () => {
  await withServer(async (ticket, server) => {
    const run = (...args: string[]) => start("echo/client", "--to", ticket, ...args);
    const client = (...args: string[]) => run(...args).ended;
    const repeated = await client("--message", "hi", "--count", "3");
    assert.equal(repeated.code, 0, repeated.stderr);
    assert.match(repeated.stdout, /^(unary +"hi" +[0-9.]+ ms\n){3}$/);

    const conversed = await client("--stream", "--count", "2");
    assert.equal(conversed.code, 0, conversed.stderr);
    assert.match(conversed.stdout, /^both ways +"hello 1" .*\nboth ways +"hello 2" .*\n$/);

    const pinged = await client("--ping", "--count", "20");
    assert.equal(pinged.code, 0, pinged.stderr);
    assert.match(pinged.stdout, /^20 calls: fastest .* ms, median .* ms, .*, slowest .* ms\n/);

    const interrupted = run("--ping", "--count", "100000000");
    // One that dials, one to measure, which has come back when there is another.
    for (let number = 1; number <= 3; number++) {
      await server.line(/echo\.v1\.EchoService\/Echo/);
    }
    interrupted.child.kill("SIGINT");
    const { code, stdout } = await interrupted.ended;
    assert.equal(code, 130);
    assert.match(stdout, /^[1-9][0-9]* calls: fastest .* ms, .* ms\n$/);
  });
});

test("the server on several cores answers clients on different workers, and ends with Ctrl-C", async () => {
  const server = start("cores/server", "--workers", "2", "--bind", "127.0.0.1:0");
  try {
    const ticket = await server.line(/^ticket +(\S+)$/);
    for (let count = 0; count < 2; count += 1) {
      const { code, stdout, stderr } = await start("echo/client", "--to", ticket).ended;
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      assert.match(stdout, /^unary +"hello"/);
    }
    server.child.kill("SIGINT");
    const { code, stdout, stderr } = await server.ended;
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    const workers = new Set(
      [...stdout.matchAll(/^(worker \d+) +echo for/gm)].map(([, name]) => name),
    );
    assert.equal(workers.size, 2, stdout);
  } finally {
    server.child.kill("SIGKILL");
  }
});

test("a ticket of an echo server with relays names one, and the client shows how it moves to a direct path", async (t) => {
  const relay = await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } });
  t.after(() => relay.close());
  const gone = await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } });
  await gone.close();
  const relays = ["--relay", gone.url, "--relay", relay.url];
  await withServer(
    async (ticket) => {
      const { id, relayUrls } = EndpointTicket.parse(ticket).addr;
      assert.deepEqual(relayUrls, [relay.url]);
      const overRelay = new EndpointTicket(EndpointAddr.from({ id, addrs: relayUrls })).toString();
      const client = start("echo/client", "--to", overRelay, "--ping", "--verbose", ...relays);
      const { code, stdout, stderr } = await client.ended;
      assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
      assert.match(stdout, new RegExp(`^path +relay:${relay.url}$`, "m"));
      assert.match(stdout, new RegExp(`^path +relay:${relay.url} → ip:\\S+ +[0-9.]+ ms$`, "m"));
    },
    "--bind",
    "127.0.0.1:0",
    ...relays,
  );
});

test("the echo client says in one line what is wrong with what was typed, with exit code 2", async () => {
  const mistakes: [args: string[], line: RegExp][] = [
    [[], /^client: --to is missing/],
    [["--to", "endpointabc"], /^client: .*ticket/],
    [["--to", "x", "--count", "0"], /^client: --count takes a whole number above zero/],
    [["--too", "x"], /^client: Unknown option '--too'/],
  ];
  for (const [args, line] of mistakes) {
    const { code, stdout, stderr } = await start("echo/client", ...args).ended;
    assert.deepEqual({ code, stdout }, { code: 2, stdout: "" });
    assert.match(stderr, line);
    assert.match(stderr, /^[^\n]+\n$/, "one line");
  }
});

test("the echo client says in one line that the peer is gone, with exit code 1", async () => {
  let ticket = "";
  await withServer(async (its) => {
    ticket = its;
  });
  const { code, stdout, stderr } = await start("echo/client", "--to", ticket, "--timeout", "1000")
    .ended;
  assert.deepEqual({ code, stdout }, { code: 1, stdout: "" });
  assert.match(
    stderr,
    /^client: cannot connect to [0-9a-f]{10} at [0-9.:]+[^\n]*: no answer[^\n]* \(Unavailable\)\n$/,
  );
});

test("a hub lists and calls devices that have dialed it, as they come and go, and when it is started anew", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "connect-quic-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const all: Running[] = [];
  t.after(() => {
    for (const { child } of all) {
      child.kill("SIGKILL");
    }
  });
  const run = (program: string, ...args: string[]): Running => {
    const running = start(`reverse/${program}`, ...args);
    all.push(running);
    return running;
  };
  const stop = async ({ child, ended }: Running): Promise<void> => {
    child.kill("SIGINT");
    const { code, stderr } = await ended;
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  };
  /** What comes after something was typed. */
  const answer = (to: Running, typed: string, pattern: RegExp): Promise<string> => {
    const line = to.line(pattern);
    to.type(typed);
    return line;
  };

  const hub = run("hub", "--key", join(folder, "hub.key"), "--bind", "127.0.0.1:0");
  const ticket = await hub.line(/^ticket +(\S+)$/);
  const kiosk = run("device", "--hub", ticket, "--name", "kiosk");
  await hub.line(/^come +[0-9a-f]{10} kiosk$/);
  const lamp = run("device", "--hub", ticket, "--name", "lamp");
  await hub.line(/^come +[0-9a-f]{10} lamp$/);
  await Promise.all([
    answer(hub, "list", /^[0-9a-f]{10} +kiosk +[0-9.]+ ms$/),
    hub.line(/^[0-9a-f]{10} +lamp +[0-9.]+ ms$/),
  ]);
  const shown = kiosk.line(/^show +Mind the gap$/);
  await answer(hub, "show kiosk Mind the gap", /^shown +Mind the gap$/);
  await shown;
  await answer(hub, "watch lamp 1", /^memory +[0-9.]+ MB$/);
  await answer(hub, "show nobody hello", /^failed +.*0 devices are called "nobody"/);

  const gone = hub.line(/^gone +[0-9a-f]{10} lamp$/);
  await stop(lamp);
  await gone;

  const { port } = EndpointTicket.parse(ticket).addr.ipAddrs[0] ?? {};
  const lost = kiosk.line(/^hub +[0-9a-f]{10} is gone/);
  await stop(hub);
  await lost;
  const anew = run("hub", "--key", join(folder, "hub.key"), "--bind", `127.0.0.1:${port}`);
  await anew.line(/^come +[0-9a-f]{10} kiosk$/);
  const again = kiosk.line(/^show +hello again$/);
  await answer(anew, "show kiosk hello again", /^shown +hello again$/);
  await again;
  await stop(kiosk);
  await stop(anew);
});

test("an endpoint serves RPC and a protocol of its own side by side", async () => {
  const { code, stdout, stderr } = await start("custom-protocol/main").ended;
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  assert.match(stdout, /^echo: {3}hello\nsha256: [0-9a-f]{64}\n$/);
});

test("plain calls spread over two servers behind a proxy, and calls through a tunnel stay", async () => {
  const { code, stdout, stderr } = await start("affinity/demo").ended;
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
  const servers = (label: string): string[] =>
    [...stdout.matchAll(new RegExp(`^${label} +server ([AB]), call`, "gm"))].map(
      ([, name]) => name ?? "",
    );
  assert.deepEqual(servers("plain"), ["A", "B", "A", "B"]);
  const [first = "", ...others] = servers("tunnel");
  assert.match(first, /^[AB]$/);
  assert.deepEqual(others, [first, first, first]);
});
