import assert from "node:assert/strict";
import { test } from "node:test";
import { packetNodes } from "./packet-nodes.ts";

function ipv6Packet(source: string, destination: string): Uint8Array {
  return Buffer.from(`60${"00".repeat(7)}${source}${destination}`, "hex");
}

test("IPv4: the last byte of the address", () => {
  const packet = Buffer.from(`45${"00".repeat(11)}c633640ac6336402`, "hex");
  assert.deepEqual(packetNodes(packet), [10, 2]);
});

test("IPv6: of the node itself, or of the network behind it", () => {
  const node = `20010db8${"00".repeat(11)}0a`;
  const behind = `20010db80011${"00".repeat(9)}33`;
  assert.deepEqual(packetNodes(ipv6Packet(node, behind)), [10, 11]);
  assert.deepEqual(packetNodes(ipv6Packet(behind, node)), [11, 10]);
});

test("what is no packet goes between nobody", () => {
  assert.deepEqual(packetNodes(new Uint8Array()), [0, 0]);
  assert.deepEqual(packetNodes(Uint8Array.of(0x45, 0)), [0, 0]);
  assert.deepEqual(packetNodes(new Uint8Array(60)), [0, 0]);
});
