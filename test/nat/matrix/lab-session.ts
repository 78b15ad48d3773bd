import { peerPort } from "../lab/address-plan.ts";
import { LabNetwork } from "../lab/lab-network.ts";
import type { LabService } from "../lab/lab-service.ts";
import {
  directory,
  relayUrl,
  startDirectory,
  startRelay,
  startStun,
  stunServer,
} from "../lab/services.ts";
import { type HostName, hostNames } from "../lab/topology.ts";
import { PeerProcess } from "../peer/peer-process.ts";
import type { PathKind, PeerEvent } from "../peer/peer-protocol.ts";
import type { Cell } from "./cells.ts";
import type { Pairing } from "./pairs.ts";

/** A network with its services, and the two peers in it: `a` has dialed `b`. Owned by who opened it. */
export class LabSession implements AsyncDisposable {
  readonly network: LabNetwork;
  readonly relay: LabService;
  readonly peers: Readonly<Record<HostName, PeerProcess>>;

  private constructor(
    network: LabNetwork,
    relay: LabService,
    peers: Readonly<Record<HostName, PeerProcess>>,
  ) {
    this.network = network;
    this.relay = relay;
    this.peers = peers;
  }

  /** Builds everything and lets `a` dial. Rejects when the laboratory fails; that the peers do is to be seen later. */
  static async open(cell: Cell, pairing: Pairing): Promise<LabSession> {
    const { topology, delayMs = usualDelayMs, lossPercent = 0 } = cell;
    const network = await LabNetwork.create(topology, { delayMs });
    try {
      const relay = await startRelay(network);
      await startStun(network);
      if (cell.byId) {
        await startDirectory(network);
      }
      const peers = {
        a: PeerProcess.start(network, "a", pairing.a),
        b: PeerProcess.start(network, "b", pairing.b),
      };
      const session = new LabSession(network, relay, peers);
      await network.setTrouble({ lossPercent });
      await session.#startPeers(cell);
      return session;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  /** Which way bytes come to a host, by the kernel's count over a second; undefined when next to none come. */
  async observedPath(host: HostName): Promise<PathKind | undefined> {
    const before = await this.network.traffic(host);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const after = await this.network.traffic(host);
    const direct = after.direct - before.direct;
    const relayed = after.relayed - before.relayed;
    return direct + relayed < 1_000 ? undefined : direct > relayed ? "direct" : "relay";
  }

  close(): Promise<void> {
    return this.network.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #startPeers({ byId = false }: Cell): Promise<void> {
    const { hosts } = this.network.topology;
    const ipv6 = hostNames.some((host) => hosts[host].families === "ipv6");
    const family = ipv6 ? "ipv6" : "ipv4";
    for (const host of hostNames) {
      const { families = "ipv4" } = hosts[host];
      const external = this.network.externalAddress(host);
      this.peers[host].send({
        type: "start",
        bind: [
          ...(families === "ipv6" ? [] : [`0.0.0.0:${peerPort}`]),
          ...(families === "ipv4" ? [] : [`[::]:${peerPort}`]),
        ],
        relay: relayUrl[family],
        stun: [
          ...(families === "ipv6" ? [] : [stunServer.ipv4]),
          ...(families === "ipv4" ? [] : [stunServer.ipv6]),
        ],
        external: external === undefined ? [] : [external],
        ...(byId && { directory }),
      });
    }
    const [, dialed] = await Promise.all([untilReady(this.peers.a), untilReady(this.peers.b)]);
    this.peers.a.send({ type: "dial", target: byId ? dialed.id : dialed.ticket });
  }
}

async function untilReady(peer: PeerProcess): Promise<Extract<PeerEvent, { type: "ready" }>> {
  const ready = await peer.until(() => peer.last("ready"), readyTimeoutMs);
  if (ready === undefined) {
    throw new Error(`peer ${peer.host} (${peer.kind}) is not ready after ${readyTimeoutMs} ms`);
  }
  return ready;
}

/** A host and the middle of the internet are that far apart: 40 ms there and back between peers, 80 over a relay. */
export const usualDelayMs = 10;

const readyTimeoutMs = 30_000;
