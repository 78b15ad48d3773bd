// Networks by seed: two peers somewhere, things that happen, and calls all the while.

import assert from "node:assert/strict";
import { createClient } from "@connectrpc/connect";
import { createPeerRouter, createQuicTransport, Endpoint } from "../../src/index.ts";
import {
  type AttachOptions,
  createTestNetwork,
  type LinkOptions,
  type NatKind,
  type TestHost,
  type TestNat,
  type TestNetwork,
  type TestRelay,
} from "../../src/testing.ts";
import { EchoService, echoImplementation } from "../support/echo-service.ts";

/** What has become of a network; `failure` tells what was lost. */
export interface Outcome {
  readonly seed: number;
  /** For people: where the peers were, and what happened when. */
  readonly story: readonly string[];
  readonly calls: number;
  /** What has crossed the network over UDP: where it came from, when, how much. A number out of all of it. */
  readonly traffic: number;
  readonly failure: string | undefined;
}

/** Between calls. */
const callIntervalMs = 100;
/** How long each event is given before the next one. */
const settleMs = 1_500;
/**
 * So long after the last event every call has its answer. Mostly it takes a second or two, rarely more than 8 s (seed
 * 10261): the engine waits for three probe timeouts before it sends what was lost with a path again, and an acknowledgement
 * that came late by another path can make each of them several seconds long.
 */
const patienceMs = 20_000;

/** Plays the network of a seed. */
export async function playRandomNetwork(seed: number): Promise<Outcome> {
  const network = createTestNetwork({ seed });
  const dice = new Dice(seed);
  const story: string[] = [];
  const scene = new Scene(network, dice, story);
  let calls = 0;
  let traffic = 0;
  network.tap = ({ from, bytes }) => {
    for (const number of [network.now * 1_000, from.port, bytes.length, ...bytes.subarray(-4)]) {
      traffic = (Math.imul(traffic, 31) + Math.round(number)) | 0;
    }
    return bytes;
  };
  let failure: string | undefined;
  const play = async (): Promise<void> => {
    const server = await Endpoint.bind(scene.server.options);
    createPeerRouter(server).service(EchoService, echoImplementation);
    const client = await Endpoint.bind(scene.client.options);
    await Promise.all([server.online(), client.online()]);
    const transport = createQuicTransport({ endpoint: client, to: server.addr() });
    const { echo } = createClient(EchoService, transport);
    const waiting = new Map<number, number>();
    let isOver = false;
    let isAnswered = false;
    const call = async (number: number): Promise<void> => {
      waiting.set(number, network.now);
      try {
        assert.equal((await echo({ message: `${number}` })).message, `${number}`);
      } catch (error) {
        failure ??= `call ${number} at ${Math.round(network.now)} ms: ${error}`;
      }
      isAnswered = true;
      waiting.delete(number);
    };
    const tick = (): void => {
      if (!isOver) {
        calls += 1;
        void call(calls);
        void network.advance(callIntervalMs).then(tick);
      }
    };
    tick();
    while (!isAnswered) {
      await network.advance(callIntervalMs);
    }
    // Until there is a second path: a connection whose only one dies is lost.
    await network.advance(settleMs);
    for (let events = dice.below(3); events > 0; events -= 1) {
      await scene.happen();
      await network.advance(settleMs);
    }
    isOver = true;
    const deadline = network.now + patienceMs;
    while (waiting.size > 0 && network.now < deadline) {
      await network.advance(callIntervalMs);
    }
    if (waiting.size > 0) {
      failure ??= `calls without an answer after ${patienceMs} ms: ${[...waiting.keys()].join(", ")}`;
    }
    await transport.close({ timeoutMs: 0 });
    await Promise.all([client.close({ timeoutMs: 0 }), server.close({ timeoutMs: 0 })]);
  };
  try {
    await network.run(play, { limitMs: 600_000 });
  } catch (error) {
    failure ??= `${error}`;
  }
  return { seed, story, calls, traffic, failure };
}

/** A network, its two peers, and what can happen to them. */
class Scene {
  readonly client: TestHost;
  readonly server: TestHost;
  readonly #network: TestNetwork;
  readonly #dice: Dice;
  readonly #story: string[];
  readonly #nats: TestNat[] = [];
  readonly #relay: TestRelay;

  constructor(network: TestNetwork, dice: Dice, story: string[]) {
    this.#network = network;
    this.#dice = dice;
    this.#story = story;
    this.#relay = network.relay({ link: this.#link() });
    if (dice.chance(0.3)) {
      network.relay({ link: this.#link() });
      story.push("two relays");
    }
    const shared = dice.chance(0.2) ? this.#nat(undefined) : undefined;
    this.client = network.host({ name: "client", ...this.#place("client", shared) });
    this.server = network.host({ name: "server", ...this.#place("server", shared) });
  }

  async happen(): Promise<void> {
    const { event, name } = this.#event();
    this.#story.push(`${Math.round(this.#network.now)} ms: ${name}`);
    await event();
  }

  #event(): { readonly name: string; readonly event: () => void | Promise<void> } {
    const network = this.#network;
    const who = this.#dice.of([this.client, this.server]);
    const events = [
      {
        name: "the direct path is cut",
        event: () => network.cut(this.client, this.server),
      },
      {
        name: "the direct path loses half",
        event: () => network.between(this.client, this.server, { loss: 0.5 }),
      },
      { name: "the way is healed", event: () => network.heal(this.client, this.server) },
      {
        name: `${who.name} moves`,
        event: () => who.move(this.#place(who.name, undefined)),
      },
      {
        name: "relay killed and started",
        event: async () => {
          this.#relay.kill();
          await network.advance(500);
          this.#relay.start();
        },
      },
      { name: "relay restarts", event: () => this.#relay.restart({ afterMs: 300 }) },
      {
        name: `${who.name} frozen for 3 s`,
        event: async () => {
          who.freeze();
          await network.advance(3_000);
          who.resume();
        },
      },
      {
        name: `${who.name} sleeps for 3 s`,
        event: async () => {
          who.sleep();
          await network.advance(3_000);
          who.resume();
        },
      },
      ...this.#nats.flatMap((nat, index) => [
        { name: `NAT ${index} forgets`, event: () => nat.forget() },
        {
          name: `NAT ${index} is switched off and on`,
          event: () => nat.reboot({ newAddress: this.#dice.chance(0.5) }),
        },
        {
          name: `NAT ${index} blocks UDP`,
          event: () => {
            nat.udp = "blocked";
          },
        },
      ]),
    ];
    return this.#dice.of(events);
  }

  #place(name: string, shared: TestNat | undefined): AttachOptions {
    const behind = shared ?? (this.#dice.chance(0.75) ? this.#nat(undefined) : undefined);
    const nested = behind !== undefined && this.#dice.chance(0.2) ? this.#nat(behind) : behind;
    const ipv6 = this.#dice.chance(0.3) && (nested === undefined || nested.ipv6);
    const link = this.#link();
    this.#story.push(
      `${name} ${nested === undefined ? "open" : `behind NAT ${this.#nats.indexOf(nested)}`}${ipv6 ? " with IPv6" : ""}`,
    );
    return { ...(nested === undefined ? {} : { behind: nested }), ipv6, link };
  }

  #nat(behind: TestNat | undefined): TestNat {
    const kind = this.#dice.of<NatKind>(["home", "full-cone", "symmetric", "carrier"]);
    const nat = this.#network.nat({
      kind,
      ...(behind === undefined ? {} : { behind }),
      ipv6: this.#dice.chance(0.3) && (behind === undefined || behind.ipv6),
      udp: this.#dice.chance(0.1) ? "blocked" : "allowed",
      hairpinning: this.#dice.chance(0.5),
    });
    this.#story.push(`NAT ${this.#nats.length}: ${kind}${nat.udp === "blocked" ? ", no UDP" : ""}`);
    this.#nats.push(nat);
    return nat;
  }

  #link(): Partial<LinkOptions> {
    return {
      delayMs: this.#dice.of([1, 5, 10, 40, 100]),
      jitterMs: this.#dice.of([0, 0, 2]),
      loss: this.#dice.of([0, 0, 0, 0.01, 0.05]),
    };
  }
}

/** Apart from those of the network, so that what is chosen does not depend on what is sent. */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0;
    this.below(2);
  }

  below(limit: number): number {
    // mulberry32
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let value = this.#state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return Math.floor((((value ^ (value >>> 14)) >>> 0) / 2 ** 32) * limit);
  }

  chance(share: number): boolean {
    return this.below(1_000) < share * 1_000;
  }

  of<T>(options: readonly T[]): T {
    const chosen = options[this.below(options.length)];
    assert.ok(chosen !== undefined);
    return chosen;
  }
}
