// The peers of bench/rendezvous.ts, all in this process: each has a key and a registration that it keeps.

import { setTimeout as sleep } from "node:timers/promises";
import type { Transport } from "@connectrpc/connect";
import { EndpointAddr } from "../src/identity/endpoint-addr.ts";
import { Endpoint, SecretKey } from "../src/index.ts";
import type {
  KeptRegistration,
  RegisteringPeer,
  RegistrationState,
} from "../src/rendezvous/kept-registration.ts";
import { Rendezvous } from "../src/rendezvous/rendezvous.ts";
import { answerLines } from "./line-process.ts";
import type { PlaceAddress } from "./rendezvous-place.ts";
import { entrySum, sumOf } from "./rendezvous-sum.ts";
import { overHttp, overQuic } from "./rendezvous-ways.ts";

/** A line of stdin. */
export type PeersCommand =
  | {
      readonly type: "register";
      readonly places: readonly PlaceAddress[];
      /** Over connections that many of them share. */
      readonly http: number;
      readonly connections: number;
      /** Each by an endpoint of its own. */
      readonly quic: number;
      /** Registrations that are under way at a time. */
      readonly atOnce: number;
      /** 0: what the place gives. */
      readonly leaseMs: number;
    }
  /** Makes changes, numbered from `first` on, so many in a second. */
  | {
      readonly type: "change";
      readonly first: number;
      readonly count: number;
      readonly perSecond: number;
      /** Every fourth change is a peer that goes, and every fourth a new one. */
      readonly comeAndGo: boolean;
    }
  /** Says what watchers have to know by now. */
  | { readonly type: "expected" };

export interface PeersAnswer {
  readonly ms: number;
  readonly peers: number;
  /** See rendezvous-sum.ts. */
  readonly sum: number;
  /** Leases that a place did not know any more. */
  readonly lost: number;
  /** Errors since the last answer, by what they say. */
  readonly errors: Readonly<Record<string, number>>;
}

interface Peer {
  readonly registration: KeptRegistration;
  change: number;
}

const peers: Peer[] = [];
/** Connections over HTTP that peers share. */
let shared: readonly Transport[] = [];
let leaseMs = 0;
let lost = 0;
let errors: Record<string, number> = {};
/** Who has changed last: each peer has its turn. */
let turn = 0;

function join(peer: RegisteringPeer, transport: Transport, change: number): Peer {
  let registered = change;
  let before: RegistrationState["type"] = "registering";
  const joined = { change };
  const registration = new Rendezvous({ transport }).register(peer, {
    services: ["echo.v1.EchoService", `team${peers.length % 100}.v1.Service`],
    labels: labelsOf(change),
    leaseMs,
    onError: (error) => {
      const text = String(error).slice(0, 120);
      errors[text] = (errors[text] ?? 0) + 1;
    },
    onState: ({ type }) => {
      if (type === "registering") {
        lost += before === "registered" && joined.change === registered ? 1 : 0;
        registered = joined.change;
      }
      before = type;
    },
  });
  const known = Object.assign(joined, { registration });
  peers.push(known);
  return known;
}

function labelsOf(change: number): Record<string, string> {
  return { change: String(change), zone: `zone-${change % 10}` };
}

/** A peer that has an address and nothing behind it. */
function paperPeer(): RegisteringPeer {
  const secretKey = SecretKey.generate();
  const addr = EndpointAddr.from({ id: secretKey.publicKey, addrs: ["192.0.2.1:4433"] });
  return { secretKey, addr: () => addr };
}

async function register({
  places,
  http,
  connections,
  quic,
  atOnce,
}: PeersCommand & { readonly type: "register" }): Promise<void> {
  shared = Array.from({ length: Math.min(connections, http) }, (_, index) =>
    overHttp(places, index),
  );
  const joins = [
    ...Array.from({ length: http }, (_, index) => async () => {
      const transport = shared[index % shared.length];
      return transport && join(paperPeer(), transport, 0);
    }),
    ...Array.from({ length: quic }, (_, index) => async () => {
      const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
      return join(endpoint, overQuic(endpoint, places, index), 0);
    }),
  ].values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const next of joins) {
        await (await next())?.registration.ready();
      }
    }),
  );
}

async function change({
  first,
  count,
  perSecond,
  comeAndGo,
}: PeersCommand & { readonly type: "change" }): Promise<void> {
  const startMs = performance.now();
  const leaving: Promise<void>[] = [];
  for (let done = 0; done < count; done += 1) {
    await sleep(Math.max(0, startMs + (done * 1_000) / perSecond - performance.now()));
    const peer = peers[turn % peers.length];
    const transport = shared[done % shared.length];
    if (peer === undefined) {
      return;
    }
    if (comeAndGo && done % 4 === 1) {
      peers.splice(turn % peers.length, 1);
      leaving.push(peer.registration.close({ timeoutMs: 60_000 }));
    } else if (comeAndGo && done % 4 === 3 && transport !== undefined) {
      join(paperPeer(), transport, first + done);
    } else {
      turn += 1;
      peer.change = first + done;
      peer.registration.update({ labels: labelsOf(peer.change) });
    }
  }
  await Promise.all(leaving);
}

async function answer(command: PeersCommand): Promise<PeersAnswer> {
  const startMs = performance.now();
  switch (command.type) {
    case "register":
      ({ leaseMs } = command);
      await register(command);
      break;
    case "change":
      await change(command);
      break;
    case "expected":
      break;
  }
  const seen = errors;
  errors = {};
  return {
    ms: performance.now() - startMs,
    peers: peers.length,
    sum: sumOf(peers.map((peer) => entrySum(peer.registration.id.toString(), peer.change))),
    lost,
    errors: seen,
  };
}

await answerLines(answer);
