import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { nodePlatform } from "../base/node-platform.ts";
import { onAbort } from "../base/on-abort.ts";
import { parseSocketAddress } from "../base/socket-address.ts";
import { parseRelayUrl, type RelayUrl } from "../identity/relay-url.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import { AddressObservers } from "./address-observers.ts";
import type { NetReport } from "./net-report.ts";
import { type CheckOptions, maxRelays, Netcheck } from "./netcheck.ts";
import type { Network } from "./network.ts";
import { nodeNetwork } from "./node-network.ts";

const near = parseRelayUrl("https://near.example");
const far = parseRelayUrl("https://far.example");

/** A host in virtual time, with relays that answer after these milliseconds. */
function world(latencies: Readonly<Record<string, number>>) {
  const platform = new VirtualPlatform(1);
  const asked: string[] = [];
  const request: Network["request"] = (url, { signal, headers }) =>
    new Promise((resolve, reject) => {
      asked.push(`${url}`);
      onAbort(signal, () => reject(signal.reason));
      const delayMs = latencies[url.hostname];
      if (delayMs !== undefined && delayMs < 0) {
        reject(new Error(`connect ECONNREFUSED ${url.hostname}`));
      } else if (delayMs !== undefined) {
        const isPing = url.pathname === "/ping";
        const response = `response ${headers?.["x-iroh-challenge"]}`;
        platform.setTimer(delayMs, () =>
          resolve({
            status: isPing ? 200 : 204,
            headers: { "x-iroh-response": response },
            body: new Uint8Array(0),
          }),
        );
      }
    });
  const network = {
    request,
    interfaces: () => [
      { interfaceName: "eth0", host: "10.0.0.1", family: 4, internal: false } as const,
    ],
  };
  const bound = () => [parseSocketAddress("0.0.0.0:7")];
  return { platform, network, bound, asked, latencies };
}

async function run(
  netcheck: Netcheck,
  platform: VirtualPlatform,
  options?: CheckOptions,
): Promise<{ readonly report: NetReport; readonly tookMs: number }> {
  const start = platform.now();
  let report: NetReport | undefined;
  let failure: unknown;
  netcheck.run(options).then(
    (done) => {
      report = done;
    },
    (error) => {
      failure = error ?? "rejected";
    },
  );
  await platform.runAsync(() => report !== undefined || failure !== undefined);
  if (report === undefined) {
    throw failure;
  }
  return { report, tookMs: platform.now() - start };
}

function only(relays: readonly RelayUrl[]) {
  return { relays: () => relays };
}

test("Netcheck reports latencies of relays and the one to be found at", async () => {
  const { platform, network, bound } = world({ "near.example": 20, "far.example": 90 });
  const netcheck = new Netcheck({ platform, network, bound, ...only([far, near]) });
  const { report, tookMs } = await run(netcheck, platform);
  assert.deepEqual(report.relays, [
    { type: "answered", url: far, latencyMs: 90 },
    { type: "answered", url: near, latencyMs: 20 },
  ]);
  assert.equal(report.homeRelay, near);
  assert.equal(report.captivePortal, false);
  assert.equal(report.udp, undefined);
  assert.equal(tookMs, 360, "all at once, and four requests one after the other");
});

test("F24: Netcheck is over after 3 s, with what has answered, whoever hangs or fails", async () => {
  const { platform, network, bound } = world({ "near.example": 20, "closed.example": -1 });
  const closed = parseRelayUrl("https://closed.example");
  const observers = new AddressObservers({
    platform,
    families: () => [4],
    resolveHost: () => new Promise(() => {}),
    stunServers: ["stun.example"],
    probe: () => new Promise(() => {}),
  });
  const netcheck = new Netcheck({
    platform,
    network,
    bound,
    observers,
    ...only([far, closed, near]),
  });
  const { report, tookMs } = await run(netcheck, platform);
  assert.equal(tookMs, 3_000);
  assert.deepEqual(report.relays, [
    { type: "failed", url: far, error: "no answer within 3000 ms" },
    { type: "failed", url: closed, error: "connect ECONNREFUSED closed.example" },
    { type: "answered", url: near, latencyMs: 20 },
  ]);
  assert.equal(report.homeRelay, near);
  assert.equal(report.captivePortal, undefined);
  assert.deepEqual(report.observers, [
    {
      kind: "stun",
      server: "stun.example",
      family: undefined,
      type: "failed",
      error: "no answer within 3000 ms",
    },
  ]);
});

test("F21: Netcheck stays at a home relay whose connection is alive, and leaves one that is dead", async () => {
  const { platform, network, bound, latencies } = world({ "far.example": 30 });
  const netcheck = new Netcheck({ platform, network, bound, ...only([near, far]) });
  const alive = await run(netcheck, platform, { homeRelay: near, homeLatencyMs: 25 });
  assert.equal(alive.report.homeRelay, near);
  const dead = await run(netcheck, platform, { homeRelay: near });
  assert.equal(dead.report.homeRelay, far);
  Object.assign(latencies, { "far.example": -1 });
  const offline = await run(netcheck, platform, { homeRelay: far });
  assert.equal(offline.report.homeRelay, far, "nobody answers");
});

test("a quick Netcheck looks for no captive portal, and nobody is asked without relays", async () => {
  const { platform, network, bound, asked } = world({ "near.example": 20 });
  const netcheck = new Netcheck({ platform, network, bound, ...only([near]) });
  const { report } = await run(netcheck, platform, { full: false });
  assert.equal(report.captivePortal, undefined);
  assert.deepEqual([...new Set(asked)], ["https://near.example/ping"]);
  const alone = await run(new Netcheck({ platform, network, bound }), platform);
  assert.equal(alone.report.homeRelay, undefined);
  assert.equal(alone.tookMs, 0);
});

test("a quick Netcheck asks the home relay and the two nearest others, as long as the home relay is alive", async () => {
  const names = ["a", "b", "c", "d", "e"];
  const relays = names.map((name) => parseRelayUrl(`https://${name}.example`));
  const [home = near] = relays;
  const latencies = { "a.example": 20, "b.example": 90, "c.example": 40, "d.example": 30 };
  const { platform, network, bound } = world(latencies);
  const netcheck = new Netcheck({ platform, network, bound, ...only(relays) });
  const quick = { full: false, homeRelay: home } as const;
  await run(netcheck, platform);
  const askedOf = async (options: CheckOptions) =>
    (await run(netcheck, platform, options)).report.relays.map(({ url }) => new URL(url).host[0]);
  assert.deepEqual(await askedOf({ ...quick, homeLatencyMs: 20 }), ["a", "c", "d"]);
  assert.deepEqual(await askedOf(quick), names);
  assert.deepEqual(await askedOf({ full: false }), names);
});

test("Netcheck asks at most 32 relays", async () => {
  const { platform, network, bound, asked } = world({});
  const relays = Array.from({ length: 100 }, (_, index) =>
    parseRelayUrl(`https://r${index}.example`),
  );
  const netcheck = new Netcheck({ platform, network, bound, ...only(relays) });
  await run(netcheck, platform, { full: false });
  assert.equal(asked.length, maxRelays);
});

test("F1: Netcheck ends with the signal, and then nothing goes on", async () => {
  const { platform, network, bound } = world({});
  const netcheck = new Netcheck({ platform, network, bound, ...only([near]) });
  const reason = new Error("enough");
  await assert.rejects(netcheck.run({ signal: AbortSignal.abort(reason) }), reason);
  const stop = new AbortController();
  platform.setTimer(100, () => stop.abort(reason));
  await assert.rejects(run(netcheck, platform, { signal: stop.signal }), reason);
  assert.equal(
    platform.run(() => false),
    false,
  );
  assert.equal(platform.now(), 100, "no timer is left");
});

test("Netcheck measures a relay of this host over real HTTP, without its connection's set-up", async (context) => {
  let connections = 0;
  let pings = 0;
  const server = createServer((request, response) => {
    if (request.url === "/ping") {
      pings += 1;
      response.end();
    } else {
      const challenge = request.headers["x-iroh-challenge"];
      response.writeHead(204, { "x-iroh-response": `response ${challenge}` }).end();
    }
  });
  server.on("connection", () => {
    connections += 1;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const relay = parseRelayUrl(`http://127.0.0.1:${port}`);
  const netcheck = new Netcheck({
    platform: nodePlatform,
    network: nodeNetwork,
    bound: () => [parseSocketAddress("127.0.0.1:9")],
    ...only([relay]),
  });
  const report = await netcheck.run({ timeoutMs: 60_000 });
  assert.equal(report.homeRelay, relay);
  assert.equal(report.relays[0]?.type, "answered");
  assert.equal(report.captivePortal, false);
  assert.equal(pings, 4);
  assert.ok(connections <= 2, "one for the latency, one for the portal");
});
