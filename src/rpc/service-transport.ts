import { Endpoint } from "../endpoint/endpoint.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { ChannelTransport } from "./channel-transport.ts";
import { inRange } from "./check-options.ts";
import type { PooledPeer } from "./peer-pool.ts";
import { listSource, type PeerSource } from "./peer-source.ts";
import {
  type PeerPolicy,
  resolveTransportOptions,
  type ServiceTransportOptions,
} from "./quic-transport-options.ts";
import { ServiceChannel } from "./service-channel.ts";

/** How often a call is sent at most, each time to another peer where there is one. */
const maxAttempts = 3;

/** A peer of a service, as a transport to all of them sees it. */
export interface ServicePeer {
  readonly id: EndpointId;
  /**
   * "ready" takes calls; "unhealthy" says that it does not serve at present; "unreachable" could not be connected, see
   * `error`, and is tried again after a growing pause of up to 30 seconds; "idle" has not been tried, or made room for others.
   */
  readonly state: "idle" | "connecting" | "ready" | "unhealthy" | "unreachable";
  /** Round trip, of a peer that was connected. Milliseconds. */
  readonly latencyMs: number | undefined;
  /** Why it is unreachable. */
  readonly error: unknown;
}

/** A Connect transport to the peers of a service. */
export class ServiceTransport extends ChannelTransport {
  /** The name of the service. */
  readonly service: string;
  readonly #channel: ServiceChannel;

  /** @internal Programs use `createQuicTransport`. */
  constructor(options: ServiceTransportOptions) {
    const { endpoint, maxConnections = 16, maxPeers = 10_000, policy = "nearest" } = options;
    if (!(endpoint instanceof Endpoint)) {
      throw new TypeError("option endpoint: expected an Endpoint");
    }
    for (const name of notHere) {
      if (name in options && options[name as keyof typeof options] !== undefined) {
        throw new TypeError(`option ${name}: not with via`);
      }
    }
    inRange("maxConnections", maxConnections, 1, 1_000);
    inRange("maxPeers", maxPeers, 1, 1_000_000);
    const calls = resolveTransportOptions(options);
    const service = nameOf(options.service);
    const keyOf = keyOfPolicy(policy);
    const channel = new ServiceChannel({
      endpoint,
      service,
      source: sourceOf(options.via),
      policy: typeof policy === "object" ? "sticky" : policy,
      maxConnections,
      maxPeers,
      calls,
      peerTimeoutMs: Math.ceil(calls.dialTimeoutMs / 2),
    });
    const { platform } = endpoint;
    super({
      channel,
      context: {
        dialTimeoutMs: calls.dialTimeoutMs,
        maxAttempts,
        peerOn: (session) => channel.peerOn(session),
        platform,
        hold: () => endpoint.hold(),
      },
      protocol: calls.protocol,
      // Whoever gets the call is not known when its header is made.
      calls: { ...calls.common, baseUrl: "https://service.invalid" },
      keyOf,
      release: (grace) => channel.close(grace),
    });
    this.service = service;
    this.#channel = channel;
  }

  /** Those that the source has told of, as they are now. None of a transport that is closed. */
  get peers(): ServicePeer[] {
    return Array.from(this.#channel.peers, servicePeer);
  }

  override get queuedCalls(): number {
    return [...this.#channel.links].reduce(
      (sum, { session }) => sum + (session?.queuedRequests ?? 0),
      0,
    );
  }

  /**
   * Finds peers and connects to them, which calls do by themselves. Resolves when one of them takes calls. Rejects with a
   * ConnectError, as a call does, or with the signal's reason.
   */
  async connect(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.session(options.signal);
  }
}

/** What there is for a single peer alone. */
const notHere = ["to", "wire", "serve", "earlyData", "stayConnected", "keepAlive"] as const;

function servicePeer({ id, latencyMs, problem, state }: PooledPeer): ServicePeer {
  const error = problem?.type === "unreachable" ? problem.error : undefined;
  // Nothing is set aside without a problem.
  const known = state.type === "aside" ? "unreachable" : state.type;
  return { id, latencyMs, state: problem?.type ?? known, error };
}

function nameOf(service: ServiceTransportOptions["service"]): string {
  const name = typeof service === "object" ? service?.typeName : service;
  if (typeof name !== "string" || name === "") {
    throw new TypeError('option service: expected a service or its name, "echo.v1.EchoService"');
  }
  return name;
}

function sourceOf(via: ServiceTransportOptions["via"]): PeerSource {
  if (Array.isArray(via)) {
    return listSource(via);
  }
  const source = via as PeerSource;
  if (typeof source?.watch !== "function") {
    throw new TypeError(
      "option via: expected a Rendezvous, a list of targets, or an object with watch()",
    );
  }
  return source;
}

/** Undefined for a policy that needs no key. */
function keyOfPolicy(policy: PeerPolicy): Extract<PeerPolicy, object>["sticky"] | undefined {
  if (policy === "nearest" || policy === "round-robin") {
    return undefined;
  }
  if (typeof policy?.sticky !== "function") {
    throw new TypeError('option policy: expected "nearest", "round-robin" or { sticky: function }');
  }
  return policy.sticky;
}
