import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { onAbort } from "../base/on-abort.ts";
import { pause } from "../base/pause.ts";
import type { Platform } from "../base/platform.ts";
import { RetryDelays, randomFraction } from "../base/retry-delays.ts";
import { Signal } from "../base/signal.ts";
import type { PublishedAddrs } from "../discovery/pkarr-publisher.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import {
  RegistrationRefusedSchema,
  type RendezvousService,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { signRegistration } from "./registration.ts";
import { RendezvousError } from "./rendezvous-error.ts";

/** Who registers: an `Endpoint`, or anything else that has a key and an address. */
export interface RegisteringPeer {
  readonly secretKey: SecretKey;
  addr(): EndpointAddr;
  /** The address now, and each time that it changes. */
  watchAddr?(options?: { readonly signal?: AbortSignal }): AsyncIterable<EndpointAddr>;
}

/** What a peer says of itself beside its address. */
export interface RegistrationContent {
  /** Names of services with their packages, or the services themselves. Default none. */
  readonly services?: readonly (string | { readonly typeName: string })[];
  /** Default none. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface RegisterOptions extends RegistrationContent {
  /**
   * "all" of the peer's addresses; or the "relay" alone, so that nobody at the place learns where its host is: IP addresses
   * are then for those that it is connected with. Default "all".
   */
  readonly addrs?: PublishedAddrs | undefined;
  /** How long the registration outlives the loss of this process. Milliseconds. Default: what the place gives. */
  readonly leaseMs?: number;
  /** Takes what goes wrong, which is tried again. Default: dropped; `state` has the last one. */
  readonly onError?: (error: unknown) => void;
  /** Called whenever `state` is another. */
  readonly onState?: (state: RegistrationState) => void;
}

export type RegistrationState =
  | { readonly type: "registering" }
  /** `problem` while the place does not answer: the registration holds until its lease ends. */
  | { readonly type: "registered"; readonly problem?: ConnectError }
  /** The last attempt has failed; the next one comes after a pause. */
  | { readonly type: "waiting"; readonly error: ConnectError }
  /** Another program has registered with the same key, so this one has given up. */
  | { readonly type: "replaced" }
  | { readonly type: "closed" };

export interface RegistrationContext {
  readonly client: Client<typeof RendezvousService>;
  readonly namespace: string;
  readonly audience: string;
  readonly platform: Platform;
}

/** The lease of a registration, as calls show it. */
export interface ShownLease {
  readonly namespace: string;
  readonly endpointId: Uint8Array;
  readonly lease: Uint8Array;
}

/** How a stay ended for which the registration was good. */
type StayEnd = "changed" | "lost" | "replaced";

/** How long a single question to the place may take. Milliseconds. */
const callTimeoutMs = 10_000;
/** Addresses change in groups: what comes within this is one change. Milliseconds. */
const settleMs = 100;
/** Within this, those register again whose registrations a place has lost. Milliseconds. */
const lostMs = 500;

/**
 * A registration that is kept: renewed, made again when the place has lost it, and changed when the address changes. Ends
 * with `close`, which unregisters.
 */
export class KeptRegistration implements AsyncDisposable {
  readonly id: EndpointId;
  readonly #context: RegistrationContext;
  readonly #peer: RegisteringPeer;
  readonly #options: RegisterOptions;
  readonly #delays: RetryDelays;
  readonly #closed = new AbortController();
  /** Closing has taken too long. */
  readonly #abandoned = new AbortController();
  readonly #changed = new Signal();
  /** A change that no registration has yet. */
  #isStale = false;
  #services: readonly string[];
  #labels: Readonly<Record<string, string>>;
  #state: RegistrationState = { type: "registering" };
  /** Of the last registration, which may be there still. */
  #lease: ShownLease | undefined;
  #lastUs = 0n;
  /** The place's clock less ours, as far as it has told. Microseconds. */
  #offsetUs = 0n;
  readonly #running: Promise<void>;
  #closing: Promise<void> | undefined;

  /** Throws {@link RendezvousError} `malformed` or `too-large` for what no place would take. */
  constructor(context: RegistrationContext, peer: RegisteringPeer, options: RegisterOptions) {
    this.id = peer.secretKey.publicKey;
    this.#context = context;
    this.#peer = peer;
    this.#options = options;
    this.#delays = new RetryDelays(context.platform);
    this.#services = namesOf(options.services);
    this.#labels = options.labels ?? {};
    this.#sign(0n);
    this.#running = this.#run();
    void this.#followAddr();
  }

  get state(): RegistrationState {
    return this.#state;
  }

  /** What proves to be who has registered; undefined while it is not. */
  get lease(): ShownLease | undefined {
    return this.#state.type === "registered" ? this.#lease : undefined;
  }

  /** Resolves when it is registered. Rejects with the signal's reason, and with RendezvousError once it is over. */
  async ready(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    while (this.#state.type !== "registered") {
      if (this.#state.type === "replaced" || this.#state.type === "closed") {
        throw new RendezvousError(this.#state.type, `${this.id.short} is not registered any more`);
      }
      await this.#changed.wait(options);
    }
  }

  /** Says something else from now on. Throws {@link RendezvousError} `malformed` or `too-large`; all stays as it was. */
  update(content: RegistrationContent): void {
    const [services, labels] = [this.#services, this.#labels];
    this.#services = content.services === undefined ? services : namesOf(content.services);
    this.#labels = content.labels ?? labels;
    try {
      this.#sign(0n);
    } catch (error) {
      [this.#services, this.#labels] = [services, labels];
      throw error;
    }
    this.#touch();
  }

  /** Unregisters, and gives up when the place does not answer within `timeoutMs` (default 2000). Never rejects. Idempotent. */
  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(options.timeoutMs ?? 2_000);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    const { client, platform } = this.#context;
    const { signal } = this.#abandoned;
    const timer = platform.setTimer(timeoutMs, () => this.#abandoned.abort());
    this.#closed.abort();
    if (timeoutMs <= 0) {
      this.#abandoned.abort();
    }
    // What is on its way is waited for: it may bring the lease without which nothing can be unregistered.
    await this.#running;
    while (this.#lease !== undefined && !signal.aborted) {
      const lease = this.#lease;
      try {
        await client.unregister({ lease }, { signal });
        this.#lease = undefined;
      } catch (error) {
        if (signal.aborted || endOf(ConnectError.from(error)) !== undefined) {
          break;
        }
        await pause(platform, this.#delays.failed(), signal).catch(ignore);
      }
    }
    platform.clearTimer(timer);
    this.#become({ type: "closed" });
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { platform } = this.#context;
    const { signal } = this.#closed;
    /** Of the last lease: it is held until the next one is there, however long that takes. */
    let stay = new AbortController();
    onAbort(signal, () => stay.abort());
    while (!signal.aborted) {
      try {
        this.#become({ type: "registering" });
        const leaseMs = await this.#register(this.#abandoned.signal);
        stay.abort();
        stay = new AbortController();
        this.#delays.succeeded();
        this.#become({ type: "registered" });
        const end = await this.#stay(leaseMs, stay.signal);
        if (end !== "changed") {
          stay.abort();
          this.#lease = undefined;
        }
        if (end === "replaced") {
          this.#become({ type: "replaced" });
          return;
        }
        if (end === "lost") {
          // All others have lost theirs as well.
          await pause(platform, lostMs * randomFraction(platform), signal);
        }
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        const problem = ConnectError.from(error);
        this.#become({ type: "waiting", error: problem });
        this.#options.onError?.(problem);
        await pause(platform, this.#delays.failed(), signal).catch(ignore);
      }
    }
  }

  /** Resolves with the duration of the lease. Where the place has another clock, it tries again by that. */
  async #register(signal: AbortSignal): Promise<number> {
    const { client, namespace, platform } = this.#context;
    for (let attempt = 0; ; attempt += 1) {
      this.#isStale = false;
      const nowUs = BigInt(Math.floor(platform.unixMs() * 1_000));
      const dateUs = nowUs + this.#offsetUs;
      this.#lastUs = dateUs > this.#lastUs ? dateUs : this.#lastUs + 1n;
      try {
        const { lease, leaseMs } = await client.register(
          { registration: this.#sign(this.#lastUs), leaseMs: this.#options.leaseMs ?? 0 },
          { signal, timeoutMs: callTimeoutMs },
        );
        this.#lease = { namespace, endpointId: this.id.bytes, lease };
        return leaseMs;
      } catch (error) {
        const [refused] = ConnectError.from(error).findDetails(RegistrationRefusedSchema);
        if (refused === undefined || attempt === maxDates) {
          throw error;
        }
        this.#offsetUs = refused.nowUs - BigInt(Math.floor(platform.unixMs() * 1_000));
        this.#lastUs = refused.notBeforeUs === 0n ? 0n : refused.notBeforeUs - 1n;
      }
    }
  }

  /**
   * Resolves when there is something to be registered again, or nothing any more. Never rejects. The lease is held and
   * renewed until the signal fires.
   */
  #stay(leaseMs: number, signal: AbortSignal): Promise<StayEnd> {
    const lease = this.#lease;
    return new Promise((resolve) => {
      if (lease === undefined || this.#isStale || this.#closed.signal.aborted) {
        resolve("changed");
        return;
      }
      onAbort(signal, () => resolve("changed"));
      void this.#awaitChange(signal).then(() => resolve("changed"), ignore);
      void this.#renew(lease, leaseMs, signal).then(resolve, ignore);
      void this.#hold(lease, signal).then(resolve, ignore);
    });
  }

  /** Rejects with the signal's reason. */
  async #awaitChange(signal: AbortSignal): Promise<void> {
    while (!this.#isStale) {
      await this.#changed.wait({ signal });
    }
    await pause(this.#context.platform, settleMs, signal);
  }

  /** Rejects with the signal's reason. */
  async #renew(lease: ShownLease, leaseMs: number, signal: AbortSignal): Promise<StayEnd> {
    const { client, platform } = this.#context;
    const delays = new RetryDelays(platform);
    let waitMs = (leaseMs / 3) * (0.8 + 0.4 * randomFraction(platform));
    for (;;) {
      await pause(platform, waitMs, signal);
      try {
        const timeoutMs = Math.min(callTimeoutMs, Math.max(1_000, leaseMs / 3));
        const renewed = await client.renew({ lease }, { signal, timeoutMs });
        delays.succeeded();
        this.#answered();
        waitMs = (renewed.leaseMs / 3) * (0.8 + 0.4 * randomFraction(platform));
      } catch (error) {
        signal.throwIfAborted();
        const end = this.#endOf(error);
        if (end !== undefined) {
          return end;
        }
        // The place may be back when little of the lease is left.
        waitMs = Math.min(delays.failed(), leaseMs / 6);
      }
    }
  }

  /** Rejects with the signal's reason. */
  async #hold(lease: ShownLease, signal: AbortSignal): Promise<StayEnd> {
    const { client, platform } = this.#context;
    const delays = new RetryDelays(platform);
    for (;;) {
      try {
        for await (const { closing } of client.hold({ lease }, { signal })) {
          if (!closing) {
            delays.succeeded();
            this.#answered();
          }
        }
      } catch (error) {
        signal.throwIfAborted();
        const end = this.#endOf(error);
        if (end !== undefined) {
          return end;
        }
      }
      await pause(platform, delays.failed(), signal);
    }
  }

  /** As `endOf`, and tells what is tried again. */
  #endOf(error: unknown): StayEnd | undefined {
    const problem = ConnectError.from(error);
    const end = endOf(problem);
    if (end === undefined) {
      // It may be the last lease's, while the next one is on its way.
      if (this.#state.type === "registered") {
        this.#become({ type: "registered", problem });
      }
      this.#options.onError?.(problem);
    }
    return end;
  }

  /** The place does, of which there may have been doubts. */
  #answered(): void {
    if (this.#state.type === "registered" && this.#state.problem !== undefined) {
      this.#become({ type: "registered" });
    }
  }

  async #followAddr(): Promise<void> {
    const { signal } = this.#closed;
    let known = this.#published(this.#peer.addr());
    try {
      for await (const all of this.#peer.watchAddr?.({ signal }) ?? []) {
        const addr = this.#published(all);
        if (!addr.equals(known)) {
          known = addr;
          this.#touch();
        }
      }
    } catch (error) {
      if (!signal.aborted) {
        this.#options.onError?.(error);
      }
    }
  }

  #touch(): void {
    this.#isStale = true;
    this.#changed.notify();
  }

  #sign(signedUs: bigint): ReturnType<typeof signRegistration>["signed"] {
    const { namespace, audience } = this.#context;
    return signRegistration(this.#peer.secretKey, {
      addr: this.#published(this.#peer.addr()),
      namespace,
      audience,
      signedUs,
      services: this.#services,
      labels: this.#labels,
    }).signed;
  }

  #published(addr: EndpointAddr): EndpointAddr {
    return this.#options.addrs === "relay"
      ? new EndpointAddr(
          addr.id,
          addr.addrs.filter(({ type }) => type === "relay"),
        )
      : addr;
  }

  #become(state: RegistrationState): void {
    this.#state = state;
    this.#changed.notify();
    this.#options.onState?.(state);
  }
}

/** Undefined where it is worth a further try with the same lease. */
function endOf({ code }: ConnectError): "lost" | "replaced" | undefined {
  switch (code) {
    case Code.NotFound:
      return "lost";
    case Code.AlreadyExists:
      return "replaced";
    default:
      return undefined;
  }
}

function namesOf(services: RegistrationContent["services"] = []): string[] {
  return services.map((service) => (typeof service === "string" ? service : service.typeName));
}

/** How often one registration is dated by what the place says. */
const maxDates = 2;

function ignore(): void {}
