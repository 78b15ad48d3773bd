// Early data (0-RTT) from calls down to packets, in virtual time: what may go there, what becomes of it, and what others
// can do with it. A packet takes 20 ms from host to host.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { EarlyService } from "../../gen/connectquic/test/v1/early_pb.ts";
import { connectionLost } from "../../src/endpoint/endpoint-error.ts";
import { Http3Connection } from "../../src/http3/http3-connection.ts";
import {
  type Connection,
  connectQuicAlpn,
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  type EndpointOptions,
  type Peer,
  peerKey,
  type QuicTransportOptions,
  SecretKey,
} from "../../src/index.ts";
import { createTestNetwork, type TestHost } from "../../src/testing.ts";
import { ignoreMessage } from "../support/ignore-message.ts";

const roundTripMs = 40;
const port = 4_433;

const ways: Interceptor[][] = [[], [(next) => (request) => next(request)]];

type CallOptions = Partial<Omit<QuicTransportOptions, "endpoint" | "to">>;

/** A server of EarlyService and a client, each on a host. */
class EarlyLab implements AsyncDisposable {
  readonly network = createTestNetwork({ seed: 1 });
  readonly serverHost: TestHost = this.network.host();
  readonly clientHost: TestHost = this.network.host();
  /** What the handlers have done: `look a early`, `pay b`. */
  readonly ran: string[] = [];
  readonly callers: Peer[] = [];
  /** How often a peer has come that can be called. */
  opened = 0;
  readonly #key = SecretKey.generate();
  server!: Endpoint;
  client!: Endpoint;
  #rest: Endpoint[] = [];

  static async run(
    work: (lab: EarlyLab) => Promise<void>,
    server: EndpointOptions = { acceptEarlyData: true },
  ): Promise<void> {
    const lab = new EarlyLab();
    const days = 86_400_000;
    await lab.network.run(
      async () => {
        await using _ = lab;
        await lab.startServer(server);
        lab.client = await lab.bind(lab.clientHost);
        await work(lab);
      },
      { limitMs: 10 * days },
    );
  }

  async bind(host: TestHost, options: EndpointOptions = {}): Promise<Endpoint> {
    const endpoint = await Endpoint.bind({ ...host.options, ...options });
    this.#rest.push(endpoint);
    return endpoint;
  }

  /** With the same key and address whenever it is called. */
  async startServer(options: EndpointOptions = { acceptEarlyData: true }): Promise<void> {
    this.server = await this.bind(this.serverHost, {
      secretKey: this.#key,
      bind: `0.0.0.0:${port}`,
      ...options,
    });
    const note = (what: string, text: string, peer: Peer) => {
      const early = peer.connection.early;
      this.ran.push(`${what} ${text}${early ? " early" : ""}`);
      this.callers.push(peer);
      return { text, early };
    };
    const router = createPeerRouter(this.server);
    router.peers.onOpened(() => {
      this.opened += 1;
    });
    router.service(EarlyService, {
      look: ({ text }, { values }) => note("look", text, values.get(peerKey)),
      watch: async function* ({ text }, { values }) {
        yield note("watch", text, values.get(peerKey));
      },
      gather: async (requests, { values }) => {
        let all = "";
        for await (const { text } of requests) {
          all += text;
        }
        return note("gather", all, values.get(peerKey));
      },
      replace: ({ text }, { values }) => note("replace", text, values.get(peerKey)),
      pay: ({ text }, { values }) => note("pay", text, values.get(peerKey)),
    });
  }

  transport(options: CallOptions = {}) {
    const { client: endpoint, server } = this;
    return createQuicTransport({ endpoint, to: server.addr(), earlyData: true, ...options });
  }

  /** Has the client meet the server, after which both remember a session and no connection is left. */
  async meet(): Promise<void> {
    await using transport = this.transport();
    await createClient(EarlyService, transport).look({ text: "first" });
    await transport.close();
    await this.network.advance(1_000);
    assert.equal(this.client.connections.size, 0, "no connection is left");
    this.ran.length = 0;
    this.callers.length = 0;
  }

  /** Milliseconds until `work` has come to an end. */
  async took(work: () => Promise<unknown>): Promise<number> {
    const start = this.network.now;
    await work();
    return this.network.now - start;
  }

  /** A client of ours with other manners: sends all of these as early data. */
  async sendEarly(...methods: ("Look" | "Pay")[]): Promise<void> {
    const early: Connection[] = [];
    const dialed = this.client.connect(this.server.addr(), connectQuicAlpn, {
      early: (connection) => {
        early.push(connection);
        const { connection: engine, start } = connection.handOver(async () => {});
        const { platform } = this.client;
        const session = new Http3Connection(engine, {
          role: "client",
          platform,
          requestsBothWays: true,
        });
        start();
        for (const method of methods) {
          session.request(
            [
              [":method", "POST"],
              [":scheme", "https"],
              [":authority", "server"],
              [":path", `/connectquic.test.v1.EarlyService/${method}`],
              ["content-type", "application/proto"],
              ["connect-protocol-version", "1"],
            ],
            ignoreMessage,
            { content: Buffer.from([0x0a, 1, 0x78]), end: true },
          );
        }
      },
    });
    dialed.catch(() => {});
    await this.network.advance(1);
    assert.equal(early.length, 1, "a session is remembered");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#rest.map((endpoint) => endpoint.close({ timeoutMs: 0 })));
  }
}

describe("a call as early data", () => {
  for (const protocol of ["connect", "grpc", "grpc-web"] as const) {
    for (const interceptors of ways) {
      const way = interceptors.length === 0 ? "the short way" : "with interceptors";
      test(`is answered after one round trip, in ${protocol}, ${way}`, async () => {
        await EarlyLab.run(async (lab) => {
          await lab.meet();
          await using transport = lab.transport({ protocol, interceptors });
          const client = createClient(EarlyService, transport);
          const ms = await lab.took(async () => {
            assert.equal((await client.look({ text: "a" })).early, true);
          });
          assert.equal(ms, roundTripMs);
          assert.deepEqual(lab.ran, ["look a early"]);
          // The connection lives on, and is none of early data any more.
          assert.equal((await client.look({ text: "b" })).early, false);
          await client.pay({ text: "c" });
          assert.deepEqual(lab.ran, ["look a early", "look b", "pay c"]);
          assert.equal(lab.client.connections.size, 1);
          const [connection] = lab.client.connections;
          assert.equal(connection?.early, false);
          assert.equal(connection?.paths().length, 1);
        });
      });
    }
  }

  test("can have many answers", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      await using transport = lab.transport();
      const answers = createClient(EarlyService, transport).watch({ text: "w" });
      for await (const { early } of answers) {
        assert.equal(early, true);
      }
      assert.deepEqual(lab.ran, ["watch w early"]);
    });
  });

  test("is nothing that may do something, or has many messages: those wait for the handshake", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      await using transport = lab.transport();
      const client = createClient(EarlyService, transport);
      const several = async function* () {
        yield { text: "1" };
        yield { text: "2" };
      };
      const times = await Promise.all([
        lab.took(() => client.pay({ text: "p" })),
        lab.took(() => client.replace({ text: "r" })),
        lab.took(() => client.gather(several())),
        lab.took(() => client.look({ text: "l" })),
      ]);
      assert.deepEqual(
        times,
        [2, 2, 2, 1].map((trips) => trips * roundTripMs),
      );
      assert.deepEqual(lab.ran.toSorted(), ["gather 12", "look l early", "pay p", "replace r"]);
      assert.equal(lab.client.connections.size, 1);
    });
  });

  test("cannot be asked for where there is none", async () => {
    await EarlyLab.run(async (lab) => {
      const refused = { name: "TypeError", message: /^option earlyData/ };
      const router = createPeerRouter(lab.client);
      assert.throws(() => lab.transport({ serve: router }), refused);
      assert.throws(() => lab.transport({ wire: "tonic-iroh" }), refused);
      assert.throws(() => lab.transport({ earlyData: "yes" as unknown as boolean }), refused);
      const url = { to: "https://server.test", earlyData: true } as const;
      assert.throws(() => createQuicTransport(url), refused);
    });
  });

  test("is none unless the transport asks for it, though another one has", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      await using first = lab.transport();
      await using second = lab.transport({ earlyData: false });
      const ms = await lab.took(() => createClient(EarlyService, second).look({ text: "s" }));
      assert.equal(ms, 2 * roundTripMs);
      assert.deepEqual(lab.ran, ["look s"]);
      assert.equal(first.state, "connected");
    });
  });

  test("waits at a server that was not told to take it, and is not lost", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      await using transport = lab.transport();
      const ms = await lab.took(() => createClient(EarlyService, transport).look({ text: "a" }));
      assert.equal(ms, 2 * roundTripMs);
      assert.deepEqual(lab.ran, ["look a"]);
    }, {});
  });

  test("is sent again after the handshake when the server has forgotten the session", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      await lab.server.close({ timeoutMs: 0 });
      await lab.startServer();
      await using transport = lab.transport();
      const client = createClient(EarlyService, transport);
      const calls = Array.from({ length: 20 }, (_, index) => client.look({ text: `${index}` }));
      const ms = await lab.took(async () => {
        const answers = await Promise.all(calls);
        assert.deepEqual(
          answers.map(({ text }) => text),
          calls.map((_, index) => `${index}`),
        );
      });
      assert.equal(ms, 2 * roundTripMs);
      assert.deepEqual(lab.ran.toSorted(), calls.map((_, index) => `look ${index}`).toSorted());
      assert.equal(lab.client.connections.size, 1);
      // What the new server has said is remembered.
      await transport.close();
      await lab.network.advance(1_000);
      await using next = lab.transport();
      assert.equal((await createClient(EarlyService, next).look({ text: "n" })).early, true);
    });
  });

  test("is sent again after the handshake when the server says that it is too early (RFC 8470 §5.2)", async () => {
    await EarlyLab.run(async (lab) => {
      const { platform } = lab.client;
      const answered: string[] = [];
      lab.server = await lab.bind(lab.network.host(), { acceptEarlyData: true });
      lab.server.handle(connectQuicAlpn, {
        earlyData: true,
        accept: (connection) => {
          const { connection: engine, start } = connection.handOver(async () => {});
          new Http3Connection(engine, {
            role: "server",
            platform,
            onRequest: (stream) => {
              const status = connection.early ? "425" : "200";
              answered.push(status);
              const type = ["content-type", "application/proto"] as const;
              stream.sendHeaders([[":status", status], type], { end: true });
              return ignoreMessage;
            },
          });
          start();
        },
      });
      await lab.meet();
      await using transport = lab.transport();
      assert.equal((await createClient(EarlyService, transport).look({ text: "a" })).text, "");
      assert.deepEqual(answered, ["200", "425", "200"]);
      await transport.close();
    });
  });

  test("is sent again whole when it is long", async () => {
    await EarlyLab.run(async (lab) => {
      const text = "x".repeat(300_000);
      for (const interceptors of ways) {
        await lab.meet();
        await lab.server.close({ timeoutMs: 0 });
        await lab.startServer();
        await using transport = lab.transport({ interceptors, acceptCompression: [] });
        const answer = await createClient(EarlyService, transport).look({ text });
        assert.equal(answer.text, text);
      }
    });
  });

  test("fails as it would have failed without: nobody answers", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      lab.serverHost.detach();
      await using transport = lab.transport({ dialTimeoutMs: 3_000 });
      const { look } = createClient(EarlyService, transport);
      const ms = await lab.took(() =>
        assert.rejects(look({ text: "a" }), (error) => {
          assert(error instanceof ConnectError, "a ConnectError");
          assert.equal(error.code, Code.Unavailable);
          assert.match(error.message, /no answer; is it running there/);
          return true;
        }),
      );
      assert.ok(ms >= 3_000 && ms < 3_100, `${ms} ms`);
      assert.deepEqual(lab.ran, []);
    });
  });

  test("can be given up, and has a deadline", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      lab.serverHost.detach();
      await using transport = lab.transport();
      const { look } = createClient(EarlyService, transport);
      const abort = new AbortController();
      const given = look({ text: "a" }, { signal: abort.signal });
      const late = look({ text: "b" }, { timeoutMs: 50 });
      abort.abort();
      await assert.rejects(given, { code: Code.Canceled });
      await assert.rejects(late, { code: Code.DeadlineExceeded });
      await transport.close({ timeoutMs: 0 });
    });
  });

  test("is refused to whom the server does not authorize, who is known by key before anything runs", async () => {
    const asked: string[] = [];
    let allows = true;
    await EarlyLab.run(
      async (lab) => {
        await lab.meet();
        allows = false;
        await using transport = lab.transport();
        const call = createClient(EarlyService, transport).look({ text: "a" });
        await assert.rejects(call, { code: Code.PermissionDenied });
        assert.deepEqual(asked, [lab.client.id.toString(), lab.client.id.toString()]);
        assert.deepEqual(lab.ran, []);
      },
      {
        acceptEarlyData: true,
        authorize: ({ id }) => {
          asked.push(id.toString());
          return allows;
        },
      },
    );
  });

  test("leaves nothing behind when its transport is closed with the answer", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      // Answered before it is known that the server has taken it.
      await lab.meet();
      await lab.meet();
    });
  });

  test("is of the caller that the session was made with", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      await using transport = lab.transport();
      await createClient(EarlyService, transport).look({ text: "a" });
      assert.equal(lab.callers[0]?.id.toString(), lab.client.id.toString());
      assert.equal(await lab.callers[0]?.connection.handshakeDone, true);
      assert.equal(lab.callers[0]?.connection.early, false);
    });
  });

  test("ends when the session does: after a day it is none", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      await lab.network.advance(23 * 3_600_000);
      await using transport = lab.transport();
      const { look } = createClient(EarlyService, transport);
      assert.equal((await look({ text: "a" })).early, true);
      await transport.close();
      await lab.network.advance(25 * 3_600_000);
      await using next = lab.transport();
      const ms = await lab.took(() => createClient(EarlyService, next).look({ text: "b" }));
      assert.equal(ms, 2 * roundTripMs);
      assert.deepEqual(lab.ran, ["look a early", "look b"]);
    });
  });
});

describe("a server of early data", () => {
  test("runs what may do something when the handshake is done, whoever has sent it too early", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      await lab.sendEarly("Pay", "Look");
      await lab.network.advance(roundTripMs / 2);
      assert.deepEqual(lab.ran, ["look x early"]);
      await lab.network.advance(roundTripMs - 2);
      assert.deepEqual(lab.ran, ["look x early"]);
      await lab.network.advance(2);
      assert.deepEqual(lab.ran, ["look x early", "pay x"]);
    });
  });

  test("runs nothing for what is sent to it again", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      const flight = record(lab);
      await lab.sendEarly("Look", "Pay");
      await lab.network.advance(1_000);
      assert.deepEqual(lab.ran, ["look x early", "pay x"]);
      assert.equal(lab.opened, 1);
      lab.network.tap = undefined;
      for (const delayMs of [0, 1_000, 60_000]) {
        await lab.network.advance(delayMs);
        await replay(lab, flight);
      }
      await lab.network.advance(60_000);
      assert.deepEqual(lab.ran, ["look x early", "pay x"]);
    });
  });

  test("does nothing but what has no side effects for what another one sends in the client's place", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      // The client's packets never arrive: others have them.
      const flight = record(lab, { loses: true });
      await lab.sendEarly("Pay", "Look", "Pay");
      await lab.network.advance(5_000);
      assert.deepEqual(lab.ran, []);
      for (let times = 0; times < 3; times++) {
        await replay(lab, flight);
      }
      await lab.network.advance(60_000);
      assert.deepEqual(lab.ran, ["look x early"]);
      assert.equal(lab.opened, 0, "there is nobody to be called back");
      assert.equal(lab.server.connections.size, 0, "the handshake came to no end");
      assert.equal(await lab.callers[0]?.connection.handshakeDone, false);
    });
  });

  test("shows its handlers of other protocols nothing early, unless they say so", async () => {
    await EarlyLab.run(
      async (lab) => {
        for (const early of [false, true]) {
          const alpn = early ? "early/1" : "late/1";
          const taken: boolean[] = [];
          lab.server.handle(alpn, {
            earlyData: early,
            accept: async (connection) => {
              taken.push(connection.early);
              for (let stream = await connection.acceptBi(); stream; ) {
                await stream.send.write(await stream.receive.readToEnd(100));
                void stream.send.finish();
                stream = await connection.acceptBi();
              }
            },
          });
          const first = await lab.client.connect(lab.server.addr(), alpn, {
            early: () => assert.fail("nothing is remembered"),
          });
          await lab.network.advance(1_000);
          await first.close();
          let sent: Connection | undefined;
          let echoed: Promise<Uint8Array> | undefined;
          const dialed = lab.client.connect(lab.server.addr(), alpn, {
            early: (connection) => {
              sent = connection;
              echoed = (async () => {
                const { send, receive } = await connection.openBi();
                await send.write(Buffer.from("hello"));
                void send.finish();
                return await receive.readToEnd(100);
              })();
            },
          });
          const ms = await lab.took(async () => {
            assert.equal(Buffer.from((await echoed) ?? []).toString(), "hello");
          });
          assert.equal(await dialed, sent);
          assert.deepEqual(taken, [false, early]);
          assert.equal(ms, early ? roundTripMs : 2 * roundTripMs);
        }
      },
      { acceptEarlyData: true },
    );
  });
});

describe("sessions", () => {
  test("are remembered of 32 peers and protocols, those met first are forgotten first", async () => {
    const alpns = Array.from({ length: 33 }, (_, index) => `protocol/${index}`);
    await EarlyLab.run(
      async (lab) => {
        const isRemembered = async (alpn: string): Promise<boolean> => {
          let early = false;
          const connection = await lab.client.connect(lab.server.addr(), alpn, {
            early: () => {
              early = true;
            },
          });
          await lab.network.advance(200);
          await connection.close();
          return early;
        };
        for (const alpn of alpns) {
          assert.equal(await isRemembered(alpn), false, alpn);
        }
        assert.equal(await isRemembered(alpns[1] ?? ""), true);
        assert.equal(await isRemembered(alpns[32] ?? ""), true);
        assert.equal(await isRemembered(alpns[0] ?? ""), false);
      },
      { acceptEarlyData: true, alpns },
    );
  });

  test("are of an endpoint, and none goes from one to another", async () => {
    await EarlyLab.run(async (lab) => {
      await lab.meet();
      lab.client = await lab.bind(lab.clientHost, { secretKey: lab.client.secretKey });
      await using transport = lab.transport();
      const answer = await createClient(EarlyService, transport).look({ text: "a" });
      assert.equal(answer.early, false);
    });
  });
});

test("streams of early data that is refused end, and the connection goes on as another", async () => {
  await EarlyLab.run(
    async (lab) => {
      const alpn = "raw/1";
      const first = await lab.client.connect(lab.server.addr(), alpn);
      await lab.network.advance(1_000);
      await first.close();
      await lab.server.close({ timeoutMs: 0 });
      await lab.startServer({ alpns: [alpn] });
      let sent: Connection | undefined;
      let answer: Promise<unknown> | undefined;
      const connection = await lab.client.connect(lab.server.addr(), alpn, {
        early: (early) => {
          sent = early;
          answer = early.openBi().then(async ({ send, receive }) => {
            await send.write(Buffer.from("lost"));
            return await receive.readToEnd(100);
          });
          answer.catch(() => {});
        },
      });
      assert.notEqual(connection, sent);
      const cause = { type: "early-data-rejected" } as const;
      assert.deepEqual(await sent?.closed, cause);
      assert.equal(await sent?.handshakeDone, false);
      await assert.rejects(answer ?? Promise.resolve(), connectionLost(cause, lab.server.id.short));
      // Closing what is over leaves the other alone.
      await sent?.close();
      const accepted = await lab.server.accept();
      const { send } = await connection.openBi();
      await send.write(Buffer.from("anew"));
      const bytes = await (await accepted?.acceptBi())?.receive.read();
      assert.equal(Buffer.from(bytes ?? []).toString(), "anew");
    },
    { alpns: ["raw/1"] },
  );
});

/** What the client sends from now on; with `loses`, it does not arrive. */
function record(lab: EarlyLab, { loses = false } = {}): Uint8Array[] {
  const flight: Uint8Array[] = [];
  lab.network.tap = ({ host, bytes }) => {
    if (host !== lab.clientHost) {
      return bytes;
    }
    flight.push(bytes.slice());
    return loses ? undefined : bytes;
  };
  return flight;
}

/** Sends datagrams to the server from a host that has seen them. */
async function replay(lab: EarlyLab, flight: readonly Uint8Array[]): Promise<void> {
  const socket = await lab.network
    .host()
    .options.network.bindSocket([{ family: 4, host: "0.0.0.0", port: 666 }], {
      datagram: () => {},
      failed: assert.fail,
    });
  const [address = ""] = lab.serverHost.addresses;
  for (const bytes of flight) {
    socket.send({ family: 4, host: address, port }, bytes, bytes.length);
  }
  await lab.network.advance(1_000);
  await socket.close();
}
