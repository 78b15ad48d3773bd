// Who is at the other end of a tunnel between peers.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  Code,
  type ContextValues,
  createClient,
  createContextKey,
  createContextValues,
  createRouterTransport,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import { callerKey, createQuicTransport, peerKey } from "../../src/index.ts";
import {
  createTunnelHost,
  type ReverseTunnel,
  serveReverseTunnel,
  type TunnelHost,
  TunnelService,
  tunnelKey,
} from "../../src/tunnel.ts";
import { EchoService, echoImplementation } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { HubLab, type Party } from "../support/hub-and-device.ts";

const passOn: Interceptor = (next) => next;
const note = createContextKey("");

/** Opens a reverse tunnel, serves the echo service in it, and keeps what its handlers find. */
async function openTunnel(transport: Transport, host: TunnelHost, back = host.transport()) {
  const seen: ContextValues[] = [];
  const server = serveReverseTunnel(
    createClient(TunnelService, transport),
    (router) => {
      router.service(EchoService, {
        echo: ({ message }, { values }) => {
          seen.push(values);
          return { message };
        },
      });
    },
    {
      headers: { kiosk: "7" },
      contextValues: createContextValues().set(note, "for interceptors of the transport"),
    },
  );
  await server.opened;
  await back.waitForReady();
  // Tunnels of a host take turns.
  for (let calls = 0; calls < 100 && seen.length === 0; calls++) {
    await createClient(EchoService, back).echo({});
  }
  const [values] = seen;
  assert.ok(values !== undefined, "the handler was called");
  return { server, values };
}

const ways: Readonly<Record<string, (lab: HubLab, device: Party) => Transport>> = {
  "that was dialed": (lab, device) => lab.connect(device),
  "that was dialed in gRPC, with an interceptor": (lab, device) =>
    lab.connect(device, { protocol: "grpc", interceptors: [passOn] }),
  "that calls back, too": (lab, device) => lab.connect(device, { serve: device.router }),
  "that was picked from those of a service": (lab, device) =>
    createQuicTransport({
      endpoint: device.endpoint,
      service: TunnelService,
      via: [lab.hub.endpoint.ticket()],
    }),
};

describe("a handler that is called through a reverse tunnel knows the peer", () => {
  for (const [name, connect] of Object.entries(ways)) {
    test(name, async () => {
      await HubLab.run({}, async (lab) => {
        const host = createTunnelHost();
        lab.hub.router.service(TunnelService, host.service);
        const device = await lab.party();
        const { server, values } = await openTunnel(connect(lab, device), host);
        const peer = values.get(peerKey);
        assert.ok(peer.id.equals(lab.hub.endpoint.id), "it is the hub");
        assert.equal(values.get(callerKey), peer);
        assert.ok([...device.endpoint.connections].includes(peer.connection));
        assert.equal(values.get(tunnelKey)?.direction, "reverse");
        assert.equal(values.get(tunnelKey)?.header.get("kiosk"), "7");
        assert.equal(values.get(note), "", "that was not for handlers");
        const { message } = await createClient(EchoService, peer.transport()).echo({
          message: "back",
        });
        assert.equal(message, "back");
        await server.close();
        await host.close();
      });
    });
  }

  test("on whose connection it was opened the other way round", async () => {
    await HubLab.run({}, async (lab) => {
      const host = createTunnelHost();
      const device = await lab.device();
      device.router.service(TunnelService, host.service);
      const back = (await lab.peerOf(device)).transport();
      const { server, values } = await openTunnel(back, host);
      assert.ok(values.get(peerKey).id.equals(device.endpoint.id), "it is the device");
      await server.close();
      await host.close();
    });
  });

  test("and nobody where there is no peer", async () => {
    const host = createTunnelHost();
    const transport = createRouterTransport((router) =>
      router.service(TunnelService, host.service),
    );
    const { server, values } = await openTunnel(transport, host);
    assert.equal(values.get(callerKey), undefined);
    assert.throws(() => values.get(peerKey).id, /no peer/);
    assert.equal(values.get(tunnelKey)?.header.get("kiosk"), "7");
    await server.close();
    await host.close();
  });
});

test("its peer is called on that connection, also by tunnels, and not when it is lost", async () => {
  await HubLab.run({}, async (lab) => {
    const host = createTunnelHost();
    lab.hub.router.service(TunnelService, host.service);
    const device = await lab.party();
    const { server, values } = await openTunnel(lab.connect(device), host);
    const peer = values.get(peerKey);
    const again = await openTunnel(peer.transport(), host);
    assert.ok(again.values.get(peerKey).id.equals(peer.id), "it is the hub");
    await peer.connection.close({ timeoutMs: 0 });
    await server.closed;
    await again.server.closed;
    const echo = createClient(EchoService, peer.transport());
    await assert.rejects(echo.echo({}), hasCode(Code.Unavailable));
  });
});

test("a host knows the peer that opened a reverse tunnel, in its hooks and its list", async () => {
  const opened: ReverseTunnel[] = [];
  const keys: string[] = [];
  const host = createTunnelHost({
    affinityKey: ({ values }) => {
      const key = values.get(peerKey).id.toString();
      keys.push(key);
      return key;
    },
    onReverseTunnelOpen: (tunnel) => opened.push(tunnel),
  });
  await HubLab.run({}, async (lab) => {
    lab.hub.router.service(TunnelService, host.service);
    const devices = [await lab.party(), await lab.party()];
    for (const device of devices) {
      const back = host.transportTo(device.endpoint.id.toString());
      await openTunnel(lab.connect(device), host, back);
    }
    const ids = devices.map(({ endpoint }) => endpoint.id.toString());
    assert.deepEqual(keys, ids);
    for (const tunnels of [opened, host.reverseTunnels]) {
      assert.deepEqual(
        tunnels.map(({ values }) => values.get(peerKey).id.toString()),
        ids,
      );
    }
    for (const [index, { values }] of host.reverseTunnels.entries()) {
      const { connection } = values.get(peerKey);
      assert.ok([...lab.hub.endpoint.connections].includes(connection));
      const client = createClient(EchoService, host.transportTo(ids[index]));
      assert.equal((await client.echo({ message: "you" })).message, "you");
    }
    await host.close();
  });
});

test("the same context values can be used for calls that are no tunnels", async () => {
  await HubLab.run({ implementation: echoImplementation }, async (lab) => {
    const device = await lab.party();
    const contextValues = createContextValues().set(note, "mine");
    await createClient(EchoService, lab.connect(device)).echo({}, { contextValues });
    assert.equal(contextValues.get(peerKey), peerKey.defaultValue);
    assert.equal(contextValues.get(note), "mine");
  });
});
