import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { MemoryPkarr } from "../../test/support/memory-pkarr.ts";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import type { Discovery } from "./discovery.ts";
import type { DiscoveryError } from "./discovery-error.ts";
import type { DiscoveryNetwork, DiscoverySocket } from "./discovery-network.ts";
import { type MainlineDhtOptions, mainlineDht } from "./mainline-dht.ts";

// With other nodes: test/interop/discovery/mainline-dht.test.ts.

const { publicKey: id } = SecretKey.generate();
const noSignal = new AbortController().signal;

/** A host on which names are not found and datagrams get lost. */
class Alone {
  readonly platform: VirtualPlatform = new VirtualPlatform(5);
  readonly reported: string[] = [];
  sockets = 0;
  lookups = 0;
  sent = 0;

  open(options: MainlineDhtOptions, network: Partial<DiscoveryNetwork> = {}): Discovery {
    return mainlineDht(options)({
      secretKey: SecretKey.generate(),
      platform: this.platform,
      network: {
        ...new MemoryPkarr(),
        request: () => Promise.reject(new Error("no")),
        resolveHost: async (host, port): Promise<SocketAddress[]> => {
          this.lookups += 1;
          return [socketAddress(host, port)];
        },
        bindSocket: async (): Promise<DiscoverySocket> => {
          this.sockets += 1;
          return {
            localAddresses: [socketAddress("0.0.0.0", 7)],
            send: () => {
              this.sent += 1;
            },
            close: async () => {
              this.sockets -= 1;
            },
          };
        },
        ...network,
      },
      report: (error) => this.reported.push((error as DiscoveryError).code),
    });
  }

  async find(discovery: Discovery, signal: AbortSignal = noSignal): Promise<void> {
    for await (const _ of discovery.resolve?.(id, { signal }) ?? []) {
      assert.fail("found");
    }
  }
}

test("nothing is looked up or opened before somebody is looked for", async () => {
  const alone = new Alone();
  const discovery = alone.open({ bootstrap: ["10.0.0.1:1"] });
  await discovery.close();
  assert.deepEqual([alone.lookups, alone.sockets], [0, 0]);
});

test("first nodes without an address are an error", async () => {
  const alone = new Alone();
  const resolveHost = (): Promise<never> => Promise.reject(new Error("no such host"));
  const discovery = alone.open({ bootstrap: ["nowhere.example:1"] }, { resolveHost });
  await assert.rejects(alone.find(discovery), { code: "unavailable" });
  assert.throws(() => mainlineDht({ bootstrap: ["10.0.0.1"] }), TypeError);
  assert.throws(() => mainlineDht({ bootstrap: ["10.0.0.1:70000"] }), TypeError);
});

test("a socket that cannot be had is an error", async () => {
  const alone = new Alone();
  const bindSocket = (): Promise<never> => Promise.reject(new Error("too many files"));
  const discovery = alone.open({ bootstrap: ["10.0.0.1:1"] }, { bindSocket });
  await assert.rejects(alone.find(discovery), { code: "unavailable", message: /too many files/ });
});

test("lookups share a socket, and those that are over leave none", async () => {
  const alone = new Alone();
  const discovery = alone.open({ bootstrap: ["10.0.0.1:1"] });
  const stop = new AbortController();
  const finding = [alone.find(discovery, stop.signal), alone.find(discovery, stop.signal)];
  while (alone.sent < 2) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(alone.sockets, 1);
  stop.abort(new Error("enough"));
  await Promise.all(finding.map((each) => assert.rejects(each, /enough/)));
  await discovery.close();
  assert.equal(alone.sockets, 0);
});

test("closing ends what hangs", async () => {
  const alone = new Alone();
  const resolveHost = (): Promise<never> => new Promise(() => {});
  const discovery = alone.open({ bootstrap: ["10.0.0.1:1"] }, { resolveHost });
  const finding = alone.find(discovery);
  discovery.publish?.({ addr: EndpointAddr.from({ id, addrs: ["https://a.example/"] }) });
  await new Promise((resolve) => setImmediate(resolve));
  void discovery.close();
  await assert.rejects(finding, { code: "unavailable", message: /closed/ });
  await assert.rejects(alone.find(discovery), { code: "unavailable" });
});

test("publishing that gets no answer is given up and reported", async () => {
  const alone = new Alone();
  const resolveHost = (): Promise<never> => new Promise(() => {});
  const discovery = alone.open({ bootstrap: ["10.0.0.1:1"] }, { resolveHost });
  discovery.publish?.({ addr: EndpointAddr.from({ id, addrs: ["https://a.example/"] }) });
  assert.ok(await alone.platform.runAsync(() => alone.reported.length > 0));
  assert.deepEqual(alone.reported, ["timeout"]);
  assert.equal(alone.platform.now(), 60_000);
});

test("without the package, the error says what to install", async () => {
  const loader = `export const resolve = (name, context, next) => {
    if (name === "bittorrent-dht") throw new Error("not installed");
    return next(name, context);
  };`;
  const asModule = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`;
  const register = `import { register } from "node:module"; register(${JSON.stringify(asModule(loader))});`;
  const file = new URL("dht-node.ts", import.meta.url).href;
  const program = `const { DhtNode } = await import(${JSON.stringify(file)});
    await DhtNode.open([], {}).catch(({ code, message }) => console.log(code, message));`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...["--import", "tsx", "--import", asModule(register)],
    ...["--input-type", "module", "--eval", program],
  ]);
  assert.match(stdout, /^missing-package .*npm install bittorrent-dht@11/);
});
