import assert from "node:assert/strict";
import { test } from "node:test";
import { HostConnections } from "./host-connections.ts";

test("HostConnections gives each host so many places, and takes them back", () => {
  const connections = new HostConnections(2);
  const back = [connections.take("192.0.2.1"), connections.take("::ffff:192.0.2.1")];
  assert.ok(back.every((each) => each !== undefined));
  assert.equal(connections.take("192.0.2.1"), undefined);
  assert.ok(connections.take("192.0.2.2"));
  back[0]?.();
  assert.ok(connections.take("192.0.2.1"));
  assert.equal(connections.take("192.0.2.1"), undefined);
});

test("HostConnections takes a network of IPv6 for one host, whatever interface it is reached by", () => {
  const connections = new HostConnections(2);
  assert.ok(connections.take("2001:db8::1"));
  assert.ok(connections.take("2001:db8::ffff"));
  assert.equal(connections.take("2001:db8::2"), undefined);
  assert.ok(connections.take("fe80::1%eth0"));
});

test("HostConnections does not count those of this host, which may be a proxy's", () => {
  const connections = new HostConnections(1);
  for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1", undefined]) {
    for (let count = 0; count < 3; count += 1) {
      assert.ok(connections.take(address));
    }
  }
  assert.equal(connections.hosts, 0);
});

test("HostConnections remembers no host that is gone", () => {
  const connections = new HostConnections(3);
  const back = Array.from({ length: 1_000 }, (_, index) =>
    connections.take(`10.0.${index >> 8}.${index & 255}`),
  );
  assert.equal(connections.hosts, 1_000);
  for (const give of back) {
    give?.();
  }
  assert.equal(connections.hosts, 0);
});
