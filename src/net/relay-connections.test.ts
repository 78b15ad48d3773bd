import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseRelayUrl, type RelayUrl } from "../identity/relay-url.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { RelayCore } from "../relay/server/relay-core.ts";
import { MemoryChannels } from "../testing/memory-channel.ts";
import { acceptAtRelay } from "../testing/memory-relay.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import { type RelayAccess, RelayConnections } from "./relay-connections.ts";

const url = (name: string): RelayUrl => parseRelayUrl(`https://${name}.test./`);
const home = url("home");
const away = url("away");

/** Any number of relays, each made when somebody connects there, and those who use them. */
class Scene {
  readonly platform = new VirtualPlatform(1);
  readonly cores = new Map<string, RelayCore>();
  /** The `Authorization` of each attempt to connect. */
  readonly authorizations: (string | undefined)[] = [];
  readonly channels = new MemoryChannels({
    platform: this.platform,
    accept: (request) => {
      this.authorizations.push(request.options.headers?.authorization);
      const { hostname } = request.url;
      const core = this.cores.get(hostname) ?? new RelayCore({ platform: this.platform });
      this.cores.set(hostname, core);
      return acceptAtRelay(core)(request);
    },
  });

  join(seed: number, access: ReadonlyMap<RelayUrl, RelayAccess> = new Map()) {
    const secretKey = SecretKey.fromBytes(new Uint8Array(32).fill(seed));
    const received: string[] = [];
    const states: string[] = [];
    const connections = new RelayConnections({
      secretKey,
      platform: this.platform,
      openChannel: this.channels.open,
      access,
      handler: {
        datagrams: (from, peer, bytes) =>
          received.push(`${peer.short} ${from} ${new TextDecoder().decode(bytes)}`),
        stateChanged: (relay, { type }) => states.push(`${relay} ${type}`),
      },
    });
    return { connections, received, states, id: secretKey.publicKey };
  }

  clients(relay: RelayUrl): number {
    return this.cores.get(new URL(relay).hostname)?.clients ?? 0;
  }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("RelayConnections", () => {
  it("keeps the home relay for good, and leaves others a minute after they were used last", () => {
    const scene = new Scene();
    const { connections, id } = scene.join(1);
    connections.setHome(home);
    connections.send(away, id, bytes("a"), 1);
    scene.platform.runFor(50_000);
    connections.send(away, id, bytes("b"), 1);
    scene.platform.runFor(50_000);
    assert.deepEqual([scene.clients(home), scene.clients(away)], [1, 1]);
    scene.platform.runFor(80_000);
    assert.deepEqual([scene.clients(home), scene.clients(away)], [1, 0]);
    assert.equal(connections.state(away), undefined);
    scene.platform.runFor(3_600_000);
    assert.equal(connections.state(home)?.type, "connected");
  });

  it("lets the home relay go when there is another one", () => {
    const scene = new Scene();
    const { connections } = scene.join(1);
    connections.setHome(home);
    scene.platform.runFor(1_000);
    connections.setHome(away);
    scene.platform.runFor(130_000);
    assert.deepEqual([scene.clients(home), scene.clients(away)], [0, 1]);
    assert.equal(connections.home, away);
  });

  it("brings datagrams to who is at the same relay, what was sent before it is connected too", () => {
    const scene = new Scene();
    const one = scene.join(1);
    const other = scene.join(2);
    other.connections.setHome(home);
    scene.platform.runFor(1_000);
    one.connections.send(home, other.id, bytes("hello"), 5);
    scene.platform.runFor(1_000);
    assert.deepEqual(other.received, [`${one.id.short} ${home} hello`]);
    assert.deepEqual(one.states, [`${home} connected`]);
    assert.ok((one.connections.latencyMs(home) ?? 0) > 0);
  });

  it("tells only that relay the token that is meant for it", () => {
    const scene = new Scene();
    const { connections } = scene.join(1, new Map([[home, { authToken: "secret" }]]));
    connections.setHome(home);
    connections.connect(away);
    scene.platform.runFor(1_000);
    assert.deepEqual(scene.authorizations, ["Bearer secret", undefined]);
  });

  it("is at 32 relays at most, however many peers name, and at the home relay always", () => {
    const scene = new Scene();
    const { connections, id } = scene.join(1);
    for (let number = 0; number < 100; number += 1) {
      connections.send(url(`relay${number}`), id, bytes("x"), 1);
    }
    connections.setHome(home);
    scene.platform.runFor(1_000);
    assert.equal(scene.channels.links.size, 33);
    assert.equal(connections.state(home)?.type, "connected");
    assert.equal(connections.state(url("relay99")), undefined);
  });

  it("leaves no connection and no timer behind when it is closed", () => {
    const scene = new Scene();
    const { connections, id } = scene.join(1);
    connections.setHome(home);
    connections.connect(away);
    scene.platform.runFor(1_000);
    connections.close();
    connections.close();
    connections.send(away, id, bytes("late"), 4);
    connections.setHome(away);
    scene.platform.runFor(1_000);
    assert.equal(scene.channels.links.size, 0);
    assert.equal(
      scene.platform.run(() => false, 3_600_000),
      false,
    );
    assert.ok(scene.platform.now() < 60_000, "a timer is left");
  });
});
