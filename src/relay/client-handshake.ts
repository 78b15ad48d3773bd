import type { SecretKey } from "../identity/secret-key.ts";
import { RelayError } from "./relay-error.ts";
import { answerChallenge, decodeHandshakeFrame } from "./relay-handshake.ts";

/** What a message of the relay came to. */
export type HandshakeStep =
  | { readonly type: "answer"; readonly message: Uint8Array }
  | { readonly type: "confirmed" };

/** A client's part of the handshake: give it what arrives until it says `confirmed`. */
export class ClientHandshake {
  readonly #secretKey: SecretKey;
  #challenged = false;

  constructor(secretKey: SecretKey) {
    this.#secretKey = secretKey;
  }

  /** Throws {@link RelayError} `denied` with the relay's reason, or `invalid-frame`. */
  handleMessage(message: Uint8Array): HandshakeStep {
    const frame = decodeHandshakeFrame(message);
    switch (frame.type) {
      case "challenge":
        if (this.#challenged) {
          throw new RelayError("invalid-frame", "invalid relay handshake: a second challenge");
        }
        this.#challenged = true;
        return { type: "answer", message: answerChallenge(frame.challenge, this.#secretKey) };
      case "confirmed":
        return { type: "confirmed" };
      case "denied":
        throw new RelayError("denied", `the relay denies access: ${shown(frame.reason)}`);
    }
  }
}

/** Text of a stranger, made fit for a message. */
function shown(reason: string): string {
  return JSON.stringify(reason.length > 200 ? `${reason.slice(0, 199)}…` : reason);
}
