import { encodeHex } from "../base/hex.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { IdentityError } from "../identity/identity-error.ts";
import { RelayError } from "./relay-error.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Ids remembered. The one that was met first goes first. */
const maxKnown = 4_096;
/** Ids met for the first time, in a second and at once. */
const newPerSecond = 200;
const newAtOnce = 1_000;

/**
 * The ids that a relay names. To check that bytes are the key of anybody takes 0.2 ms, so a relay that invents ids could
 * keep a client busy with small frames: new ones have a rate.
 */
export class SenderIds {
  readonly #known = new Map<string, EndpointId>();
  readonly #new: TokenBucket;

  constructor(now: number) {
    this.#new = new TokenBucket(newPerSecond, newAtOnce, now);
  }

  /** Undefined: too many new ones. Throws {@link RelayError} `invalid-frame` for what is no id. */
  get(bytes: Uint8Array, now: number): EndpointId | undefined {
    const key = encodeHex(bytes);
    const known = this.#known.get(key);
    if (known !== undefined) {
      return known;
    }
    if (!this.#new.tryTake(1, now)) {
      return undefined;
    }
    const id = readId(bytes);
    if (this.#known.size >= maxKnown) {
      const [oldest = ""] = this.#known.keys();
      this.#known.delete(oldest);
    }
    this.#known.set(key, id);
    return id;
  }
}

function readId(bytes: Uint8Array): EndpointId {
  try {
    return EndpointId.fromBytes(bytes);
  } catch (error) {
    if (!(error instanceof IdentityError)) {
      throw error;
    }
    throw new RelayError("invalid-frame", `invalid relay frame: ${error.message}`, {
      cause: error,
    });
  }
}
