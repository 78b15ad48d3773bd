import { onAbort } from "../base/on-abort.ts";
import type { Platform } from "../base/platform.ts";
import { Signal } from "../base/signal.ts";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { DiscoverySource } from "../discovery/discovery.ts";
import { PeerDiscovery } from "../discovery/peer-discovery.ts";
import type { EngineConnection, EngineConnectOptions } from "../engine/engine.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import { formatTransportAddr, type TransportAddr } from "../identity/transport-addr.ts";
import { AddressObservers } from "../net/address-observers.ts";
import type { BindSocket } from "../net/datagram-socket.ts";
import { HomeRelay } from "../net/home-relay.ts";
import { type InterfaceChange, InterfaceWatch } from "../net/interface-watch.ts";
import { isMapped } from "../net/mapped-addresses.ts";
import { natPmpMethod } from "../net/nat-pmp-method.ts";
import type { NetReport } from "../net/net-report.ts";
import { Netcheck } from "../net/netcheck.ts";
import type { Network } from "../net/network.ts";
import { nodeGateway } from "../net/node-gateway.ts";
import { OwnAddresses } from "../net/own-addresses.ts";
import { PcpMethod } from "../net/pcp-method.ts";
import { PeerSocket } from "../net/peer-socket.ts";
import { PortMapper } from "../net/port-mapper.ts";
import type { RelayAccess } from "../net/relay-connections.ts";
import type { RemotePaths } from "../net/remote-paths.ts";
import { isStun } from "../net/stun.ts";
import { StunProber } from "../net/stun-prober.ts";
import { UpnpMethod } from "../net/upnp-method.ts";
import { AddressDiscovery, defaultDiscoveryPort } from "./address-discovery.ts";
import { EndpointError } from "./endpoint-error.ts";
import { EnginePathPort } from "./engine-path-port.ts";
import { type ConnectionPath, type RemoteInfo, remoteInfoOf } from "./remote-info.ts";
import { ShardHub, type ShardHubOptions } from "./shard-hub.ts";
import type { OwnPlace, ShardNetwork } from "./shard-network.ts";

export interface PeerNetworkOptions {
  readonly secretKey: SecretKey;
  readonly platform: Platform;
  readonly network: Network;
  /** Relays that may become the home relay, and what they want. */
  readonly relays: ReadonlyMap<RelayUrl, RelayAccess>;
  /** Asked for our address, besides relays. */
  readonly stunServers: readonly string[];
  /** Addresses at which we can be reached although nothing here shows it; port 0 stands for the one that is bound. */
  readonly configured: readonly SocketAddress[];
  /** Have the gateway forward our port. */
  readonly portMapping: boolean;
  readonly discovery: readonly DiscoverySource[];
  /** Published beside the addresses. */
  readonly userData?: string | undefined;
  readonly report: (error: unknown) => void;
  /** Where sockets and relays are those of an endpoint on another thread, which finds out where both are. */
  readonly shard?: ShardNetwork | undefined;
}

/** What a connection tells of its paths. */
export interface AttachedPaths {
  changed(): void;
  candidatesChanged(): void;
  closed(): void;
  transportAddrOf(address: SocketAddress): TransportAddr;
}

/** Where a peer is dialed. */
export interface PeerDial {
  readonly remote: SocketAddress;
  /** Undefined where there is an address to dial. Else it resolves when there is one, while others may still come, or
   * rejects with {@link EndpointError} "no-address". */
  readonly finding: Promise<void> | undefined;
  /**
   * Somebody answered at this address who is not what is dialed: leaves it out. Resolves with whether the dial goes
   * elsewhere, when that has been found out.
   */
  leaveOut(address: SocketAddress): Promise<boolean>;
  /** What was tried and what came of it, for an error. */
  tried(): string;
  over(): void;
}

/** What there is once the sockets are open. */
interface Bound {
  readonly socket: PeerSocket;
  readonly stun: StunProber;
  readonly discovery: AddressDiscovery;
  readonly home: HomeRelay;
  readonly netcheck: Netcheck;
  readonly own: OwnPlace;
  readonly watch: InterfaceWatch;
  readonly mapper: PortMapper | undefined;
}

/** How often the interfaces are looked at, which takes some 0.1 ms: calls wait for whatever is noticed. Milliseconds. */
const watchIntervalMs = 250;
/** How long a dial at known addresses goes on before others are looked for. Milliseconds. */
const lookUpAfterMs = 500;

/**
 * How peers reach this endpoint, and how it reaches them: its socket with relays and paths, its own addresses, and
 * discovery. Without relays and sources it is a socket and nothing else.
 */
export class PeerNetwork {
  readonly #options: PeerNetworkOptions;
  readonly #discovery: PeerDiscovery;
  readonly #changed = new Signal();
  /** Of connections, by peer. */
  readonly #selectionListeners = new Map<string, Set<() => void>>();
  /** What was offered to peers that dial us, before it is known who they are. */
  readonly #offered = new WeakMap<EngineConnection, readonly SocketAddress[]>();
  #bound: Bound | undefined;
  #hub: ShardHub | undefined;
  #connect: (options: EngineConnectOptions) => EngineConnection = () => {
    throw new EndpointError("endpoint-closed", "the endpoint is not bound");
  };
  #closed = false;

  constructor(options: PeerNetworkOptions) {
    this.#options = options;
    const { secretKey, platform, network, discovery, report } = options;
    this.#discovery = new PeerDiscovery(discovery, { secretKey, platform, network, report });
  }

  /** Opens the sockets. To be called once, and {@link start} after it. */
  readonly bindSocket: BindSocket = async (addresses, handler) => {
    const { secretKey, platform, network, relays, shard } = this.#options;
    const stun = new StunProber({
      platform,
      send: (to, bytes) => this.#bound?.socket.send(to, bytes, bytes.length),
    });
    const socket = await PeerSocket.bind(addresses, handler, {
      secretKey,
      platform,
      network,
      relayAccess: relays,
      openRelays: shard?.openRelays,
      candidates: () => this.#candidates(),
      handler: {
        pathEvent: (peer, { type }) => {
          if (type === "selected") {
            for (const listener of this.#selectionListeners.get(peer.toString()) ?? []) {
              listener();
            }
          }
          // A NAT may have forgotten us: then our address is another one now.
          if (type === "stalled") {
            this.#stalled();
          }
        },
        relayChanged: (url, state) => {
          if (url === this.#bound?.home.url && state.type === "waiting" && state.attempt > 2) {
            // It may be gone for good: look for another one.
            this.#bound.own.networkChanged({ major: false });
          }
          this.#tell();
        },
        intercept: (from, bytes) => isStun(bytes) && stun.handle(from, bytes),
      },
    });
    this.#bound = this.#join(socket, stun);
    return socket;
  };

  /** Begins to find out how this endpoint can be reached. `connect` dials from its sockets. */
  start(connect: (options: EngineConnectOptions) => EngineConnection): void {
    const { own, home, watch, mapper, socket } = this.#parts();
    this.#connect = connect;
    home.start();
    own.start();
    const ipv4 = socket.localAddresses.find(({ family }) => family === 4);
    if (ipv4 !== undefined) {
      mapper?.start(ipv4.port);
    }
    if (this.#options.relays.size > 0 || this.#options.discovery.length > 0) {
      watch.start();
    }
    this.#publish();
  }

  /** Where this endpoint can be reached, as far as it knows. */
  addr(): EndpointAddr {
    const relay = this.#bound?.home.url;
    const relays: TransportAddr[] = relay === undefined ? [] : [{ type: "relay", url: relay }];
    const direct = this.#candidates().map((address): TransportAddr => ({ type: "ip", address }));
    return new EndpointAddr(this.#options.secretKey.publicKey, [...relays, ...direct]);
  }

  /** {@link addr} now, and whenever it has changed; ends with the endpoint. */
  async *watchAddr(signal: AbortSignal | undefined): AsyncGenerator<EndpointAddr, void, undefined> {
    let told: EndpointAddr | undefined;
    while (!this.#closed) {
      const addr = this.addr();
      if (told?.equals(addr) !== true) {
        told = addr;
        yield addr;
      }
      if (!this.#closed && this.addr().equals(told)) {
        await this.#changed.wait({ signal });
      }
    }
  }

  /** Resolves when the home relay is connected to; at once where there are no relays. */
  async online(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    while (!this.#closed && this.#bound?.home.isOnline === false) {
      await this.#changed.wait({ signal });
    }
    if (this.#closed) {
      throw new EndpointError("endpoint-closed", "the endpoint was closed before it was online");
    }
  }

  /** Begins to look for a peer. `over` is to be called when the dial has ended. */
  dial(addr: EndpointAddr, signal: AbortSignal): PeerDial {
    const { socket } = this.#parts();
    const { id } = addr;
    const { remote, over } = socket.dial(id);
    const looking = new AbortController();
    const stop = (): void => {
      looking.abort();
      over();
    };
    socket.addAddresses(id, addr.addrs);
    const found = new Signal();
    let searching: Promise<void> | undefined;
    const search = (): Promise<void> => {
      searching ??= this.#find(id, looking.signal, () => found.notify());
      return searching;
    };
    const untilFound = async (): Promise<boolean> => {
      const stopListening = onAbort(signal, () => found.notify());
      try {
        let isOver = false;
        while (!socket.hasDestinations(id) && !isOver && !signal.aborted) {
          const ended = search().then(() => true);
          isOver = await Promise.race([ended, found.wait().then(() => false)]);
        }
      } finally {
        stopListening();
      }
      return socket.hasDestinations(id);
    };
    let finding: Promise<void> | undefined;
    if (!socket.hasDestinations(id)) {
      finding = untilFound().then((isFound) => {
        if (!isFound) {
          throw this.#noAddress(addr);
        }
      });
    } else if (this.#discovery.canResolve) {
      const { platform } = this.#options;
      const timer = platform.setTimer(lookUpAfterMs, () => void search());
      looking.signal.addEventListener("abort", () => platform.clearTimer(timer), { once: true });
    }
    const leaveOut = async (address: SocketAddress): Promise<boolean> =>
      socket.leaveOut(id, address) && (await untilFound());
    return { remote, finding, leaveOut, tried: () => this.#tried(id), over: stop };
  }

  /**
   * Somebody begins to dial us. Over a relay our addresses go out with the first answer, so that punching begins a round
   * trip earlier than if they waited for the end of the handshake, as iroh's do.
   */
  dialedBy(connection: EngineConnection): void {
    const { multipath, remoteAddress } = connection;
    if (multipath !== undefined && isMapped(remoteAddress)) {
      const candidates = this.#candidates();
      const offered = candidates.filter((address) => multipath.addCandidate(address));
      this.#offered.set(connection, offered);
    }
  }

  /** What an address of the engine's is, an IP address or a relay. */
  readonly transportAddrOf = (address: SocketAddress): TransportAddr =>
    this.#parts().socket.transportAddrOf(address);

  /** Takes care of the paths of a connection. `selected` is called when data goes over another one from now on. */
  attach(id: EndpointId, connection: EngineConnection, selected: () => void): AttachedPaths {
    const { socket } = this.#parts();
    const { transportAddrOf } = this;
    const { multipath } = connection;
    if (multipath === undefined) {
      return { changed: nothing, candidatesChanged: nothing, closed: nothing, transportAddrOf };
    }
    const offered = this.#offered.get(connection) ?? nothingOffered;
    const port = new EnginePathPort(connection, multipath, offered);
    const paths = socket.paths(id);
    paths.opened(port);
    const forget = this.#listen(id, selected);
    return new PathsOfConnection(paths, port, forget, transportAddrOf);
  }

  /** Looks at the network. */
  netcheck(signal: AbortSignal | undefined): Promise<NetReport> {
    const { netcheck, own, home, socket } = this.#parts();
    if (this.#options.shard !== undefined) {
      return Promise.reject(
        new TypeError(
          "cannot look at the network from a worker: the endpoint of the main thread can",
        ),
      );
    }
    return netcheck.run({
      signal,
      observed: (observation) => own.observed(observation),
      ...this.#homeNow(socket, home),
    });
  }

  /** What is known of a peer; undefined for a stranger. */
  remoteInfo(id: EndpointId, connectionPaths: readonly ConnectionPath[]): RemoteInfo | undefined {
    const { socket } = this.#parts();
    const paths = socket.knownPaths(id);
    const { transportAddrOf } = this;
    return paths && remoteInfoOf(id, { paths, connectionPaths, transportAddrOf });
  }

  /**
   * Lets endpoints on other threads use the sockets, relays and addresses of this one. Whoever calls this gives the hub what
   * comes in.
   */
  share(options: Pick<ShardHubOptions, "engine" | "secret">): ShardHub {
    const { secretKey, platform } = this.#options;
    const { socket } = this.#parts();
    this.#hub = new ShardHub({
      ...options,
      secretKey,
      platform,
      socket,
      place: () => ({
        addresses: this.#bound?.own.current ?? [],
        homeRelay: this.#bound?.home.url,
      }),
      stalled: () => this.#stalled(),
    });
    return this.#hub;
  }

  /** Another network is below. */
  networkChanged(change: InterfaceChange): void {
    this.#bound?.socket.networkChanged(change);
    this.#hub?.networkChanged(change);
  }

  /** The hub of this shard is at other addresses. */
  placeChanged(): void {
    this.#addressesChanged();
  }

  async close(): Promise<void> {
    this.#closed = true;
    const bound = this.#bound;
    bound?.watch.stop();
    bound?.home.stop();
    bound?.own.stop();
    bound?.stun.close();
    bound?.discovery.close();
    this.#hub?.close();
    this.#changed.notify();
    await Promise.all([this.#discovery.close(), bound?.mapper?.close()]);
  }

  #listen(id: EndpointId, selected: () => void): () => void {
    const key = id.toString();
    const listeners = this.#selectionListeners.get(key) ?? new Set();
    this.#selectionListeners.set(key, listeners);
    listeners.add(selected);
    return () => {
      listeners.delete(selected);
      if (listeners.size === 0) {
        this.#selectionListeners.delete(key);
      }
    };
  }

  #parts(): Bound {
    if (this.#bound === undefined) {
      throw new EndpointError("endpoint-closed", "the endpoint is not bound");
    }
    return this.#bound;
  }

  /** What belongs to a socket. */
  #join(socket: PeerSocket, stun: StunProber): Bound {
    const { platform, network, relays, stunServers, configured } = this.#options;
    const bound = (): readonly SocketAddress[] => socket.localAddresses;
    const interfaces = (): ReturnType<Network["interfaces"]> => network.interfaces();
    const discovery = new AddressDiscovery({
      network,
      portOf: (relay) => discoveryPortOf(relay, relays.get(relay)),
      connect: (options) => this.#connect(options),
      observed: (observation) => own.observed(observation),
    });
    const home = new HomeRelay({
      relays,
      connections: socket.relays,
      network,
      platform,
      changed: () => this.#tell(),
    });
    const observers = new AddressObservers({
      platform,
      resolveHost: (host, port) => network.resolveHost(host, port),
      families: () => bound().map(({ family }) => family),
      stunServers,
      probe: (server, options) => stun.probe(server, options),
      relays: () => [...relays.keys()].filter((relay) => discoveryPortOf(relay, relays.get(relay))),
      discover: discovery.discover,
    });
    const authorities = [...relays.values()].flatMap((access) => access.authorities ?? []);
    const netcheck = new Netcheck({
      platform,
      network,
      bound,
      observers,
      relays: () => [...relays.keys()],
      ...(authorities.length === 0 ? {} : { authorities }),
    });
    const own =
      this.#options.shard?.own ??
      new OwnAddresses({
        platform,
        bound,
        interfaces,
        configured,
        changed: () => this.#addressesChanged(),
        ...(relays.size === 0 && stunServers.length === 0
          ? {}
          : {
              observe: async ({ full, signal, observed }) => {
                const { homeRelay } = await netcheck.run({
                  full,
                  signal,
                  observed,
                  ...this.#homeNow(socket, home),
                });
                home.moveTo(homeRelay);
              },
            }),
      });
    const watch = new InterfaceWatch({
      platform,
      interfaces,
      intervalMs: watchIntervalMs,
      changed: (change) => {
        if (change.major) {
          discovery.networkChanged();
          mapper?.networkChanged();
        }
        own.networkChanged(change);
        if (change.major) {
          this.networkChanged(change);
        }
      },
    });
    const mapper = this.#options.portMapping
      ? this.#mapper((address) => own.setMapped(address))
      : undefined;
    return { socket, stun, discovery, home, netcheck, own, watch, mapper };
  }

  #mapper(changed: (address: SocketAddress | undefined) => void): PortMapper {
    const { platform, network } = this.#options;
    const { bindSocket } = network;
    const gateway = nodeGateway;
    const methods = [
      new PcpMethod({ platform, bindSocket, gateway, interfaces: () => network.interfaces() }),
      natPmpMethod({ platform, bindSocket, gateway }),
      new UpnpMethod({ platform, network, gateway }),
    ];
    return new PortMapper({ platform, methods, changed });
  }

  #homeNow(
    socket: PeerSocket,
    { url }: HomeRelay,
  ): { readonly homeRelay?: RelayUrl; readonly homeLatencyMs?: number } {
    if (url === undefined) {
      return {};
    }
    const isAlive = socket.relays.state(url)?.type === "connected";
    const homeLatencyMs = isAlive ? socket.relays.latencyMs(url) : undefined;
    return { homeRelay: url, ...(homeLatencyMs === undefined ? {} : { homeLatencyMs }) };
  }

  #candidates(): readonly SocketAddress[] {
    return this.#bound?.own.current.map(({ address }) => address) ?? [];
  }

  /** Takes in what the sources find of a peer until `signal`. Never rejects. */
  async #find(id: EndpointId, signal: AbortSignal, found: () => void): Promise<void> {
    const { socket } = this.#parts();
    try {
      for await (const { addr } of this.#discovery.resolve(id, { signal, fresh: true })) {
        socket.addAddresses(id, addr.addrs);
        found();
      }
    } catch {
      // Ended by `signal`; what sources fail with is in their outcomes.
    }
  }

  #noAddress(addr: EndpointAddr): EndpointError {
    const what = `cannot connect to ${addr.id.short}`;
    if (addr.addrs.length > 0) {
      const list = addr.addrs.map(formatTransportAddr).join(", ");
      return new EndpointError("no-address", `${what}: no address of it can be dialed: ${list}`);
    }
    const asked = this.#outcomes(addr.id);
    const why =
      asked.length > 0
        ? `nothing was found of it: ${asked.join("; ")}`
        : "an id alone does not say where it is: dial a ticket, or bind the endpoint with discovery";
    return new EndpointError("no-address", `${what}: ${why}`);
  }

  /** Each address with what came of it, then each source. */
  #tried(id: EndpointId): string {
    const { socket } = this.#parts();
    const known = socket.knownPaths(id)?.known ?? [];
    const addresses = known.map((address) => {
      const addr = socket.transportAddrOf(address);
      return addr.type === "relay"
        ? `${addr.url} (${this.#relayState(addr.url)})`
        : formatSocketAddress(address);
    });
    const outcomes = this.#outcomes(id);
    return outcomes.length === 0
      ? addresses.join(", ")
      : `${addresses.join(", ")} (${outcomes.join("; ")})`;
  }

  #relayState(url: RelayUrl): string {
    const state = this.#bound?.socket.relays.state(url);
    switch (state?.type) {
      case "connected":
        return "relay connected";
      case "waiting":
        return `relay unreachable: ${state.error.message}`;
      case "connecting":
        return "relay not connected yet";
      default:
        return "relay not connected";
    }
  }

  #outcomes(id: EndpointId): string[] {
    return this.#discovery.outcomes(id).map(({ source, outcome }) => {
      const what = typeof outcome === "string" ? outcome : outcome.error.message;
      return `${source}: ${what === "pending" ? "no answer yet" : what}`;
    });
  }

  #addressesChanged(): void {
    this.#bound?.socket.networkChanged({ major: false });
    this.#tell();
  }

  #stalled(): void {
    this.#bound?.discovery.check();
    this.#bound?.own.networkChanged({ major: false });
  }

  #tell(): void {
    this.#hub?.placeChanged();
    this.#publish();
    this.#changed.notify();
  }

  #publish(): void {
    if (this.#discovery.canPublish && !this.#closed) {
      const { userData } = this.#options;
      this.#discovery.publish({
        addr: this.addr(),
        ...(userData === undefined ? {} : { userData }),
      });
    }
  }
}

const nothing = (): void => {};

/** One object instead of a function for each, because every connection has it. */
class PathsOfConnection implements AttachedPaths {
  readonly transportAddrOf: AttachedPaths["transportAddrOf"];
  readonly #paths: RemotePaths;
  readonly #port: EnginePathPort;
  readonly #forget: () => void;

  constructor(
    paths: RemotePaths,
    port: EnginePathPort,
    forget: () => void,
    transportAddrOf: AttachedPaths["transportAddrOf"],
  ) {
    this.#paths = paths;
    this.#port = port;
    this.#forget = forget;
    this.transportAddrOf = transportAddrOf;
  }

  changed(): void {
    this.#paths.changed(this.#port);
  }

  candidatesChanged(): void {
    this.#paths.candidatesChanged();
  }

  closed(): void {
    this.#forget();
    this.#paths.closed(this.#port);
  }
}

const nothingOffered: readonly SocketAddress[] = [];

/** Undefined for a relay that does not tell addresses. */
function discoveryPortOf(relay: RelayUrl, access: RelayAccess | undefined): number | undefined {
  const hasTls = /^(?:https|wss):/.test(relay);
  const port = access?.quicPort ?? (hasTls ? defaultDiscoveryPort : false);
  return port === false ? undefined : port;
}
