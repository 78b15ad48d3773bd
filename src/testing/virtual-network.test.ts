import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { socketAddress } from "../base/socket-address.ts";
import type { LinkOptions } from "./virtual-link.ts";
import { VirtualNetwork } from "./virtual-network.ts";

const a = socketAddress("10.0.0.1", 1);
const b = socketAddress("10.0.0.2", 2);

/** Sends numbered datagrams one after another; returns which arrived, and when. */
function deliver(
  count: number,
  link: Partial<LinkOptions>,
  seed = 1,
): { readonly number: number; readonly at: number }[] {
  const network = new VirtualNetwork({ seed, link });
  const arrived: { number: number; at: number }[] = [];
  const sender = network.bind(a, () => {});
  network.bind(b, (from, bytes) => {
    assert.deepEqual(from, a);
    arrived.push({ number: bytes[0] ?? -1, at: network.platform.now() });
  });
  for (let index = 0; index < count; index += 1) {
    sender.transmit(b, Uint8Array.of(index, 0, 0, 0, 0, 0, 0, 0, 0, 0), 10);
  }
  network.platform.runFor(10_000);
  return arrived;
}

describe("VirtualNetwork", () => {
  it("delivers after the delay, in order", () => {
    const arrived = deliver(3, { delayMs: 25 });
    assert.deepEqual(arrived, [
      { number: 0, at: 25 },
      { number: 1, at: 25 },
      { number: 2, at: 25 },
    ]);
  });

  it("loses, doubles and reorders as told, the same way for the same seed", () => {
    const link = { loss: 0.3, duplication: 0.2, jitterMs: 50 };
    const arrived = deliver(100, link, 9);
    const numbers = arrived.map(({ number }) => number);
    assert(new Set(numbers).size > 50 && new Set(numbers).size < 90);
    assert(numbers.length > new Set(numbers).size);
    assert(numbers.some((number, index) => number < (numbers[index - 1] ?? 0)));
    assert.deepEqual(deliver(100, link, 9), arrived);
    assert.notDeepEqual(deliver(100, link, 10), arrived);
  });

  it("loses what is larger than the link carries", () => {
    assert.equal(deliver(1, { mtu: 10 }).length, 1);
    assert.equal(deliver(1, { mtu: 9 }).length, 0);
  });

  it("sends no faster than its bandwidth, and queues no more than it may", () => {
    const arrived = deliver(10, { delayMs: 0, bandwidth: 1_000, queueBytes: 50 });
    assert.deepEqual(
      arrived.map(({ at }) => at),
      [10, 20, 30, 40, 50],
    );
  });

  it("cuts a batch into datagrams", () => {
    const network = new VirtualNetwork();
    const sizes: number[] = [];
    const sender = network.bind(a, () => {});
    network.bind(b, (_, bytes) => sizes.push(bytes.length));
    sender.transmit(b, new Uint8Array(25), 10);
    network.platform.runFor(100);
    assert.deepEqual(sizes, [10, 10, 5]);
  });

  it("treats a link as told for that link alone, one way", () => {
    const network = new VirtualNetwork();
    const arrived: string[] = [];
    const one = network.bind(a, () => arrived.push(`a@${network.platform.now()}`));
    const other = network.bind(b, () => arrived.push(`b@${network.platform.now()}`));
    network.setLink(a, b, { delayMs: 100 });
    one.transmit(b, new Uint8Array(1), 1);
    other.transmit(a, new Uint8Array(1), 1);
    network.platform.runFor(1_000);
    assert.deepEqual(arrived, ["a@10", "b@100"]);
  });

  it("shows every datagram to the tap, which may lose or change it", () => {
    const network = new VirtualNetwork();
    const arrived: number[] = [];
    const sender = network.bind(a, () => {});
    network.bind(b, (_, bytes) => arrived.push(bytes[0] ?? -1));
    network.tap = ({ bytes }) => (bytes[0] === 1 ? undefined : Uint8Array.of((bytes[0] ?? 0) + 10));
    for (const number of [0, 1, 2]) {
      sender.transmit(b, Uint8Array.of(number), 1);
    }
    network.platform.runFor(100);
    assert.deepEqual(arrived, [10, 12]);
  });

  it("has one socket per address; one that is closed or has moved leaves it free", () => {
    const network = new VirtualNetwork();
    const socket = network.bind(a, () => {});
    assert.throws(() => network.bind(a, () => {}), /address in use/);
    socket.rebind(b);
    assert.equal(socket.address, b);
    network.bind(a, () => {});
    assert.throws(() => socket.rebind(a), /address in use/);
    socket.close();
    network.bind(b, () => {});
  });

  it("delivers to nobody where there is no socket", () => {
    const network = new VirtualNetwork();
    const sender = network.bind(a, () => {});
    sender.transmit(b, new Uint8Array(1), 1);
    network.platform.runFor(100);
    sender.close();
    sender.transmit(b, new Uint8Array(1), 1);
  });
});
