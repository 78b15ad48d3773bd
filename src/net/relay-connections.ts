import type { Platform, Timer } from "../base/platform.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import type { OpenMessageChannel } from "../relay/message-channel.ts";
import { RelayClient, type RelayClientState } from "../relay/relay-client.ts";

/** What a relay wants to be told, and whom to believe that it is that relay. */
export interface RelayAccess {
  /** Sent as a Bearer token. Default none. */
  readonly authToken?: string;
  /** Authorities in place of the system's, certificates in DER. */
  readonly authorities?: readonly Uint8Array[];
  /**
   * The UDP port at which it tells us where it sees us (QUIC address discovery), false for none. Default 7842, and none for
   * a relay without TLS.
   */
  readonly quicPort?: number | false;
}

export interface RelayConnectionsOptions {
  readonly secretKey: SecretKey;
  readonly platform: Platform;
  readonly openChannel: OpenMessageChannel;
  /** By relay. Others are connected to with nothing but the key. */
  readonly access: ReadonlyMap<RelayUrl, RelayAccess>;
  readonly handler: RelayConnectionsHandler;
}

export interface RelayConnectionsHandler {
  /** As of {@link RelayClientHandler}. */
  datagrams(url: RelayUrl, from: EndpointId, bytes: Uint8Array, segmentSize: number): void;
  stateChanged(url: RelayUrl, state: RelayClientState): void;
}

/** What is needed of relays by those who have paths over them. */
export type Relays = Pick<RelayConnections, keyof RelayConnections>;

/** A relay that is not our home is left when nothing was sent over it for this long. As iroh has it. */
const leaveAfterMs = 60_000;
/** Relays at once: peers name them, so there has to be an end. The home relay always has a place. */
const maxRelays = 32;

interface Member {
  readonly client: RelayClient;
  usedAt: number;
}

/** Connections to relays: to the home relay always, to those of peers as long as anything is sent there. */
export class RelayConnections {
  readonly #options: RelayConnectionsOptions;
  readonly #members = new Map<RelayUrl, Member>();
  #home: RelayUrl | undefined;
  #timer: Timer | undefined;
  #isClosed = false;

  constructor(options: RelayConnectionsOptions) {
    this.#options = options;
  }

  get home(): RelayUrl | undefined {
    return this.#home;
  }

  /** Connects to `url` for good, and lets the one before go. */
  setHome(url: RelayUrl | undefined): void {
    this.#home = url;
    if (url !== undefined) {
      this.#member(url);
    }
  }

  /** Undefined for a relay that there is no connection to. */
  state(url: RelayUrl): RelayClientState | undefined {
    return this.#members.get(url)?.client.state;
  }

  /** {@link RelayClient.heardAt}. */
  heardAt(url: RelayUrl): number | undefined {
    return this.#members.get(url)?.client.heardAt;
  }

  /** {@link RelayClient.probe}. */
  probe(url: RelayUrl): void {
    this.#members.get(url)?.client.probe();
  }

  latencyMs(url: RelayUrl): number | undefined {
    return this.#members.get(url)?.client.latencyMs;
  }

  /** Begins to connect to a relay that something will be sent over. */
  connect(url: RelayUrl): void {
    this.#member(url);
  }

  /** `bytes` is borrowed. What cannot be sent is lost, as on any network. */
  send(url: RelayUrl, to: EndpointId, bytes: Uint8Array, segmentSize: number): void {
    const member = this.#member(url);
    if (member !== undefined) {
      member.usedAt = this.#options.platform.now();
      member.client.send(to, bytes, segmentSize);
    }
  }

  /** @param hosts the addresses of this host now */
  networkChanged(hosts: ReadonlySet<string>): void {
    for (const { client } of this.#members.values()) {
      client.networkChanged(hosts);
    }
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== undefined) {
      this.#options.platform.clearTimer(this.#timer);
    }
    for (const { client } of this.#members.values()) {
      client.close();
    }
    this.#members.clear();
  }

  #member(url: RelayUrl): Member | undefined {
    const known = this.#members.get(url);
    if (known !== undefined || this.#isClosed) {
      return known;
    }
    if (this.#members.size >= maxRelays && url !== this.#home) {
      return undefined;
    }
    const { secretKey, platform, openChannel, access, handler } = this.#options;
    const { authToken, authorities } = access.get(url) ?? {};
    const client = new RelayClient({
      url,
      secretKey,
      platform,
      openChannel,
      ...(authToken === undefined ? {} : { authToken }),
      ...(authorities === undefined ? {} : { authorities }),
      handler: {
        datagrams: (from, bytes, segmentSize) => handler.datagrams(url, from, bytes, segmentSize),
        // Paths notice by themselves, and a relay is not to be believed about peers.
        endpointGone: () => {},
        stateChanged: (state) => handler.stateChanged(url, state),
      },
    });
    const member: Member = { client, usedAt: platform.now() };
    this.#members.set(url, member);
    this.#timer ??= platform.setTimer(leaveAfterMs, this.#leaveUnused);
    return member;
  }

  readonly #leaveUnused = (): void => {
    const { platform } = this.#options;
    const now = platform.now();
    for (const [url, { client, usedAt }] of this.#members) {
      if (url !== this.#home && now - usedAt >= leaveAfterMs) {
        this.#members.delete(url);
        client.close();
      }
    }
    this.#timer =
      this.#members.size > 0 ? platform.setTimer(leaveAfterMs, this.#leaveUnused) : undefined;
  };
}
