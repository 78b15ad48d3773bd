import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Answer,
  type GatewayWorld,
  gatewayWorld,
  host,
} from "../../test/support/virtual-gateway.ts";
import { deferred } from "../base/deferred.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { nodePlatform } from "../base/node-platform.ts";
import { parseSocketAddress } from "../base/socket-address.ts";
import type { VirtualSocket } from "../testing/virtual-network.ts";
import { natPmpMethod } from "./nat-pmp-method.ts";
import { bindUdp } from "./udp-socket.ts";

const addressAnswer = decodeHex("0080000000000a01c6336407");
/** Of port 4321, to 50000, for two hours. */
const mapAnswer = decodeHex("0081000000000a0110e1c35000001c20");

const honest: Answer = (request) => [request === "0000" ? addressAnswer : mapAnswer];

function world(answer: Answer): GatewayWorld {
  return gatewayWorld(natPmpMethod, answer);
}

test("a port is mapped for two hours, and given back (RFC 6886 §3.3, §3.4)", async () => {
  const { asked, map, unmap } = world(honest);
  assert.deepEqual(await map(), {
    address: parseSocketAddress("198.51.100.7:50000"),
    lifetimeMs: 7_200_000,
  });
  assert.deepEqual(asked.splice(0), ["0000", "0001000010e110e100001c20"]);
  await map(parseSocketAddress("198.51.100.7:50000"));
  assert.equal(asked.splice(0)[1], "0001000010e1c35000001c20", "the same port again");
  assert.equal(await unmap(), undefined);
  assert.deepEqual(asked, ["0001000010e1000000000000"]);
});

test("requests and answers may get lost (RFC 6886 §3.1)", async () => {
  for (let lost = 1; lost <= 3; lost += 1) {
    const { network, map } = world(honest);
    let seen = 0;
    network.tap = ({ bytes }) => (++seen <= lost ? undefined : bytes);
    assert.ok(!((await map()) instanceof Error), `${lost} lost`);
  }
});

test("without an answer it ends with the signal, and leaves no timers", async () => {
  const { network, asked, map } = world(() => []);
  assert.equal(String(await map()), "Error: no answer");
  assert.deepEqual(asked, Array(5).fill("0000"), "at 0, 250, 750, 1750 and 3750 ms");
  const { platform } = network;
  const now = platform.now();
  platform.run(() => false);
  assert.equal(platform.now(), now);
});

test("a gateway may refuse", async () => {
  const refusing = world((request) => [
    request === "0000" ? addressAnswer : decodeHex("0081000200000a0110e1000000000000"),
  ]);
  assert.match(String(await refusing.map()), /refuses with result 2/);
  const pcpAlone = world(() => [decodeHex("0280000100000a01")]);
  assert.match(String(await pcpAlone.map()), /refuses with result 1/);
});

test("broken answers, answers for others and answers of others do not count", async () => {
  const { network, map } = world((request) => [
    new Uint8Array(0),
    Uint8Array.of(0),
    addressAnswer.subarray(0, 11),
    // The answer to the other request, and to one for another port.
    request === "0000" ? mapAnswer : addressAnswer,
    decodeHex("0081000000000a0110e2ffff00001c20"),
    ...honest(request),
  ]);
  for (const address of ["10.0.0.66:5351", "10.0.0.1:5352"]) {
    const intruder: VirtualSocket = network.bind(parseSocketAddress(address), () => {});
    const lies = ["008000000000000008080808", "0081000000000a0110e1000100001c20"];
    for (const lie of lies.map(decodeHex)) {
      for (let delayMs = 0; delayMs < 100; delayMs += 1) {
        network.platform.setTimer(delayMs, () => intruder.transmit(host, lie, lie.length));
      }
    }
  }
  assert.deepEqual(await map(), {
    address: parseSocketAddress("198.51.100.7:50000"),
    lifetimeMs: 7_200_000,
  });
});

test("without a gateway there is no mapping", async () => {
  const method = natPmpMethod({
    platform: nodePlatform,
    bindSocket: () => Promise.reject(new Error("bound in vain")),
    gateway: () => undefined,
  });
  const { signal } = new AbortController();
  await assert.rejects(method.map(1, { previous: undefined, signal }), /gateway .* is not known/);
  await assert.rejects(method.unmap(1, { signal }), /gateway .* is not known/);
});

test("a port is mapped at a gateway on real sockets", async () => {
  const seen = deferred<string>();
  const answering = await bindUdp([parseSocketAddress("127.0.0.1:0")], {
    datagram: (from, bytes) => {
      const request = encodeHex(bytes);
      for (const answer of honest(request)) {
        answering.send(from, answer, answer.length);
      }
      if (request !== "0000") {
        seen.resolve(request);
      }
    },
    failed: () => {},
  });
  answering.setRef(true);
  const method = natPmpMethod({
    platform: nodePlatform,
    bindSocket: bindUdp,
    gateway: () => "127.0.0.1",
    port: answering.localAddresses[0]?.port ?? 0,
  });
  const { signal } = new AbortController();
  const mapping = await method.map(4321, { previous: undefined, signal });
  assert.deepEqual(mapping.address, parseSocketAddress("198.51.100.7:50000"));
  assert.equal(await seen.promise, "0001000010e110e100001c20");
  await answering.close();
});
