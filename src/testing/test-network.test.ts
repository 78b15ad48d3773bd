import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatSocketAddress, parseSocketAddress, socketAddress } from "../base/socket-address.ts";
import type { DatagramSocket } from "../net/datagram-socket.ts";
import type { MessageChannel } from "../relay/message-channel.ts";
import type { TestHost } from "./test-host.ts";
import { createTestNetwork, type TestNetwork } from "./test-network.ts";

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (string: string): Uint8Array => new TextEncoder().encode(string);

/** A UDP port of a host, with what has arrived: `text from address @ time`. */
class Port {
  readonly arrived: string[] = [];
  readonly host: TestHost;
  readonly #socket: DatagramSocket;

  static async bind(network: TestNetwork, host: TestHost, at = "0.0.0.0:4000"): Promise<Port> {
    let port: Port | undefined;
    const socket = await host.options.network.bindSocket([parseSocketAddress(at)], {
      datagram: (from, datagram) =>
        port?.arrived.push(`${text(datagram)} ${formatSocketAddress(from)} @${network.now}`),
      failed: assert.fail,
    });
    port = new Port(host, socket);
    return port;
  }

  private constructor(host: TestHost, socket: DatagramSocket) {
    this.host = host;
    this.#socket = socket;
  }

  send(message: string, host: string, port = 4_000): void {
    this.#socket.send(socketAddress(host, port), bytes(message), 1_000);
  }

  close(): Promise<void> {
    return this.#socket.close();
  }
}

/** A host of each kind with a port, and the address at which a server has seen the first of them. */
async function observed(network: TestNetwork, port: Port): Promise<{ host: string; port: number }> {
  const server = await Port.bind(network, network.host(), "0.0.0.0:9000");
  port.send("who am I", server.host.addresses[0] ?? "", 9_000);
  await network.advance(200);
  const [, address = ""] = server.arrived[0]?.split(" ").slice(-2, -1) ?? [];
  const seen = parseSocketAddress(server.arrived[0]?.split(" ").at(-2) ?? address);
  return { host: seen.host, port: seen.port };
}

describe("UDP in a test network", () => {
  it("takes its time from one line to the other, and knows its sender", async () => {
    const network = createTestNetwork();
    const one = await Port.bind(network, network.host({ link: { delayMs: 5 } }));
    const other = await Port.bind(network, network.host({ link: { delayMs: 7 } }));
    one.send("hello", other.host.addresses[0] ?? "");
    await network.advance(100);
    assert.deepEqual(other.arrived, ["hello 203.0.113.1:4000 @12"]);
  });

  it("reaches nobody where there is nobody", async () => {
    const network = createTestNetwork();
    const one = await Port.bind(network, network.host());
    for (const host of ["203.0.113.200", "10.0.0.1", "127.0.0.1", "2001:db8::1"]) {
      one.send("hello", host, 5_000);
    }
    await network.advance(100);
    assert.deepEqual(one.arrived, []);
  });

  it("reaches the own host by loopback and by its address", async () => {
    const network = createTestNetwork();
    const one = await Port.bind(network, network.host());
    one.send("a", "127.0.0.1");
    one.send("b", one.host.addresses[0] ?? "");
    await network.advance(100);
    assert.deepEqual(one.arrived, ["a 127.0.0.1:4000 @0", "b 203.0.113.1:4000 @0"]);
  });

  it("lets nobody in through a NAT who was not sent to, and answers come back", async () => {
    const network = createTestNetwork();
    const nat = network.nat();
    const inner = await Port.bind(network, network.host({ behind: nat }));
    const outer = await Port.bind(network, network.host());
    const stranger = await Port.bind(network, network.host());
    const seen = await observed(network, inner);
    assert.deepEqual(seen, { host: nat.address, port: 4_000 });
    stranger.send("knock", seen.host, seen.port);
    inner.send("ask", outer.host.addresses[0] ?? "");
    await network.advance(100);
    outer.send("answer", seen.host, seen.port);
    await network.advance(100);
    assert.equal(inner.arrived.length, 1);
    assert.match(inner.arrived[0] ?? "", /^answer 203\.0\.113\.2:4000/);
  });

  it("has two hosts with the same private address behind two NATs", async () => {
    const network = createTestNetwork();
    const hosts = [1, 2].map(() => network.host({ behind: network.nat() }));
    assert.deepEqual(hosts[0]?.addresses, hosts[1]?.addresses);
    const [one, other] = await Promise.all(hosts.map((host) => Port.bind(network, host)));
    one?.send("hello", other?.host.addresses[0] ?? "");
    await network.advance(100);
    assert.deepEqual(other?.arrived, []);
  });

  it("shows hosts behind two NATs with the address of the outer one", async () => {
    const network = createTestNetwork();
    const carrier = network.nat({ kind: "carrier" });
    const home = network.nat({ behind: carrier });
    assert.match(home.address, /^100\.64\./);
    const port = await Port.bind(network, network.host({ behind: home }));
    assert.equal((await observed(network, port)).host, carrier.address);
  });

  for (const hairpinning of [true, false]) {
    it(`${hairpinning ? "turns" : "does not turn"} round at the outer address with hairpinning ${hairpinning}`, async () => {
      const network = createTestNetwork();
      const nat = network.nat({ kind: "full-cone", hairpinning });
      const one = await Port.bind(network, network.host({ behind: nat }));
      const other = await Port.bind(network, network.host({ behind: nat }), "0.0.0.0:4001");
      const seen = await observed(network, other);
      one.send("round", seen.host, seen.port);
      one.send("straight", other.host.addresses[0] ?? "", 4_001);
      await network.advance(100);
      const arrived = other.arrived.map((line) => line.split(" @")[0]);
      const turned = hairpinning ? [`round ${nat.address}:4000`] : [];
      assert.deepEqual(arrived.sort(), [...turned, "straight 192.168.1.10:4000"]);
    });
  }

  it("has IPv6 through a NAT without translation, and filtered all the same", async () => {
    const network = createTestNetwork();
    const nat = network.nat({ ipv6: true });
    const inner = await Port.bind(network, network.host({ behind: nat, ipv6: true }), "[::]:4000");
    const outer = await Port.bind(network, network.host({ ipv6: true }), "[::]:4000");
    const innerHost = inner.host.addresses[1] ?? "";
    const outerHost = outer.host.addresses[1] ?? "";
    outer.send("knock", innerHost);
    await network.advance(100);
    inner.send("ask", outerHost);
    await network.advance(100);
    outer.send("answer", innerHost);
    await network.advance(100);
    assert.deepEqual(
      inner.arrived.map((line) => line.split(" ")[0]),
      ["answer"],
    );
    assert.match(outer.arrived[0] ?? "", new RegExp(`\\[${innerHost}\\]`));
  });

  it("gives IPv6 only where the NAT has it", () => {
    const network = createTestNetwork();
    assert.throws(() => network.host({ behind: network.nat(), ipv6: true }), TypeError);
  });

  it("blocks UDP at a host and at a NAT, both ways, and as long as it says", async () => {
    const network = createTestNetwork();
    const nat = network.nat({ kind: "full-cone" });
    const inner = await Port.bind(network, network.host({ behind: nat }));
    const seen = await observed(network, inner);
    const outer = await Port.bind(network, network.host());
    for (const blocked of [nat, inner.host, outer.host]) {
      blocked.udp = "blocked";
      outer.send("in", seen.host, seen.port);
      inner.send("out", outer.host.addresses[0] ?? "");
      await network.advance(100);
      assert.deepEqual([inner.arrived, outer.arrived], [[], []]);
      blocked.udp = "allowed";
    }
    outer.send("in", seen.host, seen.port);
    await network.advance(100);
    assert.equal(inner.arrived.length, 1);
  });

  it("has firewalls that let in only who was sent to", async () => {
    const network = createTestNetwork();
    const guarded = network.host({ filtering: "address-and-port-dependent" });
    const inner = await Port.bind(network, guarded);
    const outer = await Port.bind(network, network.host());
    const host = guarded.addresses[0] ?? "";
    outer.send("knock", host);
    await network.advance(100);
    inner.send("ask", outer.host.addresses[0] ?? "");
    await network.advance(100);
    outer.send("answer", host);
    await network.advance(30_100);
    outer.send("late", host);
    await network.advance(100);
    assert.deepEqual(
      inner.arrived.map((line) => line.split(" ")[0]),
      ["answer"],
    );
  });

  it("forgets mappings when told, and can come back with another address", async () => {
    const network = createTestNetwork();
    const nat = network.nat({ kind: "full-cone" });
    const inner = await Port.bind(network, network.host({ behind: nat }));
    const outer = await Port.bind(network, network.host());
    const seen = await observed(network, inner);
    nat.reboot({ newAddress: true });
    outer.send("lost", seen.host, seen.port);
    await network.advance(100);
    const again = await observed(network, inner);
    assert.notEqual(again.host, seen.host);
    outer.send("found", again.host, again.port);
    await network.advance(100);
    assert.deepEqual(
      inner.arrived.map((line) => line.split(" ")[0]),
      ["found"],
    );
  });

  it("moves hosts: sockets stay, and go on from the new address", async () => {
    const network = createTestNetwork();
    const one = await Port.bind(network, network.host());
    const other = await Port.bind(network, network.host());
    const before = one.host.addresses[0] ?? "";
    one.host.move({ behind: network.nat() });
    other.send("lost", before);
    one.send("moved", other.host.addresses[0] ?? "");
    await network.advance(100);
    assert.deepEqual(one.arrived, []);
    assert.match(other.arrived[0] ?? "", /^moved 203\.0\.113\.3:4000/);
  });

  it("sends by the line that leads there when a host has two", async () => {
    const network = createTestNetwork();
    const lan = network.lan();
    const printer = await Port.bind(network, network.host({ behind: lan }));
    const server = await Port.bind(network, network.host());
    const both = network.host({ behind: lan });
    both.attach({ behind: network.nat({ subnet: "10.0.0.0/24" }) });
    const port = await Port.bind(network, both);
    port.send("print", printer.host.addresses[0] ?? "");
    port.send("serve", server.host.addresses[0] ?? "");
    await network.advance(100);
    assert.equal(printer.arrived.length, 1);
    assert.equal(server.arrived.length, 1);
    both.detach("eth1");
    port.send("serve", server.host.addresses[0] ?? "");
    await network.advance(100);
    assert.equal(server.arrived.length, 1);
  });

  it("cuts and worsens the way between two hosts alone", async () => {
    const network = createTestNetwork();
    const [one, other, third] = await Promise.all(
      [1, 2, 3].map(() => Port.bind(network, network.host())),
    );
    assert.ok(one && other && third);
    network.cut(one.host, other.host);
    one.send("cut", other.host.addresses[0] ?? "");
    one.send("aside", third.host.addresses[0] ?? "");
    await network.advance(100);
    network.between(other.host, one.host, { delayMs: 1_000 });
    one.send("slow", other.host.addresses[0] ?? "");
    await network.advance(2_000);
    network.heal(one.host, other.host);
    one.send("quick", other.host.addresses[0] ?? "");
    await network.advance(100);
    assert.deepEqual(
      [other, third].map(({ arrived }) => arrived.map((line) => line.replace(/ .* /, " "))),
      [["slow @1120", "quick @2120"], ["aside @20"]],
    );
  });

  it("shows the tap what is sent, which may lose or change it", async () => {
    const network = createTestNetwork();
    const one = await Port.bind(network, network.host());
    const other = await Port.bind(network, network.host());
    network.tap = ({ host, bytes: sent }) =>
      host === one.host && text(sent) === "a" ? undefined : bytes(`${text(sent)}!`);
    one.send("a", other.host.addresses[0] ?? "");
    one.send("b", other.host.addresses[0] ?? "");
    await network.advance(100);
    assert.deepEqual(other.arrived, ["b! 203.0.113.1:4000 @20"]);
  });

  it("has ports as a system has them", async () => {
    const network = createTestNetwork();
    const host = network.host({ ipv6: true });
    const { bindSocket } = host.options.network;
    const handler = { datagram: () => {}, failed: assert.fail };
    const bind = (...addresses: string[]) => bindSocket(addresses.map(parseSocketAddress), handler);
    const both = await bind("0.0.0.0:0", "[::]:0");
    const [ipv4, ipv6] = both.localAddresses;
    assert.equal(ipv4?.port, ipv6?.port);
    await assert.rejects(bind(`0.0.0.0:${ipv4?.port}`), /EADDRINUSE/);
    await both.close();
    await bind(`0.0.0.0:${ipv4?.port}`);
    await assert.rejects(bind("10.9.9.9:1"), /EADDRNOTAVAIL/);
    const { options } = network.host();
    const one = await options.network.bindSocket(
      ["0.0.0.0:0", "[::]:0"].map(parseSocketAddress),
      handler,
    );
    assert.equal(one.localAddresses.length, 1);
  });

  it("lists interfaces with loopback, and those of IPv6 where there is some", () => {
    const network = createTestNetwork();
    const list = network.host({ ipv6: true }).options.network.interfaces();
    assert.deepEqual(
      list.map(({ interfaceName, host, internal }) => [interfaceName, host, internal]),
      [
        ["lo", "127.0.0.1", true],
        ["lo", "::1", true],
        ["eth0", "203.0.113.1", false],
        ["eth0", "2001:db8::1", false],
      ],
    );
  });
});

describe("a host that stands still", () => {
  it("frozen: gets afterwards what has come meanwhile; asleep: that is lost", async () => {
    const network = createTestNetwork();
    const one = await Port.bind(network, network.host());
    const other = await Port.bind(network, network.host());
    const host = other.host.addresses[0] ?? "";
    other.host.freeze();
    one.send("while frozen", host);
    await network.advance(1_000);
    assert.deepEqual(other.arrived, []);
    other.host.resume();
    await network.advance(0);
    assert.deepEqual(other.arrived, ["while frozen 203.0.113.1:4000 @1000"]);
    other.host.sleep();
    one.send("asleep", host);
    await network.advance(1_000);
    other.host.resume();
    await network.advance(1_000);
    assert.equal(other.arrived.length, 1);
    assert.equal(other.host.options.platform.now(), 2_000);
  });
});

describe("multicast", () => {
  const group = { groups: [socketAddress("224.0.0.251", 5_353)], ttl: 1 };

  it("reaches all of a LAN that have joined, the sender too, and nobody else", async () => {
    const network = createTestNetwork();
    const lan = network.lan();
    const heard: string[] = [];
    const join = async (name: string, behind = lan) => {
      const { options } = network.host({ behind });
      return await options.network.openMulticast(group, {
        datagram: (from, datagram) => heard.push(`${name}: ${text(datagram)} ${from.host}`),
        failed: assert.fail,
      });
    };
    const one = await join("one");
    const other = await join("other");
    await join("elsewhere", network.lan());
    network.host({ behind: lan });
    one.send(bytes("hello"));
    await network.advance(100);
    assert.deepEqual(heard.sort(), ["one: hello 192.168.1.10", "other: hello 192.168.1.10"]);
    await other.close();
    one.send(bytes("again"));
    await network.advance(100);
    assert.equal(heard.length, 3);
  });
});

/** A WebSocket to a relay, with what has happened to it. */
function open(network: TestNetwork, host: TestHost, url: string) {
  const events: string[] = [];
  const note = (event: string) => events.push(`${event} @${network.now}`);
  const channel: MessageChannel = host.options.network.openMessageChannel(
    new URL("/relay", url.replace("https:", "wss:")),
    { subprotocols: ["iroh-relay-v2"], timeoutMs: 10_000, maxMessageBytes: 100_000 },
    {
      opened: (subprotocol) => note(`opened ${subprotocol}`),
      message: (message) => note(`message of ${message.length}`),
      drained: () => note("drained"),
      closed: (error) => note(`closed ${error?.message}`),
    },
  );
  return { channel, events };
}

describe("WebSockets to a relay", () => {
  it("open after round trips for TCP, TLS and HTTP, and bring the challenge half a one later", async () => {
    const network = createTestNetwork();
    const relay = network.relay();
    const { events } = open(network, network.host(), relay.url);
    await network.advance(1_000);
    assert.deepEqual(events, ["opened iroh-relay-v2 @120", "message of 17 @140"]);
  });

  it("come through NATs, where a forgetful one breaks them silently", async () => {
    const network = createTestNetwork();
    const nat = network.nat({ behind: network.nat({ kind: "carrier" }) });
    const { events } = open(network, network.host({ behind: nat }), network.relay().url);
    await network.advance(1_000);
    nat.forget();
    nat.reboot();
    await network.advance(20_000);
    assert.deepEqual(
      events.map((event) => event.split(" @")[0]),
      ["opened iroh-relay-v2", "message of 17"],
    );
  });

  it("are refused where nothing listens, and reset when the relay is killed", async () => {
    const network = createTestNetwork();
    const relay = network.relay();
    const host = network.host();
    const { events } = open(network, host, relay.url);
    await network.advance(200);
    relay.kill();
    await network.advance(200);
    assert.equal(events.at(-1), "closed connection reset by peer @220");
    const refused = open(network, host, relay.url);
    await network.advance(200);
    assert.match(refused.events[0] ?? "", /^closed connect ECONNREFUSED relay1\.test/);
    relay.start();
    const again = open(network, host, relay.url);
    await network.advance(200);
    assert.match(again.events[0] ?? "", /^opened/);
  });

  it("hear nothing of a relay without power, and are reset by what runs there later", async () => {
    const network = createTestNetwork();
    const relay = network.relay();
    const host = network.host();
    const { channel, events } = open(network, host, relay.url);
    await network.advance(200);
    relay.kill({ silently: true });
    channel.send(bytes("hello?"));
    await network.advance(30_000);
    assert.equal(events.length, 2);
    relay.start();
    await network.advance(30_000);
    assert.match(events.at(-1) ?? "", /^closed connection reset/);
  });

  it("wait for a way: to open within their time, and with messages in order", async () => {
    const network = createTestNetwork();
    const relay = network.relay();
    const host = network.host();
    network.cut(host, relay.host);
    const never = open(network, host, relay.url);
    await network.advance(10_000);
    assert.deepEqual(never.events, ["closed no answer within 10000 ms @10000"]);
    const late = open(network, host, relay.url);
    await network.advance(500);
    network.heal(host, relay.host);
    await network.advance(1_000);
    assert.match(late.events[0] ?? "", /^opened/);
  });

  it("are closed for those who close them, and the relay sees it", async () => {
    const network = createTestNetwork();
    const relay = network.relay();
    for (const now of [true, false]) {
      const { channel, events } = open(network, network.host(), relay.url);
      await network.advance(200);
      assert.equal(relay.core.connections, 1);
      channel.close({ now });
      await network.advance(200);
      assert.match(events.at(-1) ?? "", /^closed undefined/);
      assert.equal(relay.core.connections, 0);
    }
  });

  it("find no relay by a name that nobody has, nor without internet", async () => {
    const network = createTestNetwork();
    const nat = network.nat();
    const host = network.host({ behind: nat });
    const { events } = open(network, host, "https://nowhere.test./");
    await network.advance(100);
    nat.disconnect();
    const relay = network.relay();
    const offline = open(network, host, relay.url);
    await network.advance(100);
    nat.connect();
    const online = open(network, host, relay.url);
    await network.advance(1_000);
    assert.match(events[0] ?? "", /ENOTFOUND nowhere\.test/);
    assert.match(offline.events[0] ?? "", /EAI_AGAIN/);
    assert.match(online.events[0] ?? "", /^opened/);
  });
});

describe("HTTP", () => {
  it("takes a round trip more each for TCP and TLS the first time, and ends with its signal", async () => {
    const network = createTestNetwork();
    const relay = network.relay();
    const { request } = network.host().options.network;
    const get = (path: string, signal = new AbortController().signal) =>
      request(new URL(path, relay.url), { method: "GET", signal, maxBytes: 1_000 });
    assert.equal((await network.run(get("/ping"))).status, 200);
    assert.equal(network.now, 120);
    assert.equal((await network.run(get("/nowhere"))).status, 404);
    assert.equal(network.now, 160);
    relay.host.freeze();
    const controller = new AbortController();
    const waiting = get("/ping", controller.signal);
    await network.advance(5_000);
    controller.abort(new Error("enough"));
    await assert.rejects(network.run(waiting), /enough/);
  });
});

describe("TestNetwork", () => {
  it("runs until there is an end, and gives what came of it", async () => {
    const network = createTestNetwork();
    const work = async (): Promise<string> => {
      await network.advance(500);
      await network.run(network.advance(500));
      return "done";
    };
    assert.equal(await network.run(work), "done");
    assert.equal(network.now, 1_000);
    await assert.rejects(
      network.run(() => Promise.reject(new Error("failed"))),
      /failed/,
    );
  });

  it("says so when nothing is left to happen, or the time is over", async () => {
    const network = createTestNetwork({ seed: 77 });
    const never = new Promise<void>(() => {});
    await assert.rejects(network.run(never), /takes no end: waited until 0 ms .* seed 77/);
    const { platform } = network.host().options;
    const tick = (): void => void platform.setTimer(100, tick);
    await assert.rejects(
      network.run(
        async () => {
          tick();
          await never;
        },
        { limitMs: 1_000 },
      ),
      /waited until 1000 ms/,
    );
  });

  it("knows one seed from another, and takes integers alone", () => {
    const ports = (seed: number): Promise<number | undefined> => {
      const { bindSocket } = createTestNetwork({ seed }).host().options.network;
      const handler = { datagram: () => {}, failed: () => {} };
      return bindSocket([parseSocketAddress("0.0.0.0:0")], handler).then(
        ({ localAddresses }) => localAddresses[0]?.port,
      );
    };
    return Promise.all([ports(1), ports(1), ports(2)]).then(([one, same, other]) => {
      assert.equal(one, same);
      assert.notEqual(one, other);
      assert.throws(() => createTestNetwork({ seed: 0.5 }), RangeError);
    });
  });
});
