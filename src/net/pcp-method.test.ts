import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Answer,
  type GatewayWorld,
  gatewayWorld,
  host,
} from "../../test/support/virtual-gateway.ts";
import { decodeHex } from "../base/hex.ts";
import { parseSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { VirtualSocket } from "../testing/virtual-network.ts";
import type { InterfaceAddress } from "./network.ts";
import { PcpMethod } from "./pcp-method.ts";

const zeros = "00000000000000000000";
const granted = parseSocketAddress("198.51.100.7:50000");

/** From its 24th byte on, a request of PCP says what is wanted: nonce, protocol, port. */
function nonceOf(request: string): string {
  return request.slice(48, 72);
}

/** An answer to a request, with the port that was granted. */
function answerTo(
  request: string,
  { result = "00", nonce = nonceOf(request), seconds = "00001c20", external = "ffffc6336407" } = {},
): Uint8Array {
  const what = `${nonce}1100000010e1c350${zeros}${external}`;
  return decodeHex(`028100${result}${seconds}00000a01${"00".repeat(12)}${what}`);
}

const honest: Answer = (request) => [answerTo(request)];

const interfaces: readonly InterfaceAddress[] = [
  { interfaceName: "lo", host: "127.0.0.1", family: 4, internal: true },
  { interfaceName: "vpn", host: "172.16.0.9", family: 4, internal: false },
  { interfaceName: "eth0", host: host.host, family: 4, internal: false },
  { interfaceName: "eth0", host: "fe80::1", family: 6, internal: false },
];

function world(answer: Answer): GatewayWorld {
  return gatewayWorld(
    (options) => new PcpMethod({ ...options, interfaces: () => interfaces }),
    answer,
  );
}

test("a port is mapped for two hours, kept, and given back by whom it was given to (RFC 6887 §11, §15)", async () => {
  const { asked, map, unmap } = world(honest);
  assert.deepEqual(await map(), { address: granted, lifetimeMs: 7_200_000 });
  const [first = ""] = asked.splice(0);
  const own = `${zeros}ffff0a000002`;
  const nonce = nonceOf(first);
  assert.notEqual(nonce, "0".repeat(24), "nobody guesses it");
  assert.equal(first, `0201000000001c20${own}${nonce}1100000010e110e1${zeros}ffff00000000`);
  await map(granted);
  const again = `0201000000001c20${own}${nonce}1100000010e1c350${zeros}ffffc6336407`;
  assert.deepEqual(asked.splice(0), [again], "the same port again");
  assert.equal(await unmap(), undefined);
  assert.deepEqual(asked, [`0201000000000000${own}${nonce}1100000010e10000${zeros}ffff00000000`]);
});

test("a request may get lost (RFC 6887 §8.1.1)", async () => {
  const { network, map } = world(honest);
  let seen = 0;
  network.tap = ({ bytes }) => (++seen <= 1 ? undefined : bytes);
  assert.ok(!((await map()) instanceof Error));
});

test("without an answer it ends with the signal, and leaves no timers", async () => {
  const { network, asked, map } = world(() => []);
  assert.equal(String(await map()), "Error: no answer");
  assert.equal(asked.length, 2, "at 0 and 3000 ms");
  const { platform } = network;
  const now = platform.now();
  platform.run(() => false);
  assert.equal(platform.now(), now);
});

test("a gateway may refuse, or speak NAT-PMP alone", async () => {
  const refusing = world((request) => [answerTo(request, { result: "02" })]);
  assert.match(String(await refusing.map()), /refuses with result 2/);
  const short = world(() => [decodeHex(`02810003000000780000000a${"00".repeat(12)}`)]);
  assert.match(String(await short.map()), /refuses with result 3/);
  const natPmpAlone = world(() => [decodeHex("0080000100000a01")]);
  assert.match(String(await natPmpAlone.map()), /does not speak PCP/);
});

test("broken answers, answers for others and answers of others do not count", async () => {
  let lie = "";
  const { network, map } = world((request) => {
    lie = request;
    return [
      new Uint8Array(0),
      Uint8Array.of(2),
      answerTo(request).subarray(0, 59),
      answerTo(request, { nonce: "f".repeat(24), external: "ffff08080808" }),
      answerTo(request, { nonce: "f".repeat(24), result: "08" }),
      ...honest(request),
    ];
  });
  for (const address of ["10.0.0.66:5351", "10.0.0.1:5352"]) {
    const intruder: VirtualSocket = network.bind(parseSocketAddress(address), () => {});
    for (let delayMs = 0; delayMs < 100; delayMs += 1) {
      network.platform.setTimer(delayMs, () => {
        const bytes = answerTo(lie, { external: "ffff08080808" });
        intruder.transmit(host, bytes, bytes.length);
      });
    }
  }
  assert.deepEqual(await map(), { address: granted, lifetimeMs: 7_200_000 });
});

test("without a gateway, or an address towards it, there is no mapping", async () => {
  const { platform } = world(honest).network;
  const options = {
    platform,
    bindSocket: () => Promise.reject(new Error("bound in vain")),
    gateway: () => undefined,
    interfaces: () => interfaces,
  };
  const { signal } = new AbortController();
  const previous: SocketAddress | undefined = undefined;
  await assert.rejects(
    new PcpMethod(options).map(1, { previous, signal }),
    /gateway .* is not known/,
  );
  const lonely = gatewayWorld(
    (parts) => new PcpMethod({ ...parts, interfaces: () => interfaces.slice(3) }),
    honest,
  );
  assert.match(String(await lonely.map()), /has no IPv4 address/);
});
