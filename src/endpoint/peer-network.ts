import { onAbort } from "../base/on-abort.ts";
import type { Platform } from "../base/platform.ts";
import { Signal } from "../base/signal.ts";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { DiscoverySource } from "../discovery/discovery.ts";
import { PeerDiscovery } from "../discovery/peer-discovery.ts";
import type { EngineConnection } from "../engine/engine.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import { formatTransportAddr, type TransportAddr } from "../identity/transport-addr.ts";
import type { BindSocket } from "../net/datagram-socket.ts";
import { HomeRelay } from "../net/home-relay.ts";
import { InterfaceWatch } from "../net/interface-watch.ts";
import { reachableAddresses } from "../net/local-addresses.ts";
import type { Network } from "../net/network.ts";
import { PeerSocket } from "../net/peer-socket.ts";
import type { RelayAccess } from "../net/relay-connections.ts";
import { EndpointError } from "./endpoint-error.ts";
import { type ConnectionPath, type RemoteInfo, remoteInfoOf } from "./remote-info.ts";

export interface PeerNetworkOptions {
  readonly secretKey: SecretKey;
  readonly platform: Platform;
  readonly network: Network;
  /** Relays that may become the home relay, and what they want. */
  readonly relays: ReadonlyMap<RelayUrl, RelayAccess>;
  readonly discovery: readonly DiscoverySource[];
  /** Published beside the addresses. */
  readonly userData?: string | undefined;
  readonly report: (error: unknown) => void;
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
  /** What was tried and what came of it, for an error. */
  tried(): string;
  over(): void;
}

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
  readonly #pathListeners = new Set<(peer: EndpointId) => void>();
  #socket: PeerSocket | undefined;
  #home: HomeRelay | undefined;
  #watch: InterfaceWatch | undefined;
  #candidates: readonly SocketAddress[] = [];
  #closed = false;

  constructor(options: PeerNetworkOptions) {
    this.#options = options;
    const { secretKey, platform, network, discovery, report } = options;
    this.#discovery = new PeerDiscovery(discovery, { secretKey, platform, network, report });
  }

  /** Opens the sockets, and begins to find out how this endpoint can be reached. To be called once. */
  readonly bindSocket: BindSocket = async (addresses, handler) => {
    const { secretKey, platform, network, relays } = this.#options;
    const socket = await PeerSocket.bind(addresses, handler, {
      secretKey,
      platform,
      network,
      relayAccess: relays,
      candidates: () => this.#candidates,
      handler: {
        pathEvent: (peer) => {
          for (const listener of this.#pathListeners) {
            listener(peer);
          }
        },
        relayChanged: () => this.#tell(),
        intercept: () => false,
      },
    });
    this.#socket = socket;
    this.#candidates = reachableAddresses(socket.localAddresses, network.interfaces());
    this.#home = new HomeRelay({
      relays,
      connections: socket.relays,
      network,
      platform,
      changed: () => this.#tell(),
    });
    this.#watch = new InterfaceWatch({
      platform,
      interfaces: () => network.interfaces(),
      changed: ({ major }) => this.#interfacesChanged(major),
    });
    if (relays.size > 0 || this.#options.discovery.length > 0) {
      this.#watch.start();
    }
    this.#home.start();
    this.#publish();
    return socket;
  };

  /** Where this endpoint can be reached, as far as it knows. */
  addr(): EndpointAddr {
    const relay = this.#home?.url;
    const relays: TransportAddr[] = relay === undefined ? [] : [{ type: "relay", url: relay }];
    const direct = this.#candidates.map((address): TransportAddr => ({ type: "ip", address }));
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
    while (!this.#closed && this.#home?.isOnline === false) {
      await this.#changed.wait({ signal });
    }
    if (this.#closed) {
      throw new EndpointError("endpoint-closed", "the endpoint was closed before it was online");
    }
  }

  /** Begins to look for a peer. `over` is to be called when the dial has ended. */
  dial(addr: EndpointAddr, signal: AbortSignal): PeerDial {
    const socket = this.#bound();
    const { id } = addr;
    const { remote, over } = socket.dial(id);
    const looking = new AbortController();
    const stop = (): void => {
      looking.abort();
      over();
    };
    socket.addAddresses(id, addr.addrs);
    let finding: Promise<void> | undefined;
    if (socket.paths(id).destinations.length === 0) {
      finding = this.#findFirst(addr, signal, looking.signal);
    } else if (this.#discovery.canResolve) {
      const { platform } = this.#options;
      const timer = platform.setTimer(lookUpAfterMs, () => void this.#find(id, looking.signal));
      looking.signal.addEventListener("abort", () => platform.clearTimer(timer), { once: true });
    }
    return { remote, finding, tried: () => this.#tried(id), over: stop };
  }

  /** Takes care of the paths of a connection. */
  attach(id: EndpointId, connection: EngineConnection): AttachedPaths {
    const socket = this.#bound();
    const transportAddrOf = (address: SocketAddress): TransportAddr =>
      socket.transportAddrOf(address);
    const { multipath } = connection;
    if (multipath === undefined) {
      return { changed: nothing, candidatesChanged: nothing, closed: nothing, transportAddrOf };
    }
    const port = Object.freeze({
      role: connection.role,
      paths: () => connection.paths(),
      open: multipath.open.bind(multipath),
      close: multipath.close.bind(multipath),
      setStatus: multipath.setStatus.bind(multipath),
      setIdleTimeout: multipath.setIdleTimeout.bind(multipath),
      ping: multipath.ping.bind(multipath),
      addCandidate: multipath.addCandidate.bind(multipath),
      removeCandidate: multipath.removeCandidate.bind(multipath),
      remoteCandidates: multipath.remoteCandidates.bind(multipath),
      punch: multipath.punch.bind(multipath),
      networkChanged: multipath.networkChanged.bind(multipath),
    });
    const paths = socket.paths(id);
    paths.opened(port);
    return {
      changed: () => paths.changed(port),
      candidatesChanged: () => paths.candidatesChanged(),
      closed: () => paths.closed(port),
      transportAddrOf,
    };
  }

  /** What is known of a peer; undefined for a stranger. */
  remoteInfo(id: EndpointId, connectionPaths: readonly ConnectionPath[]): RemoteInfo | undefined {
    const socket = this.#bound();
    const paths = socket.knownPaths(id);
    const transportAddrOf = (address: SocketAddress): TransportAddr =>
      socket.transportAddrOf(address);
    return paths && remoteInfoOf(id, { paths, connectionPaths, transportAddrOf });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#watch?.stop();
    this.#home?.stop();
    this.#changed.notify();
    await this.#discovery.close();
  }

  #bound(): PeerSocket {
    if (this.#socket === undefined) {
      throw new EndpointError("endpoint-closed", "the endpoint is not bound");
    }
    return this.#socket;
  }

  async #findFirst(addr: EndpointAddr, signal: AbortSignal, looking: AbortSignal): Promise<void> {
    const { id } = addr;
    const socket = this.#bound();
    const found = new Signal();
    const searching = this.#find(id, looking, () => found.notify());
    const stopListening = onAbort(signal, () => found.notify());
    try {
      await Promise.race([searching, found.wait()]);
    } finally {
      stopListening();
    }
    if (socket.paths(id).destinations.length === 0) {
      throw this.#noAddress(addr);
    }
  }

  /** Takes in what the sources find of a peer until `signal`. Never rejects. */
  async #find(id: EndpointId, signal: AbortSignal, found = nothing): Promise<void> {
    const socket = this.#bound();
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
    const socket = this.#bound();
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
    const state = this.#socket?.relays.state(url);
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

  #interfacesChanged(major: boolean): void {
    const socket = this.#bound();
    this.#candidates = reachableAddresses(
      socket.localAddresses,
      this.#options.network.interfaces(),
    );
    socket.networkChanged({ major });
    this.#home?.networkChanged();
    this.#tell();
  }

  #tell(): void {
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
