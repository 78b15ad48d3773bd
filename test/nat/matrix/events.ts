import { setTimeout as sleep } from "node:timers/promises";
import type { HostName, Topology } from "../lab/topology.ts";
import type { PathKind } from "../peer/peer-protocol.ts";
import type { LabSession } from "./lab-session.ts";

/** Something that happens to a connection in use. */
export interface LabEvent {
  readonly name: string;
  readonly about: string;
  readonly topology: Topology;
  /** Which way packets go when it happens. */
  readonly before: PathKind;
  /** Which way they should go when it is over. */
  readonly after: PathKind;
  /** Real iroh does not do that: what it sends may go on as before. Default false. */
  readonly afterByOursAlone?: boolean;
  /** Lets it happen. */
  readonly strike: (session: LabSession) => Promise<void>;
  /** How long to wait for the end of the consequences. Milliseconds. Default 40_000. */
  readonly patienceMs?: number;
}

const natNat: Topology = {
  routers: { home: {}, office: {} },
  hosts: { a: { at: "home" }, b: { at: "office" } },
};

const symmetric = { mapping: "address-and-port-dependent" } as const;

export const labEvents: readonly LabEvent[] = [
  {
    name: "relay-restart-direct",
    about: "the relay is killed and comes back after 2 s, while packets go directly",
    topology: natNat,
    before: "direct",
    after: "direct",
    strike: (session) => restartRelay(session, 2_000),
  },
  {
    name: "relay-restart-relayed",
    about: "the relay is killed and comes back after 1 s, while packets go over it",
    topology: {
      routers: { home: symmetric, office: symmetric },
      hosts: { a: { at: "home" }, b: { at: "office" } },
    },
    before: "relay",
    after: "relay",
    strike: (session) => restartRelay(session, 1_000),
  },
  {
    name: "direct-cut",
    about: "the direct path dies without a word",
    topology: natNat,
    before: "direct",
    after: "relay",
    strike: ({ network }) => network.setTrouble({ directLossPercent: 100 }),
  },
  {
    name: "direct-lossy",
    about: "the direct path begins to lose 40 % of the packets, the relay's does not",
    topology: natNat,
    before: "direct",
    after: "relay",
    // iroh's choice of a path knows no loss.
    afterByOursAlone: true,
    strike: ({ network }) => network.setTrouble({ directLossPercent: 40 }),
    patienceMs: 15_000,
  },
  {
    name: "dialer-moves",
    about: "the dialer leaves its Wi-Fi for another network",
    topology: {
      routers: { home: {}, mobile: {}, office: {} },
      hosts: { a: { at: "home", movesTo: "mobile" }, b: { at: "office" } },
    },
    before: "direct",
    after: "direct",
    strike: (session) => move(session, "a"),
  },
  {
    name: "dialed-moves",
    about: "the dialed one leaves its Wi-Fi for another network",
    topology: {
      routers: { home: {}, mobile: {}, office: {} },
      hosts: { a: { at: "office" }, b: { at: "home", movesTo: "mobile" } },
    },
    before: "direct",
    after: "direct",
    strike: (session) => move(session, "b"),
  },
  {
    name: "dialer-nat-forgets",
    about: "the dialer's NAT forgets its mappings and gives out other ports",
    topology: natNat,
    before: "direct",
    after: "direct",
    strike: (session) => forget(session, "a", "home"),
  },
  {
    name: "dialed-nat-forgets",
    about: "the dialed one's NAT forgets its mappings and gives out other ports",
    topology: natNat,
    before: "direct",
    after: "direct",
    strike: (session) => forget(session, "b", "office"),
  },
  {
    name: "turns-lossy",
    about: "all ways become slow and lossy: 100 ms and 5 %",
    topology: natNat,
    before: "direct",
    after: "direct",
    strike: async ({ network }) => {
      await network.setLink({ delayMs: 50 });
      await network.setTrouble({ lossPercent: 5 });
    },
  },
];

async function restartRelay({ relay }: LabSession, downMs: number): Promise<void> {
  await relay.kill();
  await sleep(downMs);
  await relay.restart();
}

async function move(session: LabSession, host: HostName): Promise<void> {
  const before = session.network.externalAddress(host);
  await session.network.move(host);
  tellExternal(session, host, before);
}

async function forget(session: LabSession, host: HostName, router: string): Promise<void> {
  const before = session.network.externalAddress(host);
  await session.network.forgetMappings(router);
  tellExternal(session, host, before);
}

/** Peers that cannot find out are told at once, quicker than they could ask anybody. */
function tellExternal({ network, peers }: LabSession, host: HostName, before?: string): void {
  const now = network.externalAddress(host);
  peers[host].send({
    type: "external",
    add: now === undefined ? [] : [now],
    remove: before === undefined ? [] : [before],
  });
}
