// Which network is contacted: none by default, number 0's where it is chosen. In virtual time for hours of it, and with a
// real process in a network namespace of its own, where the kernel counts what goes out.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { formatSocketAddress } from "../../src/base/socket-address.ts";
import { Endpoint, EndpointAddr, type EndpointOptions, presets } from "../../src/index.ts";
import type { Network } from "../../src/net/network.ts";
import { createTestNetwork } from "../../src/testing.ts";
import { runTypeScript } from "../support/run-typescript.ts";

/** Two peers in a world that has all there is on the internet, and what they ask of it besides sockets. */
function world() {
  const network = createTestNetwork();
  network.relay();
  network.pkarr();
  const sent: string[] = [];
  network.tap = ({ to, bytes }) => {
    sent.push(formatSocketAddress(to));
    return bytes;
  };
  const asked: string[] = [];
  const bind = (options: EndpointOptions): Promise<Endpoint> => {
    const { platform, network: all } = network.host({ behind: network.nat() }).options;
    return Endpoint.bind({ platform, network: recorded(all, asked), ...options });
  };
  return { network, sent, asked, bind };
}

/** The network, with each use of it noted that is not the endpoint's own socket or a look at this host's interfaces. */
function recorded(network: Network, asked: string[]): Network {
  return new Proxy(network, {
    get: (target, name: keyof Network) => {
      const value = target[name];
      return name === "bindSocket" || name === "interfaces"
        ? value
        : (...args: never[]) => {
            asked.push(`${name} ${args[0]}`);
            return (value as (...args: never[]) => unknown).apply(target, args);
          };
    },
  });
}

test("an endpoint as it is bound by default sends nothing and looks up no name for a day", async () => {
  const { network, sent, asked, bind } = world();
  const endpoint = await network.run(bind({}));
  await network.advance(24 * 3_600_000);
  assert.deepEqual(sent, []);
  assert.deepEqual(asked, []);
  await network.run(endpoint.close());
});

test("by default it sends to the peer that it dials, and to nobody else", async () => {
  const { network, sent, asked, bind } = world();
  const [ours, theirs] = await network.run(
    Promise.all([bind({}), bind({ alpns: ["quiet/1"], bind: "0.0.0.0:4433" })]),
  );
  // Nobody is there: behind another NAT.
  const target = EndpointAddr.from({ id: theirs.id, addrs: ["198.51.100.7:4433"] });
  await assert.rejects(network.run(ours.connect(target, "quiet/1")));
  assert.ok(sent.length > 0, "it dials");
  assert.deepEqual([...new Set(sent)], ["198.51.100.7:4433"]);
  assert.deepEqual(asked, []);
  await network.run(Promise.all([ours.close(), theirs.close()]));
});

test("with number 0's preset, its relays and its directory are what is contacted", async () => {
  const { network, asked, bind } = world();
  const endpoint = await network.run(bind(presets.n0()));
  await network.advance(60_000);
  const isKnown =
    /^(openMessageChannel|request|resolveHost|resolveTxt) \S*(iroh\.link|iroh\.network)/;
  assert.ok(asked.length > 0, "it asks");
  assert.deepEqual(
    asked.filter((each) => !isKnown.test(each)),
    [],
  );
  await network.run(endpoint.close());
});

/** A host with an interface and a way to everywhere, of which nothing comes back. */
const inNamespace = [
  ...["--map-root-user", "--net", "sh", "-ec"],
  `ip link set lo up
  ip link add out0 type veth peer name out1
  ip address add 192.0.2.9/24 dev out0
  ip link set out0 up
  ip link set out1 up
  ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev out0
  ip route add default via 192.0.2.1
  exec "$@"`,
  "sh",
];
const canMakeNamespaces = spawnSync("unshare", [...inNamespace, "true"], { stdio: "ignore" });
const namespaces = {
  skip: canMakeNamespaces.status !== 0 && "this machine makes no network namespaces",
  timeout: 60_000,
};

async function contacts(...args: string[]) {
  const program = fileURLToPath(new URL("contacts.ts", import.meta.url));
  const command = [...inNamespace, process.execPath, runTypeScript, program, ...args];
  const child = spawn("unshare", command, { stdio: ["pipe", "pipe", "ignore"] });
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  // By its own way out it would wait for its lookups.
  child.kill("SIGKILL");
  return JSON.parse(line) as {
    readonly sent: Record<string, number>;
    readonly asked: Record<string, number>;
    readonly addresses: readonly string[];
  };
}

test(
  "the kernel sees no packet of a default endpoint, and Node no lookup",
  namespaces,
  async () => {
    assert.deepEqual(await contacts(), {
      sent: { datagrams: 0, datagrams6: 0, connects: 0 },
      asked: {},
      addresses: ["192.0.2.9"],
    });
  },
);

test("and both see those of one on the public network", namespaces, async () => {
  const { sent, asked } = await contacts("n0");
  const all = Object.values(sent).reduce((sum, count) => sum + count, 0);
  assert.ok(all > 0, JSON.stringify(sent));
  assert.ok((asked.GETADDRINFOREQWRAP ?? 0) + (asked.QUERYWRAP ?? 0) > 0, JSON.stringify(asked));
});

test("README says so on its first screen", () => {
  const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
  const firstScreen = readme.split("\n").slice(0, 30).join("\n");
  assert.match(firstScreen, /contacts no network/);
  assert.match(firstScreen, /presets\.n0\(\)/);
});
