// A program that binds an endpoint, and prints what went out of its process and of its network namespace meanwhile: all that
// libuv was asked for, and what the kernel counted. With "n0" it binds to the public network and waits until something went
// out; without, it waits a while in which nothing should.

import { createHook } from "node:async_hooks";
import { readFileSync } from "node:fs";
import { Endpoint, presets } from "../../src/index.ts";

/** Names are looked up by the first two, by the system's resolver and by DNS. */
const kinds = [
  "GETADDRINFOREQWRAP",
  "QUERYWRAP",
  "UDPSENDWRAP",
  "TCPCONNECTWRAP",
  "HTTPCLIENTREQUEST",
];

/** Longer than any of an endpoint's first waits. */
const watchedMs = 3_000;

/** Of the namespace, all protocols and both families: also what a native module would send. */
function counted(): Record<string, number> {
  const { Udp, Tcp } = table(readFileSync("/proc/net/snmp", "utf8"));
  const udp6 = /^Udp6OutDatagrams\s+(\d+)$/m.exec(readFileSync("/proc/net/snmp6", "utf8"));
  return {
    datagrams: Number(Udp?.OutDatagrams),
    datagrams6: Number(udp6?.[1] ?? 0),
    connects: Number(Tcp?.ActiveOpens),
  };
}

/** Two lines for each protocol: names, and values. */
function table(text: string): Record<string, Record<string, string>> {
  const rows: Record<string, Record<string, string>> = {};
  const lines = text.split("\n").map((line) => line.split(/:?\s+/));
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const [protocol = "", ...names] = lines[at] ?? [];
    const [, ...values] = lines[at + 1] ?? [];
    rows[protocol] = Object.fromEntries(names.map((name, index) => [name, values[index] ?? ""]));
  }
  return rows;
}

const asked: Record<string, number> = {};
createHook({
  init(_id, type) {
    if (kinds.includes(type)) {
      asked[type] = (asked[type] ?? 0) + 1;
    }
  },
}).enable();

const sum = (counts: Record<string, number>): number =>
  Object.values(counts).reduce((all, count) => all + count, 0);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const before = counted();
const sent = (): Record<string, number> =>
  Object.fromEntries(
    Object.entries(counted()).map(([name, count]) => [name, count - (before[name] ?? 0)]),
  );
const isPublic = process.argv[2] === "n0";
const endpoint = await Endpoint.bind(isPublic ? presets.n0() : {});
if (isPublic) {
  while (sum(sent()) === 0 || sum(asked) === 0) {
    await pause(20);
  }
} else {
  await pause(watchedMs);
}
console.log(
  JSON.stringify({
    sent: sent(),
    asked,
    addresses: endpoint.addr().ipAddrs.map(({ host }) => host),
  }),
);
// Until it is ended, or left alone.
process.stdin.resume().once("end", () => process.exit());
