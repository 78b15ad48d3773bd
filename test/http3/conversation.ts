// Conversations between two HTTP/3 cores, as what reached one of them: the bytes and events of each stream in the order of
// their arrival, and between them what its application did. They can be played again to a new core, changed or not.

import assert from "node:assert/strict";
import { H3 } from "../../src/http3/h3-error.ts";
import type { Http3CoreOptions } from "../../src/http3/http3-core.ts";
import type { FieldSection } from "../../src/http3/qpack/field.ts";
import type { MessageHandler, RequestStream } from "../../src/http3/request-stream.ts";
import { PeerOf, type PeerStream } from "../support/http3-peer.ts";
import { type Arrival, JoinedCores, type Side } from "../support/joined-cores.ts";
import { Heard } from "./heard.ts";

/** What an application does. `request` counts the requests of the conversation from 0. */
export type Act =
  | { readonly type: "request"; readonly fields: FieldSection }
  | {
      readonly type: "answer";
      readonly request: number;
      readonly fields: FieldSection;
      readonly interim?: FieldSection;
      /** Does not wait for the end of the request. */
      readonly early?: true;
    }
  | { readonly type: "content"; readonly request: number; readonly bytes: Uint8Array }
  | { readonly type: "trailers"; readonly request: number; readonly fields: FieldSection }
  | { readonly type: "end" | "cancel" | "stopReceiving"; readonly request: number }
  | { readonly type: "goaway" };

export type Step = Arrival | { readonly type: "act"; readonly act: Act };

export interface Conversation {
  readonly name: string;
  /** Whose core all of this reaches. */
  readonly side: Side;
  readonly options: Partial<Http3CoreOptions>;
  readonly steps: readonly Step[];
}

/** What stands on a core: sends and answers requests as it is told, and remembers what it heard. */
class Application {
  /** By the number of the request; undefined when nothing of it was heard. */
  readonly heard: (Heard | undefined)[] = [];
  readonly #peer: () => PeerOf;
  readonly #streams: (RequestStream | undefined)[] = [];

  constructor(peer: () => PeerOf) {
    this.#peer = peer;
  }

  /** For the options of the core. */
  readonly onRequest = (stream: RequestStream): MessageHandler => {
    const heard = new Heard("request", this.#mayHear);
    this.#streams[stream.id / 4] = stream;
    this.heard[stream.id / 4] = heard;
    return heard;
  };

  readonly #mayHear = (): boolean => this.#peer().closedWith === undefined;

  /** False when the act has to wait for something to arrive. */
  isReady(act: Act): boolean {
    if (act.type === "request" || act.type === "goaway") {
      return true;
    }
    const heard = this.heard[act.request];
    return (
      heard !== undefined &&
      (act.type !== "answer" || act.early === true || heard.outcome !== "open")
    );
  }

  /** Has no effect when there is nothing to do it on. */
  act(act: Act): void {
    const { core } = this.#peer();
    if (act.type === "goaway") {
      core.goaway();
      return;
    }
    if (act.type === "request") {
      const method = act.fields.find(([name]) => name === ":method")?.[1];
      const heard = new Heard("response", this.#mayHear, method);
      this.heard.push(heard);
      this.#streams.push(core.request(act.fields, heard));
      return;
    }
    const stream = this.#streams[act.request];
    if (stream === undefined) {
      return;
    }
    switch (act.type) {
      case "answer":
        if (act.interim !== undefined) {
          stream.sendHeaders(act.interim);
        }
        stream.sendHeaders(act.fields);
        return;
      case "content":
        stream.sendData(act.bytes);
        return;
      case "trailers":
        stream.sendTrailers(act.fields);
        return;
      case "end":
        stream.end();
        return;
      case "cancel":
        stream.cancel(H3.REQUEST_CANCELLED);
        this.heard[act.request]?.giveUp();
        return;
      case "stopReceiving":
        stream.stopReceiving(H3.NO_ERROR);
        this.heard[act.request]?.giveUp();
        return;
      default:
        act satisfies never;
    }
  }
}

/** Plays a conversation to a core of its own. */
export class Player {
  readonly peer: PeerOf;
  readonly #side: Side;
  readonly #application: Application = new Application(() => this.peer);
  readonly #peerStreams: Map<number, PeerStream> = new Map();

  constructor({ side, options }: Pick<Conversation, "side" | "options">) {
    this.#side = side;
    const { onRequest } = this.#application;
    this.peer = new PeerOf({ role: side, ...options, onRequest });
  }

  /** By the number of the request; undefined when nothing of it was heard. */
  get heard(): readonly (Heard | undefined)[] {
    return this.#application.heard;
  }

  step(step: Step): void {
    if (step.type === "act") {
      this.#application.act(step.act);
    } else {
      this.#arrive(step);
    }
    this.peer.settle();
  }

  /** Whether the step makes sense now: there is the stream that it is about, or the request that it answers. */
  isReady(step: Step): boolean {
    return step.type === "act"
      ? this.#application.isReady(step.act)
      : this.#isOfPeer(step.streamId) || this.#ownStream(step.streamId) !== undefined;
  }

  /** Whether the core leaves what arrives on a stream where it is. */
  isHeldBack(streamId: number): boolean {
    const stream = this.#streamOf(streamId);
    return (
      stream?.stopCode === undefined && stream?.core?.wantsBytes === false && stream.unread > 0
    );
  }

  #arrive(arrival: Arrival): void {
    const stream = this.#streamOf(arrival.streamId);
    switch (arrival.type) {
      case "bytes":
        stream?.send(arrival.bytes, { fin: arrival.fin });
        return;
      case "reset":
        stream?.sendReset(arrival.code);
        return;
      case "stop":
        stream?.sendStop(arrival.code);
        stream?.reset(arrival.code);
        return;
      case "acknowledged":
        stream?.acknowledge();
        return;
      default:
        arrival satisfies never;
    }
  }

  #streamOf(streamId: number): PeerStream | undefined {
    return this.#isOfPeer(streamId) ? this.#peerStream(streamId) : this.#ownStream(streamId);
  }

  #isOfPeer(streamId: number): boolean {
    return (streamId & 1) === (this.#side === "server" ? 0 : 1);
  }

  #ownStream(streamId: number): PeerStream | undefined {
    return this.peer.opened.find(({ id }) => id === streamId);
  }

  /** What is heard first of a stream opens all before it as well (RFC 9000 §2.1). */
  #peerStream(streamId: number): PeerStream | undefined {
    while (!this.#peerStreams.has(streamId)) {
      const stream = this.peer.open((streamId & 2) === 0 ? "bidirectional" : "unidirectional");
      this.#peerStreams.set(stream.id, stream);
    }
    return this.#peerStreams.get(streamId);
  }
}

export function play({ steps, ...conversation }: Conversation): Player {
  const player = new Player(conversation);
  for (const step of steps) {
    player.step(step);
  }
  return player;
}

export interface Scene {
  readonly name: string;
  readonly client: Partial<Http3CoreOptions>;
  readonly server: Partial<Http3CoreOptions>;
  /** Who does what; the channel carries over everything after each act. */
  readonly script: readonly (readonly [Side, Act])[];
  /** For the channel. */
  readonly random: () => number;
  readonly slow?: number;
}

/** Plays a scene between two cores; returns it as it reached either side. */
export function record(scene: Scene): Conversation[] {
  const { name, client, server, script, random, slow = 0 } = scene;
  const applications: Record<Side, Application> = {
    client: new Application(() => cores.client),
    server: new Application(() => cores.server),
  };
  const { onRequest } = applications.server;
  const cores = new JoinedCores(random, { client, server: { ...server, onRequest }, slow });
  const steps: Record<Side, Step[]> = { client: [], server: [] };
  cores.onArrival = (at, arrival) => {
    steps[at].push(arrival);
  };
  cores.run();
  for (const [side, act] of script) {
    assert.ok(
      applications[side].isReady(act),
      `${name}: the ${side}'s ${act.type} is in its place`,
    );
    steps[side].push({ type: "act", act });
    applications[side].act(act);
    cores.run();
  }
  for (const { closedWith } of [cores.client, cores.server]) {
    assert.equal(closedWith, undefined, `${name} is in order: ${closedWith?.reason}`);
  }
  return [
    { name: `${name}, at the client`, side: "client", options: client, steps: steps.client },
    { name: `${name}, at the server`, side: "server", options: server, steps: steps.server },
  ];
}
