import { onAbort } from "../base/on-abort.ts";
import { pause } from "../base/pause.ts";
import type { Platform } from "../base/platform.ts";
import type { PublishedAddrs } from "../discovery/pkarr-publisher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { FoundPeer } from "../rendezvous/found-peer.ts";
import type { KeptRegistration, RegistrationState } from "../rendezvous/kept-registration.ts";
import type { Pair } from "../rendezvous/pair.ts";
import { checkName } from "../rendezvous/registration.ts";
import { RendezvousError } from "../rendezvous/rendezvous-error.ts";
import { PairingState, PlaceState } from "./gen/connectquic/worker/v1/console_pb.js";
import { WorkerService } from "./gen/connectquic/worker/v1/worker_pb.js";
import type { MeetingPlace } from "./meeting-place.ts";
import { messageOf } from "./peer-links.ts";
import type { Moment, WorkerState } from "./worker-state.ts";

export interface PlaceMemberOptions {
  readonly place: MeetingPlace;
  readonly endpoint: Endpoint;
  readonly state: WorkerState;
  /** Which addresses others see there. */
  readonly addrs: PublishedAddrs;
  readonly services: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Find a partner out of this pool, and another whenever there is none. Default: when somebody asks. */
  readonly pool?: string | undefined;
  readonly at: () => Moment;
  /** Dials a partner. Returns what to call when the pair is over. Throws a ConnectError. */
  readonly dial: (addr: EndpointAddr) => () => void;
  /** Takes what is told of the place, for people. */
  readonly tell: (text: string, options?: { readonly warning?: boolean }) => void;
}

/** After a failure that another try does not help: perhaps somebody changes the place. Milliseconds. */
const retryMs = 10_000;
/** From the end of a pair to the wait for the next. Milliseconds. */
const betweenPairsMs = 1_000;

/** A worker at a place: registered there, it follows who else is, and finds partners. */
export class PlaceMember {
  readonly #options: PlaceMemberOptions;
  readonly #platform: Platform;
  readonly #registration: KeptRegistration;
  readonly #ending = new AbortController();
  readonly #watching: Promise<void>;
  #search: { readonly left: AbortController; readonly done: Promise<void> } | undefined;

  /** Throws RendezvousError for labels that no place would take. */
  constructor(options: PlaceMemberOptions) {
    const { place, endpoint, state, addrs, services, labels, pool } = options;
    this.#options = options;
    this.#platform = endpoint.platform;
    const { name, rendezvous } = place;
    if (pool !== undefined) {
      checkName("pool", pool);
    }
    state.setPlace({
      name,
      namespace: rendezvous.namespace,
      state: PlaceState.REGISTERING,
      labels: { ...labels },
      services: [...services],
    });
    this.#registration = rendezvous.register(endpoint, {
      addrs,
      services,
      labels,
      onState: (now) => this.#follow(now),
    });
    this.#watching = this.#watch();
    if (pool !== undefined) {
      this.#begin(pool, { again: true });
    }
  }

  /** Waits for a partner out of a pool. Throws RendezvousError for a name that cannot be. */
  findPartner(pool: string): void {
    checkName("pool", pool);
    this.leavePartner();
    this.#begin(pool, { again: false });
  }

  /** Ends the wait, or the pair. False: there is neither. */
  leavePartner(): boolean {
    const search = this.#search;
    this.#search = undefined;
    search?.left.abort(new Error("left here"));
    if (search !== undefined) {
      this.#options.state.setPairing({ state: PairingState.UNSPECIFIED }, this.#options.at());
    }
    return search !== undefined;
  }

  /** Unregisters. Never rejects. */
  async close(): Promise<void> {
    const search = this.#search?.done;
    this.#ending.abort(new Error("the worker closes"));
    this.leavePartner();
    await Promise.all([search, this.#watching, this.#registration.close()]);
  }

  #follow(now: RegistrationState): void {
    const { at, place, state, tell } = this.#options;
    const { state: before, problem: knownProblem } = state.place;
    switch (now.type) {
      case "registering":
        // Until that has an outcome, the last one is what people want to see.
        break;
      case "registered": {
        const problem = now.problem?.rawMessage ?? "";
        state.setPlace({ state: PlaceState.REGISTERED, problem }, at());
        if (before !== PlaceState.REGISTERED) {
          tell(`registered at ${place.name}`);
        } else if (problem === "" && knownProblem !== "") {
          tell(`${place.name} answers again`);
        } else if (problem !== "" && knownProblem === "") {
          tell(`${place.name} does not answer: ${problem}; trying again`, { warning: true });
        }
        break;
      }
      case "waiting": {
        const problem = now.error.rawMessage;
        state.setPlace({ state: PlaceState.WAITING, problem }, at());
        if (before !== PlaceState.WAITING || problem !== knownProblem) {
          tell(`not registered at ${place.name}: ${problem}; trying again`, { warning: true });
        }
        break;
      }
      case "replaced": {
        const problem = "another program has registered with the same key";
        state.setPlace({ state: PlaceState.REPLACED, problem }, at());
        tell(`not registered at ${place.name} any more: ${problem}`, { warning: true });
        break;
      }
      case "closed":
        break;
      default:
        now satisfies never;
    }
  }

  /** Never rejects. */
  async #watch(): Promise<void> {
    const { endpoint, place, state, tell } = this.#options;
    const { signal } = this.#ending;
    let told = "";
    while (!signal.aborted) {
      try {
        for await (const change of place.rendezvous.watch({ service: WorkerService }, { signal })) {
          if (change.type === "complete") {
            state.setPlace({ listed: true });
            told = "";
          } else if (change.type === "gone") {
            state.gone(change.id.toString());
          } else if (!change.peer.id.equals(endpoint.id)) {
            state.found(describe(change.peer));
          }
        }
      } catch (error) {
        const problem = messageOf(error);
        if (!signal.aborted && problem !== told) {
          told = problem;
          tell(`cannot see who is at ${place.name}: ${problem}`, { warning: true });
        }
      }
      await pause(this.#platform, retryMs, signal).catch(() => {});
    }
  }

  #begin(pool: string, options: { readonly again: boolean }): void {
    const left = new AbortController();
    const search = { left, done: this.#pair(pool, left.signal, options) };
    this.#search = search;
    void search.done.then(() => {
      if (this.#search === search) {
        this.#search = undefined;
      }
    });
  }

  /** Never rejects. Says nothing more once the signal has fired: who fired it knows. */
  async #pair(pool: string, signal: AbortSignal, { again }: { readonly again: boolean }) {
    const { at, place, state } = this.#options;
    do {
      state.setPairing({ state: PairingState.WAITING, pool }, at());
      let waitMs = betweenPairsMs;
      let problem: string;
      try {
        const pair = await place.rendezvous.pair(this.#registration, {
          pool,
          signal,
          onError: ({ rawMessage }) => {
            state.setPairing({ state: PairingState.WAITING, pool, problem: rawMessage }, at());
          },
        });
        problem = await this.#keep(pair, pool, signal);
      } catch (error) {
        problem = error instanceof RendezvousError ? error.message : messageOf(error);
        waitMs = retryMs;
      }
      if (signal.aborted) {
        return;
      }
      state.setPairing({ state: PairingState.UNSPECIFIED, pool, problem }, at());
      if (again) {
        await pause(this.#platform, waitMs, signal).catch(() => {});
      }
    } while (again && !signal.aborted);
  }

  /** Until the pair is over. Resolves with the reason. */
  async #keep(pair: Pair, pool: string, signal: AbortSignal): Promise<string> {
    const { at, dial, state, tell } = this.#options;
    const stopListening = onAbort(signal, () => void pair.leave());
    let release = (): void => {};
    try {
      if (signal.aborted) {
        await pair.leave();
        return "";
      }
      const { partner } = pair;
      const partnerId = partner.id.toString();
      const name = partner.labels.name ?? "";
      state.setPairing({ state: PairingState.PAIRED, pool, partnerId }, at());
      tell(`paired with ${name === "" ? "" : `${name}, `}${partner.id.short}`);
      if (pair.first) {
        release = dial(partner.addr);
      }
      const problem = endsInWords[await pair.ended];
      if (!signal.aborted) {
        tell(`the pair has ended: ${problem}`);
      }
      return problem;
    } finally {
      stopListening();
      release();
      await pair.leave();
    }
  }
}

const endsInWords = {
  "left by us": "left here",
  "left by the partner": "the partner has left",
  "place lost": "the place was lost",
} as const satisfies Record<Awaited<Pair["ended"]>, string>;

function describe({ id, labels, registeredAtMs }: FoundPeer) {
  const { name = "", ...others } = labels;
  return { id: id.toString(), name, labels: others, registeredAtMs: BigInt(registeredAtMs) };
}
