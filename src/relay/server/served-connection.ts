import type { Platform, Timer } from "../../base/platform.ts";
import type { EndpointId } from "../../identity/endpoint-id.ts";
import type { MessageChannel, MessageChannelHandler } from "../message-channel.ts";
import { RelayError } from "../relay-error.ts";
import type { RelayVersion } from "../relay-frame.ts";
import { challengeLength } from "../relay-handshake.ts";
import type { AuthorizeRelayClient } from "./relay-access.ts";
import type { RelayClientLink } from "./relay-client-link.ts";
import { ServerHandshake } from "./server-handshake.ts";

/** What is known of a client before it says anything. */
export interface RelayArrival {
  readonly version: RelayVersion;
  readonly token?: string | undefined;
  /** The id that it has proven with its request: it is not asked to prove it again. */
  readonly provenId?: EndpointId | undefined;
  readonly remoteAddress?: string | undefined;
}

export interface ServedConnectionOptions {
  readonly channel: MessageChannel;
  readonly arrival: RelayArrival;
  readonly platform: Platform;
  readonly authorize: AuthorizeRelayClient | undefined;
  readonly handshakeTimeoutMs: number;
  /** The client has proven its id and may come in. */
  readonly admit: (id: EndpointId) => RelayClientLink;
  /** The connection is over; `link` is that of `admit`, where it came so far. Once. */
  readonly ended: (connection: ServedConnection, link: RelayClientLink | undefined) => void;
}

type State =
  | { readonly type: "handshake"; readonly handshake: ServerHandshake; readonly timer: Timer }
  | { readonly type: "admitted"; readonly link: RelayClientLink }
  /** The channel is being closed. */
  | { readonly type: "failed" };

/** A WebSocket at a relay, from its beginning to its end. */
export class ServedConnection implements MessageChannelHandler {
  readonly #options: ServedConnectionOptions;
  #state: State;

  /** Begins the handshake. */
  constructor(options: ServedConnectionOptions) {
    const { authorize, arrival, channel, handshakeTimeoutMs, platform } = options;
    this.#options = options;
    const challenge = new Uint8Array(challengeLength);
    platform.randomFill(challenge);
    const handshake = new ServerHandshake({
      channel,
      challenge,
      authorize,
      token: arrival.token,
      provenId: arrival.provenId,
      remoteAddress: arrival.remoteAddress,
      admit: (id) => this.#handleAdmitted(id),
      fail: () => this.#fail(),
    });
    const timer = platform.setTimer(handshakeTimeoutMs, () => this.#fail({ now: true }));
    this.#state = { type: "handshake", handshake, timer };
    handshake.start();
  }

  /** Ends the connection; a client that was let in hears when to come back. */
  close(restart?: { readonly reconnectInMs: number; readonly tryForMs: number }): void {
    if (this.#state.type === "admitted" && restart !== undefined) {
      this.#state.link.sendRestarting(restart.reconnectInMs, restart.tryForMs);
    }
    this.#options.channel.close();
  }

  opened(): void {}

  message(bytes: Uint8Array): void {
    switch (this.#state.type) {
      case "handshake":
        this.#state.handshake.handleMessage(bytes);
        return;
      case "admitted":
        try {
          this.#state.link.handleMessage(bytes);
        } catch (error) {
          if (!(error instanceof RelayError)) {
            throw error;
          }
          this.#options.channel.close({ now: true });
        }
        return;
      case "failed":
        return;
    }
  }

  drained(): void {
    if (this.#state.type === "admitted") {
      this.#state.link.handleDrained();
    }
  }

  closed(): void {
    const link = this.#state.type === "admitted" ? this.#state.link : undefined;
    link?.handleClosed();
    this.#leaveHandshake();
    this.#options.ended(this, link);
  }

  #handleAdmitted(id: EndpointId): void {
    this.#leaveHandshake();
    this.#state = { type: "admitted", link: this.#options.admit(id) };
  }

  #fail(options?: { readonly now?: boolean }): void {
    this.#leaveHandshake();
    this.#state = { type: "failed" };
    this.#options.channel.close(options);
  }

  #leaveHandshake(): void {
    if (this.#state.type === "handshake") {
      this.#options.platform.clearTimer(this.#state.timer);
      this.#state.handshake.stop();
    }
  }
}
