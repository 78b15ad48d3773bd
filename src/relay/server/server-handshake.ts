import type { EndpointId } from "../../identity/endpoint-id.ts";
import type { MessageChannel } from "../message-channel.ts";
import { RelayError } from "../relay-error.ts";
import { decodeChallengeAnswer, encodeHandshakeFrame, isRightAnswer } from "../relay-handshake.ts";
import type { AuthorizeRelayClient } from "./relay-access.ts";

/** What a denied client is told where nobody gives a reason. */
const noReason = "not authorized";
/** Bytes of a reason that are sent. */
const maxReasonLength = 1_000;

export interface ServerHandshakeOptions {
  readonly channel: MessageChannel;
  /** 16 bytes that nobody can foretell. */
  readonly challenge: Uint8Array;
  readonly authorize: AuthorizeRelayClient | undefined;
  readonly token: string | undefined;
  /** Known before: there is no challenge then. */
  readonly provenId: EndpointId | undefined;
  readonly remoteAddress: string | undefined;
  /** The client has proven its id and may come in; it has not been told. */
  readonly admit: (id: EndpointId) => void;
  /** The client has been told that it may not, or sent what makes no sense: the connection has to end. */
  readonly fail: () => void;
}

/** A relay's part of the handshake, up to the decision. */
export class ServerHandshake {
  readonly #options: ServerHandshakeOptions;
  #phase: "challenged" | "deciding" | "over" = "challenged";

  constructor(options: ServerHandshakeOptions) {
    this.#options = options;
  }

  /** Sends the challenge, or decides at once. To be called once. */
  start(): void {
    const { challenge, channel, provenId } = this.#options;
    if (provenId === undefined) {
      channel.send(encodeHandshakeFrame({ type: "challenge", challenge }));
    } else {
      this.#phase = "deciding";
      this.#decide(provenId);
    }
  }

  handleMessage(message: Uint8Array): void {
    if (this.#phase !== "challenged") {
      // Nothing is due before the decision.
      this.#fail();
      return;
    }
    const { challenge } = this.#options;
    try {
      const answer = decodeChallengeAnswer(message);
      if (isRightAnswer(challenge, answer)) {
        this.#phase = "deciding";
        this.#decide(answer.id);
      } else {
        this.#deny("signature invalid");
      }
    } catch (error) {
      if (!(error instanceof RelayError)) {
        throw error;
      }
      this.#fail();
    }
  }

  /** The connection is over, or has to be. */
  stop(): void {
    this.#phase = "over";
  }

  #decide(id: EndpointId): void {
    const { authorize, token, remoteAddress } = this.#options;
    if (authorize === undefined) {
      this.#conclude(id, true);
      return;
    }
    // A hook that throws denies, whether it does so at once or later.
    new Promise<boolean | string>((resolve) =>
      resolve(authorize({ id, token, remoteAddress })),
    ).then(
      (verdict) => this.#conclude(id, verdict),
      () => this.#conclude(id, false),
    );
  }

  #conclude(id: EndpointId, verdict: boolean | string): void {
    if (this.#phase !== "deciding") {
      return;
    }
    if (verdict === true) {
      this.#phase = "over";
      this.#options.admit(id);
    } else {
      this.#deny(typeof verdict === "string" ? verdict.slice(0, maxReasonLength) : noReason);
    }
  }

  #deny(reason: string): void {
    this.#options.channel.send(encodeHandshakeFrame({ type: "denied", reason }));
    this.#fail();
  }

  #fail(): void {
    if (this.#phase !== "over") {
      this.#phase = "over";
      this.#options.fail();
    }
  }
}
