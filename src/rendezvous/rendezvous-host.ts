import {
  Code,
  ConnectError,
  type ConnectRouter,
  type HandlerContext,
  type ServiceImpl,
} from "@connectrpc/connect";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { nodePlatform } from "../base/node-platform.ts";
import type { Platform } from "../base/platform.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { type Caller, callerKey } from "../rpc/caller.ts";
import { isFunction, isList } from "../rpc/check-options.ts";
import type { CallParts } from "./call-parts.ts";
import { CallerBudgets } from "./caller-budgets.ts";
import {
  type Lease,
  type RegisterRequest,
  RegistrationRefusedSchema,
  RendezvousService,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { HoldCalls } from "./hold-calls.ts";
import { renewed } from "./lease-outcome.ts";
import { MemoryState, randomHex } from "./memory-state.ts";
import { PairCalls } from "./pair-calls.ts";
import { peerMessage } from "./peer-message.ts";
import { readSelector } from "./peer-selector.ts";
import { checkName, isGenuine, type PeerRecord, readId, readRegistration } from "./registration.ts";
import { RendezvousError } from "./rendezvous-error.ts";
import { type RendezvousLimits, resolveRendezvousLimits } from "./rendezvous-limits.ts";
import { RendezvousMetrics } from "./rendezvous-metrics.ts";
import { type RendezvousPage, rendezvousPage } from "./rendezvous-pages.ts";
import type { LeaseKey, RendezvousState, RendezvousStateContext } from "./rendezvous-state.ts";
import { WatchCalls } from "./watch-calls.ts";

/** Requests that are larger are refused before they are read. Bytes. */
const readMaxBytes = 65_536;
/**
 * Of a registration, whose inside is not read before its size is looked at: Node's HTTP/1.1 cuts off who sends more, and
 * they would not learn why.
 */
const registerMaxBytes = 2 << 20;

/** Who wants to do what. */
export interface RendezvousAccess {
  /** "register" stands for all that a registered peer does for itself. */
  readonly operation: "register" | "pair" | "look-up" | "watch";
  readonly namespace: string;
  /** The peer that registers or asks for a partner, which has proven to be it. */
  readonly id: EndpointId | undefined;
  /** Who calls; undefined where the service is not served by a `PeerRouter`. */
  readonly caller: Caller | undefined;
  /** Headers of the request, such as `Authorization`. */
  readonly header: Headers;
}

/** Decides who may do what in a namespace. A rejection denies; that of a ConnectError is what the caller gets. */
export type AuthorizeRendezvous = (access: RendezvousAccess) => boolean | Promise<boolean>;

export interface RendezvousHostOptions {
  /** Where it keeps what it knows. Default: in the memory of this process. */
  readonly state?: (context: RendezvousStateContext) => RendezvousState;
  /** Default: all namespaces are for everybody. */
  readonly authorize?: AuthorizeRendezvous;
  /**
   * Names of this place: ids of its endpoints, and origins of its URLs. Registrations that were signed for another place are
   * then refused. Default: those for any place are taken.
   */
  readonly audiences?: readonly string[];
  readonly limits?: Partial<RendezvousLimits>;
  readonly platform?: Platform;
  /** Takes what goes wrong where no caller waits for it. Default: a warning of the process. */
  readonly onError?: (error: unknown) => void;
}

/** A place where peers register and find each other. */
export interface RendezvousHost extends AsyncDisposable {
  /** Adds the service to a router: `createPeerRouter(endpoint)`, or one of connect-node. */
  readonly routes: (router: ConnectRouter) => void;
  readonly metrics: RendezvousMetrics;
  /** Why nothing can be asked at present; undefined while all is well. */
  readonly trouble: string | undefined;
  /** The pages `/healthz`, `/metrics` and `/debug/list_workers`, by path and query; undefined for any other. */
  page(target: string): Promise<RendezvousPage | undefined>;
  /** Ends the calls that are open; callers try elsewhere, or again. The routers are not closed. Idempotent. */
  close(): Promise<void>;
}

/**
 * Makes a place where peers register and find each other.
 *
 * ```ts
 * const rendezvous = createRendezvous();
 * rendezvous.routes(createPeerRouter(endpoint)); // by key, over QUIC
 * http.createServer(connectNodeAdapter({ routes: rendezvous.routes })).listen(8080);
 * ```
 *
 * Throws TypeError or RangeError for options that cannot be.
 */
export function createRendezvous(options: RendezvousHostOptions = {}): RendezvousHost {
  return new Host(options);
}

class Host implements RendezvousHost {
  readonly metrics: RendezvousMetrics = new RendezvousMetrics();
  readonly routes: (router: ConnectRouter) => void;
  readonly #platform: Platform;
  readonly #dateMs: () => number;
  readonly #limits: RendezvousLimits;
  readonly #authorize: AuthorizeRendezvous | undefined;
  readonly #audiences: ReadonlySet<string> | undefined;
  readonly #report: (error: unknown) => void;
  readonly #state: RendezvousState;
  readonly #budgets: CallerBudgets;
  readonly #closing = new AbortController();
  readonly #holds: HoldCalls;
  readonly #watches: WatchCalls;
  readonly #pairs: PairCalls;
  #closed: Promise<void> | undefined;

  constructor(options: RendezvousHostOptions) {
    isFunction("authorize", options.authorize);
    isFunction("state", options.state);
    isFunction("onError", options.onError);
    isList("audiences", options.audiences);
    const { platform = nodePlatform, authorize, audiences, onError = warn } = options;
    const limits = resolveRendezvousLimits(options.limits);
    this.#platform = platform;
    this.#limits = limits;
    this.#authorize = authorize;
    this.#audiences = audiences && new Set(audiences);
    this.#report = onError;
    this.#dateMs = steadyDate(platform);
    const context = { limits, platform, dateMs: this.#dateMs, report: onError };
    this.#state = options.state?.(context) ?? new MemoryState(context);
    this.#budgets = new CallerBudgets(limits.registrationsPerSecond);
    const parts: CallParts = {
      state: this.#state,
      limits,
      metrics: this.metrics,
      platform,
      report: onError,
      closing: this.#closing.signal,
    };
    this.#holds = new HoldCalls(parts);
    this.#watches = new WatchCalls(parts);
    this.#pairs = new PairCalls(parts);
    const service = this.#service();
    this.routes = (router) => {
      const { register, ...others } = service;
      router.service(RendezvousService, others, { readMaxBytes });
      const options = { readMaxBytes: registerMaxBytes };
      router.rpc(RendezvousService.method.register, register, options);
    };
  }

  get trouble(): string | undefined {
    return this.#closed === undefined ? this.#state.trouble : "it is closing";
  }

  page(target: string): Promise<RendezvousPage | undefined> {
    return rendezvousPage(target, {
      state: this.#state,
      metrics: this.metrics,
      calls: () => ({
        holds: this.#holds.total,
        watches: this.#watches.total,
        pairCalls: this.#pairs.total,
      }),
      trouble: this.trouble,
    });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    await this.#state.close();
  }

  #service(): ServiceImpl<typeof RendezvousService> {
    return {
      register: (request, context) =>
        this.#answer(async () => {
          try {
            return await this.#register(request, context);
          } catch (error) {
            this.metrics.registrationsRefused += 1;
            throw error;
          }
        }),
      renew: (request) =>
        this.#answer(async () => {
          const { leaseMs } = renewed(await this.#state.renew(readLease(request.lease)));
          this.metrics.renewed += 1;
          return { leaseMs };
        }),
      unregister: (request) =>
        this.#answer(async () => {
          renewed(await this.#state.unregister(readLease(request.lease)));
          this.metrics.unregistered += 1;
          return {};
        }),
      hold: (request, context) =>
        this.#stream(async () => this.#holds.open(readLease(request.lease), context.signal)),
      lookUp: (request, context) =>
        this.#answer(async () => {
          const { namespace, selector } = readSelector(request.selector);
          await this.#allow({ operation: "look-up", namespace, id: undefined }, context);
          const set = await this.#state.set(namespace);
          const after = readPageToken(request.pageToken);
          const most = this.#limits.maxPageSize;
          const limit = Math.min(request.pageSize || most, most);
          const page = set?.page(selector, { after, limit });
          this.metrics.lookUps += 1;
          return {
            peers: (page?.entries ?? []).map(peerMessage),
            nextPageToken: writePageToken(page?.next),
          };
        }),
      watch: (request, context) =>
        this.#stream(async () => {
          const { namespace, selector } = readSelector(request.selector);
          await this.#allow({ operation: "watch", namespace, id: undefined }, context);
          const caller = nameOf(context);
          return this.#watches.open(
            { namespace, selector, caller, resume: request.resume },
            context,
          );
        }),
      pair: (request, context) =>
        this.#stream(async () => {
          checkName("pool", request.pool);
          const lease = readLease(request.lease);
          renewed(await this.#state.renew(lease));
          const id = readId(request.lease?.endpointId ?? new Uint8Array());
          await this.#allow({ operation: "pair", namespace: lease.namespace, id }, context);
          return this.#pairs.open(lease, request.pool, context.signal);
        }),
    };
  }

  async #register(
    request: RegisterRequest,
    context: HandlerContext,
  ): Promise<{ lease: Uint8Array; leaseMs: number; graceMs: number }> {
    const record = readRegistration(request.registration);
    const { id, namespace } = record;
    this.#checkAudience(record);
    this.#checkDate(record);
    if (!this.#budgets.take(nameOf(context), this.#platform.now())) {
      throw new ConnectError("too many registrations in a short time", Code.ResourceExhausted);
    }
    const caller = context.values.get(callerKey);
    if (caller?.type === "peer" && !caller.id.equals(id)) {
      throw new ConnectError(
        `${caller.id.short} cannot register ${id.short}: a peer that is known by its key registers itself`,
        Code.PermissionDenied,
      );
    }
    if (!isGenuine(record)) {
      throw new ConnectError(`${id.short} has not signed this registration`, Code.Unauthenticated);
    }
    await this.#allow({ operation: "register", namespace, id }, context);
    const { minLeaseMs, maxLeaseMs, graceMs } = this.#limits;
    const wantedMs = request.leaseMs || this.#usualLeaseMs;
    const lease = randomHex(this.#platform);
    const outcome = await this.#state.register(record, {
      lease,
      leaseMs: Math.min(Math.max(wantedMs, minLeaseMs), maxLeaseMs),
    });
    switch (outcome.type) {
      case "registered":
        this.metrics.registered += 1;
        return { lease: decodeHex(lease), leaseMs: outcome.leaseMs, graceMs };
      case "refused":
        throw this.#refused("it is not newer than the last one", outcome.notBeforeUs);
      case "full":
        throw new ConnectError(`there are ${outcome.limit} already`, Code.ResourceExhausted);
    }
  }

  /** Of those who ask for none. A lease is renewed three times. */
  get #usualLeaseMs(): number {
    const { leaseMs, renewalsPerSecond } = this.#limits;
    return Math.max(leaseMs, Math.round((3_000 * this.#holds.total) / renewalsPerSecond));
  }

  #checkAudience({ audience }: PeerRecord): void {
    if (audience !== "" && this.#audiences !== undefined && !this.#audiences.has(audience)) {
      throw new ConnectError(
        `the registration is for ${JSON.stringify(audience)}, which is not here`,
        Code.InvalidArgument,
      );
    }
  }

  #checkDate({ signedUs }: PeerRecord): void {
    const offMs = Number(signedUs / 1_000n) - this.#dateMs();
    if (Math.abs(offMs) > this.#limits.maxClockSkewMs) {
      const found = `its date is ${Math.abs(Math.round(offMs / 1_000))} s ${offMs > 0 ? "ahead" : "ago"}`;
      throw this.#refused(found, 0n);
    }
  }

  #refused(problem: string, notBeforeUs: bigint): ConnectError {
    const nowUs = BigInt(this.#dateMs()) * 1_000n;
    return new ConnectError(`registration refused: ${problem}`, Code.Aborted, undefined, [
      { desc: RegistrationRefusedSchema, value: { nowUs, notBeforeUs } },
    ]);
  }

  async #allow(
    access: Pick<RendezvousAccess, "operation" | "namespace" | "id">,
    { values, requestHeader }: HandlerContext,
  ): Promise<void> {
    if (this.#authorize === undefined) {
      return;
    }
    let allowed = false;
    try {
      const caller = values.get(callerKey);
      allowed = await this.#authorize({ ...access, caller, header: requestHeader });
    } catch (error) {
      if (error instanceof ConnectError) {
        throw error;
      }
      this.#report(error);
    }
    if (!allowed) {
      const { operation, namespace } = access;
      throw new ConnectError(
        `no access: ${operation} in namespace ${JSON.stringify(namespace)}`,
        Code.PermissionDenied,
      );
    }
  }

  async #answer<T>(work: () => Promise<T>): Promise<T> {
    this.#throwIfClosing();
    try {
      return await work();
    } catch (error) {
      throw this.#callError(error);
    }
  }

  async *#stream<T>(open: () => Promise<AsyncGenerator<T>>): AsyncGenerator<T> {
    const stream = await this.#answer(open);
    try {
      // Not yield*: that would hand what goes wrong with the caller to the stream, and back, as if it were ours.
      for (;;) {
        const next = await stream.next().catch((error: unknown) => {
          throw this.#callError(error);
        });
        if (next.done === true) {
          return;
        }
        yield next.value;
      }
    } finally {
      await stream.return(undefined);
    }
  }

  #throwIfClosing(): void {
    if (this.#closed !== undefined) {
      throw new ConnectError("this place is closing", Code.Unavailable);
    }
  }

  /** All that is not the caller's fault is the state's. */
  #callError(error: unknown): ConnectError {
    if (error instanceof ConnectError) {
      return error;
    }
    if (error instanceof RendezvousError) {
      const code = error.code === "malformed" ? Code.InvalidArgument : Code.ResourceExhausted;
      return new ConnectError(error.message, code, undefined, undefined, error);
    }
    const trouble = this.trouble;
    if (trouble === undefined) {
      this.#report(error);
      return new ConnectError("the state failed", Code.Unavailable, undefined, undefined, error);
    }
    return new ConnectError(`no state: ${trouble}`, Code.Unavailable, undefined, undefined, error);
  }
}

/**
 * The date as it goes on from now, whatever becomes of the system's clock: if that were set back, registrations that are
 * known would lie in the future. Peers go by what they are told of it.
 */
function steadyDate(platform: Platform): () => number {
  const atStart = platform.unixMs() - platform.now();
  return () => Math.floor(atStart + platform.now());
}

function readLease(lease: Lease | undefined): LeaseKey {
  const { namespace = "", endpointId = new Uint8Array(), lease: secret } = lease ?? {};
  checkName("namespace", namespace);
  if (secret?.length !== 16) {
    throw new RendezvousError("malformed", "invalid lease: expected the 16 bytes of a response");
  }
  // Whether it is the key of anybody need not be computed: others have no lease.
  if (endpointId.length !== 32) {
    throw new RendezvousError("malformed", `invalid lease: an id of ${endpointId.length} bytes`);
  }
  return { namespace, id: encodeHex(endpointId), lease: encodeHex(secret) };
}

/** The caller as far as limits are concerned. */
function nameOf({ values }: HandlerContext): string {
  const caller = values.get(callerKey);
  switch (caller?.type) {
    case "peer":
      return caller.id.toString();
    case "web":
      return caller.remoteAddress.host;
    case undefined:
      return "";
  }
}

/** Of the last peer on the page: the version that it joined with. */
function writePageToken(next: number | undefined): Uint8Array {
  return new TextEncoder().encode(next === undefined ? "" : String(next));
}

function readPageToken(token: Uint8Array): number {
  const text = new TextDecoder().decode(token.subarray(0, 20));
  if (!/^[0-9]{0,15}$/.test(text)) {
    throw new RendezvousError("malformed", "invalid page token: expected one of a response");
  }
  return Number(text);
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), "ConnectQuicWarning");
}
