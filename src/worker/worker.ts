import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import type { Timer } from "../base/platform.ts";
import { Signal } from "../base/signal.ts";
import { formatSocketAddress } from "../base/socket-address.ts";
import type { PublishedAddrs } from "../discovery/pkarr-publisher.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { Router } from "../endpoint/router.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import { EndpointTicket } from "../identity/endpoint-ticket.ts";
import { parseTarget } from "../identity/target.ts";
import { formatTransportAddr, type TransportAddr } from "../identity/transport-addr.ts";
import type { NetReport } from "../net/net-report.ts";
import { RendezvousError } from "../rendezvous/rendezvous-error.ts";
import { createPeerRouter, type PeerRouter } from "../rpc/peer-router.ts";
import { Benchmarks, type KeptFile } from "./benchmarks.ts";
import { ChatDatagrams, datagramAlpn } from "./chat-datagrams.ts";
import {
  ChatWay,
  type Direction,
  NatMapping,
  Network_RelaySchema,
  Path,
  PeerState,
} from "./gen/connectquic/worker/v1/console_pb.js";
import { WorkerService } from "./gen/connectquic/worker/v1/worker_pb.js";
import type { MeetingPlace } from "./meeting-place.ts";
import { messageOf, PeerLinks } from "./peer-links.ts";
import { PlaceMember } from "./place-member.ts";
import { plainLine } from "./plain-text.ts";
import { maxNameLength } from "./worker-limits.ts";
import { type Moment, type PathSample, WorkerState } from "./worker-state.ts";

export interface WorkerOptions {
  /** Who the worker is. It closes it. */
  readonly endpoint: Endpoint;
  /** What peers see. Default empty. */
  readonly name?: string;
  readonly version?: string;
  /** Tickets or ids to dial from the beginning. */
  readonly peers?: readonly string[];
  /** From one look at the network to the next. Milliseconds, default 60000. */
  readonly recheckIntervalMs?: number;
  /** Where to register, see who else is there, and find partners. Default: nowhere. */
  readonly meeting?: WorkerMeeting | undefined;
}

export interface WorkerMeeting {
  /** Who made it closes it, after the worker. */
  readonly place: MeetingPlace;
  /** Which of its addresses others see there. Default "all". */
  readonly addrs?: PublishedAddrs;
  /** What the worker says of itself, besides its `name`. Default none. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Find a partner out of this pool, and another whenever there is none. Default: when somebody asks. */
  readonly pool?: string | undefined;
  /** Takes what is told of the place, for people; the page has it as well. */
  readonly onTold?: (text: string) => void;
}

const sampleIntervalMs = 1_000;
const defaultRecheckIntervalMs = 60_000;
/** Calls of one peer at once. */
const maxConcurrentCalls = 32;
/** Which the router serves by itself. */
const healthService = "grpc.health.v1.Health";
/** Of peers: above what data of a benchmark takes. Bytes. */
const readMaxBytes = 256 * 1_024;

/** A peer with a face: it talks with others, measures what goes between them, and shows its state. */
export class Worker implements AsyncDisposable {
  readonly state: WorkerState;
  /** Notified whenever the state has changed. */
  readonly changed: Signal = new Signal();
  readonly #endpoint: Endpoint;
  readonly #router: PeerRouter;
  readonly #datagramRouter: Router;
  readonly #links: PeerLinks;
  readonly #datagrams: ChatDatagrams;
  readonly #benchmarks: Benchmarks;
  readonly #member: PlaceMember | undefined;
  readonly #ending = new AbortController();
  readonly #recheckIntervalMs: number;
  readonly #timers = new Set<Timer>();
  /** Peers that have not answered yet. */
  readonly #pinging = new Set<string>();
  #checking: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Throws IdentityError for a peer that is neither a ticket nor an id, a ConnectError for the worker's own, and
   * RendezvousError for labels or a pool that cannot be.
   */
  constructor(options: WorkerOptions) {
    const { endpoint, name = "", version = "", peers = [] } = options;
    this.#endpoint = endpoint;
    this.#recheckIntervalMs = options.recheckIntervalMs ?? defaultRecheckIntervalMs;
    this.state = new WorkerState(() => this.changed.notify());
    this.state.setSelf({ id: endpoint.id.toString(), name, version });
    this.#benchmarks = new Benchmarks(this.state, endpoint.platform);
    const addrs = peers.map((peer) => this.#addrOf(peer));
    this.#router = createPeerRouter(endpoint, { maxConcurrentCalls, readMaxBytes });
    this.#datagrams = new ChatDatagrams({
      endpoint,
      isConnected: (id) => this.#links.get(id) !== undefined,
      heard: (id, text) => this.#heard(id, ChatWay.DATAGRAM, text),
    });
    this.#links = new PeerLinks({
      router: this.#router,
      name,
      events: {
        dialing: (id) => this.state.dialing(id, this.#at()),
        notDialed: (id) => this.state.notDialed(id),
        opened: (id, peerName, addr) => {
          const hasRoom = this.state.connected(id, peerName, this.#at());
          if (hasRoom && addr !== undefined) {
            // Soon: before there is the conversation, the peer would refuse it.
            endpoint.platform.soon(() => void this.#datagrams.dial(addr).catch(() => {}));
          }
          this.#sample();
          return hasRoom;
        },
        closed: (id, problem) => {
          this.#datagrams.disconnect(id);
          this.state.disconnected(id, problem, this.#at());
        },
        heard: (id, text) => this.#heard(id, ChatWay.STREAM, text),
      },
    });
    this.#router.service(WorkerService, {
      chat: this.#links.chat,
      ping: () => ({}),
      upload: this.#benchmarks.upload,
      download: this.#benchmarks.download,
    });
    this.#datagramRouter = new Router(endpoint).accept(datagramAlpn, this.#datagrams);
    void this.#followAddr();
    void this.#followNetwork();
    this.#every(sampleIntervalMs, () => {
      this.#sample();
      this.#ping();
    });
    for (const addr of addrs) {
      this.#links.dial(addr);
    }
    this.#member = options.meeting && this.#join(options.meeting, name);
  }

  /** Dials a ticket or an id, and again whenever it is lost. Returns the id. Throws a ConnectError. */
  dial(target: string): string {
    let addr: EndpointAddr;
    try {
      addr = this.#addrOf(target);
    } catch (error) {
      throw new ConnectError(messageOf(error), Code.InvalidArgument, undefined, undefined, error);
    }
    this.#links.dial(addr);
    return addr.id.toString();
  }

  /** Ends the link with a peer. Throws a ConnectError. */
  async disconnect(id: string): Promise<void> {
    if (this.state.peer(id) === undefined) {
      throw new ConnectError(`there is no peer ${id}`, Code.NotFound);
    }
    await this.#links.disconnect(id);
  }

  /** Resolves when the message is on its way. Rejects with a ConnectError. */
  async sendMessage(peerId: string, way: ChatWay, text: string): Promise<void> {
    const link = this.#linkOf(peerId);
    switch (way) {
      case ChatWay.STREAM:
        link.say(text);
        break;
      case ChatWay.DATAGRAM:
        await this.#datagrams.send(peerId, text);
        break;
      default:
        throw new ConnectError("a message goes on a stream or in a datagram", Code.InvalidArgument);
    }
    this.state.message({ peerId, outgoing: true, way, text }, this.#at());
  }

  /** Returns the number of the benchmark. Throws a ConnectError. */
  startBenchmark(peerId: string, direction: Direction, totalBytes: bigint): number {
    const { transport } = this.#linkOf(peerId);
    return this.#benchmarks.start(peerId, { transport, direction, totalBytes });
  }

  /** Begins to send a file, which {@link bringFile} is to bring. Returns the number of its benchmark. Throws a ConnectError. */
  startFile(peerId: string, name: string, totalBytes: bigint): number {
    const { transport } = this.#linkOf(peerId);
    return this.#benchmarks.startFile(peerId, { transport, name, totalBytes });
  }

  /** Brings a file that is to be sent. Resolves when that has ended, in whatever way. Undefined: there is no such file. */
  bringFile(number: number, content: AsyncIterable<Uint8Array>): Promise<void> | undefined {
    return this.#benchmarks.bringFile(number, content);
  }

  /** A file that has come; undefined for one that is not kept. */
  keptFile(number: number): KeptFile | undefined {
    return this.#benchmarks.keptFile(number);
  }

  /** Throws a ConnectError. */
  cancelBenchmark(number: number): void {
    if (!this.#benchmarks.cancel(number)) {
      throw new ConnectError(`there is no benchmark ${number} that runs`, Code.NotFound);
    }
  }

  /** Waits for a partner out of a pool, who is then dialed. Throws a ConnectError. */
  findPartner(pool: string): void {
    try {
      this.#memberOrThrow().findPartner(pool);
    } catch (error) {
      throw error instanceof RendezvousError
        ? new ConnectError(error.message, Code.InvalidArgument, undefined, undefined, error)
        : error;
    }
  }

  /** Ends the wait for a partner, or the pair. Throws a ConnectError. */
  leavePartner(): void {
    if (!this.#memberOrThrow().leavePartner()) {
      throw new ConnectError("there is neither a wait nor a partner", Code.FailedPrecondition);
    }
  }

  /** Looks at the network, once however many ask. */
  checkNetwork(): Promise<void> {
    this.#checking ??= this.#check().finally(() => {
      this.#checking = undefined;
    });
    return this.#checking;
  }

  /** Fires when the worker closes. */
  get ending(): AbortSignal {
    return this.#ending.signal;
  }

  /** Is no longer healthy, unregisters, tells the peers, and closes the endpoint. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#ending.abort(new Error("the worker closes"));
    for (const timer of this.#timers) {
      this.#endpoint.platform.clearTimer(timer);
    }
    this.#router.health.set("", false);
    this.#benchmarks.close();
    await Promise.all([this.#member?.close(), this.#links.close()]);
    await Promise.all([
      this.#router.close({ graceMs: 1_000 }),
      this.#datagramRouter.close({ timeoutMs: 0 }),
    ]);
    await this.#endpoint.close({ timeoutMs: 1_000 });
  }

  #join(
    { place, addrs = "all", labels = {}, pool, onTold }: WorkerMeeting,
    name: string,
  ): PlaceMember {
    place.use(this.#endpoint);
    return new PlaceMember({
      place,
      endpoint: this.#endpoint,
      state: this.state,
      addrs,
      services: [WorkerService.typeName, healthService],
      labels: name === "" ? labels : { name: plainLine(name, maxNameLength), ...labels },
      pool,
      at: () => this.#at(),
      dial: (addr) => this.#dialPartner(addr),
      tell: (text, options) => {
        this.state.event(this.#at(), text, options);
        onTold?.(text);
      },
    });
  }

  #dialPartner(addr: EndpointAddr): () => void {
    const id = addr.id.toString();
    if (this.state.peer(id)?.dialed === true) {
      return () => {};
    }
    this.#links.dial(addr);
    return () => this.#links.release(id);
  }

  #memberOrThrow(): PlaceMember {
    if (this.#member === undefined) {
      throw new ConnectError(
        "the worker uses no place of rendezvous: see --rendezvous",
        Code.FailedPrecondition,
      );
    }
    return this.#member;
  }

  #addrOf(target: string): EndpointAddr {
    const addr = parseTarget(target.trim());
    if (addr.id.equals(this.#endpoint.id)) {
      throw new ConnectError("this is the worker's own id", Code.InvalidArgument);
    }
    return addr;
  }

  #linkOf(peerId: string): NonNullable<ReturnType<PeerLinks["get"]>> {
    const link = this.#links.get(peerId);
    if (link === undefined) {
      throw new ConnectError("the peer is not connected", Code.Unavailable);
    }
    return link;
  }

  #heard(peerId: string, way: ChatWay, text: string): void {
    this.state.message({ peerId, outgoing: false, way, text }, this.#at());
  }

  async #followAddr(): Promise<void> {
    for await (const addr of this.#endpoint.watchAddr()) {
      this.state.setSelf({ ticket: new EndpointTicket(addr).toString() });
      this.state.setNetwork({ ownAddresses: addr.ipAddrs.map(formatSocketAddress) });
    }
  }

  async #followNetwork(): Promise<void> {
    await this.checkNetwork();
    if (!this.ending.aborted) {
      this.#every(this.#recheckIntervalMs, () => void this.checkNetwork());
    }
  }

  async #check(): Promise<void> {
    this.state.setNetwork({ checking: true });
    try {
      const report = await this.#endpoint.netcheck({ signal: this.ending });
      this.state.setNetwork({
        ...networkOf(report),
        checking: false,
        checkedAtMs: BigInt(this.#at().unixMs),
      });
    } catch {
      // It rejects at the end of the worker alone.
      this.state.setNetwork({ checking: false });
    }
  }

  #sample(): void {
    for (const { id, state } of this.state.peers) {
      const info = state === PeerState.CONNECTED ? this.#endpoint.remoteInfo(id) : undefined;
      if (info !== undefined) {
        const remote = info.paths.find(({ active }) => active)?.remote;
        this.state.sample(id, { ...placeOf(remote), ...this.#bytesWith(id) }, this.#at());
      }
    }
  }

  /** Over paths that are gone as well. */
  #bytesWith(id: string): Pick<PathSample, "bytesSent" | "bytesReceived"> {
    const stats = [...this.#endpoint.connections]
      .filter(({ remoteId }) => remoteId.toString() === id)
      .map((connection) => connection.stats());
    return {
      bytesSent: stats.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
      bytesReceived: stats.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
    };
  }

  /** Measures how long a call to each peer takes. One that has not been answered is waited for first. */
  #ping(): void {
    for (const { id, state } of this.state.peers) {
      const link = state === PeerState.CONNECTED ? this.#links.get(id) : undefined;
      if (link !== undefined && !this.#pinging.has(id)) {
        const begin = this.#at().now;
        this.#pinging.add(id);
        createClient(WorkerService, link.transport)
          .ping({}, { signal: this.ending })
          .then(
            () => this.state.latency(id, this.#at().now - begin),
            // A connection that is lost ends the conversation, too.
            () => {},
          )
          .finally(() => this.#pinging.delete(id));
      }
    }
  }

  /** Until the worker closes. */
  #every(intervalMs: number, task: () => void): void {
    const { platform } = this.#endpoint;
    const timer = platform.setTimer(intervalMs, () => {
      this.#timers.delete(timer);
      task();
      this.#every(intervalMs, task);
    });
    this.#timers.add(timer);
  }

  #at(): Moment {
    const { platform } = this.#endpoint;
    return { unixMs: platform.unixMs(), now: platform.now() };
  }
}

function placeOf(remote: TransportAddr | undefined): Pick<PathSample, "path" | "remote"> {
  if (remote === undefined) {
    return { path: Path.UNSPECIFIED, remote: "" };
  }
  const isRelay = remote.type === "relay";
  // Without what kind it is, which the path says.
  return {
    path: isRelay ? Path.RELAY : Path.DIRECT,
    remote: formatTransportAddr(remote).replace(/^(?:ip|relay):/, ""),
  };
}

function networkOf({ udp, natMapping, publicAddresses, homeRelay, relays }: NetReport) {
  return {
    udp,
    natMapping: natMappings[natMapping],
    publicAddresses: publicAddresses.map(formatSocketAddress),
    homeRelay: homeRelay ?? "",
    relays: relays.map(({ type, url, ...rest }) => create(Network_RelaySchema, { url, ...rest })),
  };
}

const natMappings: Readonly<Record<NetReport["natMapping"], NatMapping>> = {
  none: NatMapping.NONE,
  "endpoint-independent": NatMapping.ENDPOINT_INDEPENDENT,
  "endpoint-dependent": NatMapping.ENDPOINT_DEPENDENT,
  unknown: NatMapping.UNSPECIFIED,
};
