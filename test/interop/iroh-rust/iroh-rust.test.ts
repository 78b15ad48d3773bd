// Ours beside the Rust crate iroh, in both roles, by a program on it that is beside: what the npm package of iroh does not
// reach or hides, and what users of the crate do.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { digest, digestHandler } from "../../../examples/custom-protocol/digest-protocol.ts";
import {
  type Connection,
  Endpoint,
  EndpointAddr,
  EndpointError,
  type EndpointOptions,
  EndpointTicket,
  localNetwork,
  presets,
  Router,
  SecretKey,
} from "../../../src/index.ts";
import { RelayServer } from "../../../src/relay.ts";
import { IrohRelay, noIrohRelay } from "../../support/iroh-relay.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { IrohDnsServer, noDnsServer } from "../discovery/iroh-dns-server.ts";
import { noMulticast } from "../discovery/no-multicast.ts";
import { alpn, currentVersion, RustPeer, versions } from "./rust-peer.ts";

const dialers = ["ours", "rust"] as const;

stayAlive();

function bind(more: EndpointOptions = {}): Promise<Endpoint> {
  return Endpoint.bind({ bind: "127.0.0.1:0", alpns: [alpn], ...more });
}

const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString();

for (const version of versions) {
  const iroh = `iroh ${version.version}`;
  const options = { skip: version.skip, timeout: 120_000 };

  for (const dialer of dialers) {
    const who = dialer === "ours" ? `we dial ${iroh}` : `${iroh} dials us`;

    test(`${who} by ticket: ids, streams both ways and one way, datagrams`, options, async () => {
      await using ours = await bind();
      await using rust = await RustPeer.start(version);
      const { here, there } = await rust.connect(ours, dialer, {
        ticket: ours.ticket(),
        addr: rust.ticket,
      });
      assert.equal(here.remoteId.toString(), rust.id);
      assert.equal(there.id, ours.id.toString());
      assert.equal(there.alpn, alpn);
      assert.equal(EndpointTicket.parse(rust.ticket).toString(), rust.ticket);

      const asked = rust.do("accept-bi", "asked");
      const bi = await here.openBi();
      await bi.send.write(Buffer.from("question"));
      void bi.send.finish();
      assert.equal((await asked).text, "question");
      assert.equal(text(await bi.receive.readToEnd(100)), "question!");

      const answered = rust.do("open-bi from Rust", "answer");
      const theirs = await here.acceptBi();
      assert.equal(text(await theirs?.receive.readToEnd(100)), "from Rust");
      await theirs?.send.write(Buffer.from("to Rust"));
      void theirs?.send.finish();
      assert.equal((await answered).text, "to Rust");

      const received = rust.do("accept-uni", "received");
      const uni = await here.openUni();
      await uni.write(Buffer.from("one way"));
      await uni.finish();
      assert.equal((await received).text, "one way");
      const arrived = rust.do("open-uni the other way", "arrived");
      assert.equal(text(await (await here.acceptUni())?.readToEnd(100)), "the other way");
      await arrived;

      await here.sendDatagram(Buffer.from("quick"));
      assert.equal((await rust.do("read-datagram", "received")).text, "quick");
      await rust.do("send-datagram and back", "sent");
      assert.equal(text(await here.readDatagram()), "and back");
    });

    test(`${who}: either side may end its half first`, options, async () => {
      await using ours = await bind();
      await using rust = await RustPeer.start(version);
      const how = { ticket: ours.ticket(), addr: rust.addr };
      const { here } = await rust.connect(ours, dialer, how);
      const asked = rust.do("half-close", "asked");
      const { send, receive } = await here.openBi();
      await send.write(Buffer.from("begun, "));
      assert.equal(text(await receive.readToEnd(100)), "early");
      await send.write(Buffer.from("and ended"));
      await send.finish();
      assert.equal((await asked).text, "begun, and ended");
    });

    test(`${who}: reset and stop carry their codes`, options, async () => {
      await using ours = await bind();
      await using rust = await RustPeer.start(version);
      const how = { ticket: ours.ticket(), addr: rust.addr };
      const { here } = await rust.connect(ours, dialer, how);
      const first = await here.openBi();
      await first.send.write(Buffer.from("x"));
      await rust.do("give-up 77 78", "given-up");
      assert.equal(await first.send.stopped(), 77n);
      await assert.rejects(
        first.receive.read(),
        (error) => error instanceof EndpointError && error.streamCode === 78n,
      );
      const second = await here.openBi();
      await second.send.write(Buffer.from("x"));
      const codes = rust.do("given-up", "codes");
      second.send.reset(9n);
      second.receive.stop(10n);
      const { reset, stopped } = await codes;
      assert.deepEqual([reset, stopped], [9, 10]);
    });

    test(`${who}: closing tells the other side code and reason`, options, async () => {
      await using ours = await bind();
      await using rust = await RustPeer.start(version);
      const how = { ticket: ours.ticket(), addr: rust.addr };
      const first = (await rust.connect(ours, dialer, how)).here;
      const closed = rust.do("closed", "closed");
      await first.close({ code: 7n, reason: "bye" });
      const { code, reason } = await closed;
      assert.deepEqual([code, reason], [7, "bye"]);
      const second = (await rust.connect(ours, dialer, how)).here;
      await rust.do("close 8 cheers", "closed-here");
      assert.deepEqual(await second.closed, {
        type: "application",
        origin: "peer",
        code: 8n,
        reason: "cheers",
      });
    });

    test(`${who}: 16 MB in one stream`, options, async () => {
      await using ours = await bind();
      await using rust = await RustPeer.start(version);
      const bytes = Buffer.from(Uint8Array.from({ length: 16_000_000 }, (_, index) => index % 251));
      const expected = createHash("sha256").update(bytes).digest("hex");
      const how = { ticket: ours.ticket(), addr: rust.addr };
      const { here } = await rust.connect(ours, dialer, how);
      const served = rust.do("serve-digest", "served");
      const sum = await digest(here, pieces(bytes));
      assert.equal(Buffer.from(sum).toString("hex"), expected);
      assert.equal((await served).digest, expected);
      void digestHandler.accept(here);
      const { answer, sent } = await rust.do(`digest ${bytes.length}`, "digest");
      assert.deepEqual([sent, answer], [expected, expected]);
    });

    test(`${who}: both count the same packets on the path`, options, async () => {
      await using ours = await bind();
      await using rust = await RustPeer.start(version);
      const how = { ticket: ours.ticket(), addr: rust.addr };
      const { here } = await rust.connect(ours, dialer, how);
      const asked = rust.do("accept-bi", "asked");
      const words = "x".repeat(900_000);
      assert.equal(await ask(here, words), `${words}!`);
      await asked;
      // What one side has received by now, the other had sent.
      const before = here.stats();
      const theirs = await rust.do("stats", "stats");
      const after = here.stats();
      const [sent, received, rtt] = [theirs.sent, theirs.received, theirs.rtt].map(Number);
      assert.ok(
        words.length < before.bytesReceived && before.bytesReceived <= (sent ?? 0),
        `${sent}`,
      );
      assert.ok(
        words.length < (received ?? 0) && (received ?? 0) <= after.bytesSent,
        `${received}`,
      );
      assert.ok((rtt ?? 0) > 0 && (rtt ?? 0) < 2_000, `${rtt} ms`);
      const [path, ...others] = here.paths().filter(({ active }) => active);
      assert.equal(others.length, 0);
      assert.ok((path?.rttMs ?? 0) > 0 && (path?.rttMs ?? 0) < 2_000, `${path?.rttMs} ms`);
      assert.equal(path?.remote.type, "ip");
    });

    // Of the other versions it is another crate or a feature, which are not built.
    if (version === currentVersion) {
      test(`${who} by its id alone, found in the local network (mDNS)`, {
        ...options,
        skip: version.skip || noMulticast,
      }, async (context) => {
        await using ours = await Endpoint.bind({ alpns: [alpn], discovery: [localNetwork()] });
        if (ours.addr().ipAddrs.length === 0) {
          context.skip("this machine has no network besides loopback");
          return;
        }
        await using rust = await RustPeer.start(version, "--mdns");
        const { here, there } = await rust.connect(ours, dialer, {
          ticket: ours.id.toString(),
          addr: rust.id,
        });
        assert.equal(here.remoteId.toString(), rust.id);
        assert.equal(there.id, ours.id.toString());
      });
    }
  }

  test(`a key is the same peer here and with ${iroh}`, options, async () => {
    const key = SecretKey.generate();
    await using rust = await RustPeer.start(version, "--bind", "127.0.0.1:0", "--key", key.toHex());
    assert.equal(rust.id, key.publicKey.toString());
  });

  test(`early data of ours is taken by ${iroh}`, options, async () => {
    await using ours = await bind();
    await using rust = await RustPeer.start(version);
    await weSendEarly(ours, rust);
  });

  test(`early data of ${iroh} is taken here, before the handshake is done`, options, async () => {
    await using ours = await bind({ acceptEarlyData: true });
    await using rust = await RustPeer.start(version);
    const early: boolean[] = [];
    await using router = new Router(ours);
    router.accept(alpn, {
      earlyData: true,
      accept: async (connection) => {
        early.push(connection.early);
        await answerOne(connection);
      },
    });
    for (const outcome of ["none", "accepted"]) {
      const answer = await rust.do(`dial-early ${outcome} ${onLoopback(ours)}`, "answer");
      assert.deepEqual([answer.text, answer.early], [`${outcome}!`, outcome]);
      await rust.do("close 0 over", "closed-here");
    }
    assert.deepEqual(early, [false, true]);
  });

  test(
    `early data of ${iroh} waits here for the handshake, unless told otherwise`,
    options,
    async () => {
      await using ours = await bind();
      await using rust = await RustPeer.start(version);
      await rustSendsEarly(ours, rust);
    },
  );

  test(
    `early data between us and ${iroh} is refused by who was started anew, and is sent again`,
    options,
    async () => {
      const key = SecretKey.generate().toHex();
      await using ours = await bind({ acceptEarlyData: true });
      const args = ["--bind", "127.0.0.1:0", "--key", key];
      {
        await using rust = await RustPeer.start(version, ...args);
        await weSendEarly(ours, rust);
      }
      await using reborn = await RustPeer.start(version, ...args);
      const asked = reborn.do("accept-early", "asked");
      let early: Connection | undefined;
      const connection = await ours.connect(reborn.addr, alpn, {
        early: (first) => {
          early = first;
          void ask(first, "lost").catch(() => {});
        },
      });
      assert.deepEqual(await early?.closed, { type: "early-data-rejected" });
      assert.notEqual(connection, early);
      assert.equal(await ask(connection, "anew"), "anew!");
      assert.equal((await asked).text, "anew");
      await connection.close();

      // And the other way round.
      const secretKey = ours.secretKey;
      await rustSendsEarly(ours, reborn);
      await ours.close();
      await using again = await bind({ secretKey });
      const served = serveOne(again);
      const answer = await reborn.do(`dial-early twice ${onLoopback(again)}`, "answer");
      assert.deepEqual([answer.text, answer.early], ["twice!", "rejected"]);
      await served;
    },
  );
}

// A few at a time: iroh takes 3 s until it calls itself online.
describe("meeting without an address", { concurrency: 4 }, () => {
  for (const version of versions) {
    const iroh = `iroh ${version.version}`;
    const options = { skip: version.skip, timeout: 120_000 };

    for (const dialer of dialers) {
      const who = dialer === "ours" ? `we dial ${iroh}` : `${iroh} dials us`;

      test(`${who} by its id alone, on the public network as local servers play it`, {
        ...options,
        skip: version.skip || noIrohRelay || noDnsServer,
      }, async () => {
        await using relay = await IrohRelay.start();
        await using directory = await IrohDnsServer.start();
        const { pkarrRelay } = directory;
        await using ours = await bind({
          ...presets.n0({
            relays: [relay.url],
            pkarrRelay,
            dnsOrigin: "irohdns.example.",
            dnsServers: [directory.dns],
          }),
        });
        await ours.online();
        await using rust = await RustPeer.start(
          version,
          ...["--bind", "127.0.0.1:0", "--relay", relay.url, "--pkarr", pkarrRelay],
        );
        await published(pkarrRelay, [
          ours.id.toZ32(),
          EndpointTicket.parse(rust.ticket).addr.id.toZ32(),
        ]);
        const { here, there } = await rust.connect(ours, dialer, {
          ticket: ours.id.toString(),
          addr: rust.id,
        });
        assert.equal(here.remoteId.toString(), rust.id);
        assert.equal(there.id, ours.id.toString());
      });

      for (const relayIs of ["iroh's relay", "our relay"] as const) {
        test(`${who}: we meet at ${relayIs}, knowing nothing else, and move to a direct path`, {
          ...options,
          skip: version.skip || (relayIs === "iroh's relay" && noIrohRelay),
        }, async () => {
          await using relay =
            relayIs === "our relay"
              ? await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } })
              : await IrohRelay.start();
          await using ours = await Endpoint.bind({ alpns: [alpn], relays: [relay.url] });
          await ours.online();
          await using rust = await RustPeer.start(version, "--relay", relay.url);
          const { here } = await rust.connect(ours, dialer, {
            ticket: `${ours.id} ${relay.url}`,
            addr: EndpointAddr.from({ id: rust.id, addrs: [relay.url] }),
          });
          await direct(here);
          const asked = rust.do("accept-bi", "asked");
          const { send, receive } = await here.openBi();
          await send.write(Buffer.from("here"));
          void send.finish();
          assert.equal((await asked).text, "here");
          assert.equal(text(await receive.readToEnd(100)), "here!");
        });
      }
    }
  }
});

// These wait most of the time, so they do it together. A machine may stand still for as long as the timeout is longer than
// the interval.
describe("time goes by", { concurrency: true }, () => {
  for (const version of versions) {
    const iroh = `iroh ${version.version}`;
    const options = { skip: version.skip, timeout: 120_000 };

    for (const dialer of dialers) {
      const who = dialer === "ours" ? `we dial ${iroh}` : `${iroh} dials us`;

      test(`${who}: a connection on which nothing comes ends for both`, options, async () => {
        await using ours = await bind({ transport: { keepAliveIntervalMs: 0 } });
        await using rust = await RustPeer.start(version, "--bind", "127.0.0.1:0", "--idle", "2500");
        const how = { ticket: ours.ticket(), addr: rust.addr };
        const { here } = await rust.connect(ours, dialer, how);
        const [cause, { how: theirs }] = await Promise.all([
          here.closed,
          rust.do("closed", "closed"),
        ]);
        // Who notices it later, and says something until then, learns it by a stateless reset.
        const outcomes = [cause.type, theirs];
        assert.ok(outcomes.includes("timeout") || outcomes.includes("TimedOut"), `${outcomes}`);
        assert.match(outcomes.join(), /^(timeout|reset),(TimedOut|Reset)$/);
      });

      for (const keeper of ["we", iroh]) {
        const shows = keeper === "we" ? "we show" : `${iroh} shows`;

        test(
          `${who}: a connection without traffic lives as long as ${shows} to be there`,
          options,
          async () => {
            const keepAliveIntervalMs = keeper === "we" ? 500 : 0;
            await using ours = await bind({
              transport: { keepAliveIntervalMs, idleTimeoutMs: 4_000 },
            });
            await using rust = await RustPeer.start(
              version,
              // Less than the 5 s after which iroh would say something by itself.
              ...["--bind", "127.0.0.1:0", "--idle", "4000"],
              ...(keeper === "we" ? [] : ["--keep-alive", "500"]),
            );
            const how = { ticket: ours.ticket(), addr: rust.addr };
            const { here } = await rust.connect(ours, dialer, how);
            const packets = here.paths()[0]?.packetsSent ?? 0;
            // Time is what this is about: more than twice the idle timeout.
            await new Promise((resolve) => setTimeout(resolve, 9_000));
            const asked = rust.do("accept-bi", "asked");
            assert.equal(await ask(here, "still there"), "still there!");
            await asked;
            assert.ok((here.paths()[0]?.packetsSent ?? 0) > packets, "packets were sent meanwhile");
          },
        );
      }
    }
  }
});

/** Sends a question, and gives the answer. */
async function ask(connection: Connection, question: string): Promise<string> {
  const { send, receive } = await connection.openBi();
  await send.write(Buffer.from(question));
  void send.finish();
  return text(await receive.readToEnd(1_000_000));
}

/** Ours meets Rust, and asks with its first packet when it comes back. */
async function weSendEarly(ours: Endpoint, rust: RustPeer): Promise<void> {
  const first = rust.do("accept-early", "asked");
  const met = await ours.connect(rust.addr, alpn);
  assert.equal(await ask(met, "first"), "first!");
  await first;
  await met.close();
  const asked = rust.do("accept-early", "asked");
  let early: Connection | undefined;
  let answer: Promise<string> | undefined;
  const connection = await ours.connect(rust.addr, alpn, {
    early: (connection) => {
      early = connection;
      answer = ask(connection, "early");
    },
  });
  assert.equal(connection, early);
  assert.equal(await answer, "early!");
  const { text: question, id } = await asked;
  assert.deepEqual([question, id], ["early", ours.id.toString()]);
  await connection.close();
}

/** Rust meets ours, and asks with its first packet when it comes back. */
async function rustSendsEarly(ours: Endpoint, rust: RustPeer): Promise<void> {
  for (const outcome of ["none", "accepted"]) {
    const served = serveOne(ours);
    const answer = await rust.do(`dial-early ${outcome} ${onLoopback(ours)}`, "answer");
    assert.deepEqual([answer.text, answer.early], [`${outcome}!`, outcome]);
    await served;
    await rust.do("close 0 over", "closed-here");
  }
}

/** Answers one question on the next connection. */
async function serveOne(ours: Endpoint): Promise<void> {
  const connection = await ours.accept();
  assert(connection !== undefined, "a connection has come");
  await answerOne(connection);
}

async function answerOne(connection: Connection): Promise<void> {
  const stream = await connection.acceptBi();
  assert(stream !== undefined, "a stream has come");
  await stream.send.write(Buffer.from(`${text(await stream.receive.readToEnd(100))}!`));
  void stream.send.finish();
}

/** As `dial` takes it, of whoever knows no tickets. */
function onLoopback(ours: Endpoint): string {
  return `${ours.id} 127.0.0.1:${ours.boundAddresses[0]?.port}`;
}

async function* pieces(bytes: Uint8Array) {
  for (let at = 0; at < bytes.length; at += 100_000) {
    yield bytes.subarray(at, at + 100_000);
  }
}

/** Resolves when data takes a path that is no relay. */
async function direct(connection: Connection): Promise<void> {
  const isDirect = (): boolean =>
    connection.paths().some(({ active, remote }) => active && remote.type === "ip");
  await new Promise<void>((resolve) => {
    const stop = connection.onPathsChanged(() => check());
    const check = (): void => {
      if (isDirect()) {
        stop();
        resolve();
      }
    };
    check();
  });
}

/** Resolves when the directory has records of all these keys. */
async function published(pkarrRelay: string, keys: readonly string[]): Promise<void> {
  for (const key of keys) {
    while (!(await fetch(`${pkarrRelay}/${key}`)).ok) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
