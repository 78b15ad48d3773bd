import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultGatewayOf, nodeGateway } from "./node-gateway.ts";

const head = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT";

function table(...lines: readonly string[]): string {
  return [head, ...lines.map((line) => line.replaceAll(" ", "\t")), ""].join("\n");
}

test("defaultGatewayOf finds the default route with the lowest metric", () => {
  const lan = "eth0 0000A8C0 00000000 0001 0 0 100 00FFFFFF 0 0 0";
  const wifi = "wlan0 00000000 FE01A8C0 0003 0 0 600 00000000 0 0 0";
  const wire = "eth0 00000000 0100A8C0 0003 0 0 100 00000000 0 0 0";
  assert.equal(defaultGatewayOf(table(wifi, lan, wire)), "192.168.0.1");
  assert.equal(defaultGatewayOf(table(wifi, lan)), "192.168.1.254");
});

test("defaultGatewayOf finds none on a host that has none", () => {
  assert.equal(defaultGatewayOf(""), undefined);
  assert.equal(
    defaultGatewayOf(table("eth0 0000A8C0 00000000 0001 0 0 100 00FFFFFF 0 0 0")),
    undefined,
  );
  // A tunnel takes everything and has no gateway; one half of the address space is no default.
  assert.equal(
    defaultGatewayOf(table("tun0 00000000 00000000 0001 0 0 0 00000000 0 0 0")),
    undefined,
  );
  assert.equal(
    defaultGatewayOf(table("tun0 00000000 0100080A 0003 0 0 0 00000080 0 0 0")),
    undefined,
  );
  assert.equal(defaultGatewayOf("no table at all\n\t\t\t"), undefined);
});

test("nodeGateway never throws", () => {
  const gateway = nodeGateway();
  assert.ok(gateway === undefined || /^[0-9.]+$/.test(gateway));
});
