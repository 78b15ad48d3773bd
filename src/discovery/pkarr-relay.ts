import { onAbort } from "../base/on-abort.ts";
import { pause } from "../base/pause.ts";
import type { Platform } from "../base/platform.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { DiscoveryContext } from "./discovery.ts";
import { DiscoveryError } from "./discovery-error.ts";
import type { DiscoveryResponse } from "./discovery-network.ts";
import {
  encodePkarrPayload,
  maxPkarrPayloadBytes,
  type PkarrPacket,
  parsePkarrPayload,
} from "./pkarr-packet.ts";

/** For one request. Milliseconds. */
const requestTimeoutMs = 10_000;
/** What a relay that is asked too often can make us wait. Milliseconds. */
const maxRetryAfterMs = 60_000;
/** Of an error's text that is repeated in messages. Characters. */
const maxDetail = 200;

/** The requests to one pkarr relay: `PUT` and `GET <url>/<z-base-32 key>`. */
export class PkarrRelay {
  readonly #url: URL;
  readonly #platform: Platform;
  readonly #network: DiscoveryContext["network"];

  /** @throws TypeError for what is no http or https URL */
  constructor(url: string | URL, { platform, network }: DiscoveryContext) {
    this.#url = parsePkarrRelayUrl(url);
    this.#platform = platform;
    this.#network = network;
  }

  /**
   * Stores a packet, unless a newer one is there, which a relay does not tell. Waits as long as a relay asks for that gets
   * too many, and then fails. Throws DiscoveryError `unavailable` and `timeout`, and the signal's reason.
   */
  async put(packet: PkarrPacket, signal: AbortSignal): Promise<void> {
    const response = await this.#request(packet.id, signal, {
      method: "PUT",
      body: encodePkarrPayload(packet),
    });
    if (response.status === 429) {
      await pause(this.#platform, retryAfterMs(response), signal);
    }
    if (response.status < 200 || response.status > 299) {
      throw this.#refused(response);
    }
  }

  /**
   * The packet of a key, checked; undefined where the relay has none. Throws DiscoveryError `unavailable`, `timeout`,
   * `invalid-record` and `bad-signature`, and the signal's reason.
   */
  async get(id: EndpointId, signal: AbortSignal): Promise<PkarrPacket | undefined> {
    const response = await this.#request(id, signal, { method: "GET" });
    if (response.status === 404) {
      return undefined;
    }
    if (response.status !== 200) {
      throw this.#refused(response);
    }
    return parsePkarrPayload(id, response.body);
  }

  async #request(
    id: EndpointId,
    signal: AbortSignal,
    request: { readonly method: "GET" | "PUT"; readonly body?: Uint8Array },
  ): Promise<DiscoveryResponse> {
    signal.throwIfAborted();
    const url = new URL(this.#url);
    url.pathname = `${url.pathname.replace(/\/$/, "")}/${id.toZ32()}`;
    const stop = new AbortController();
    const stopListening = onAbort(signal, () => stop.abort(signal.reason));
    const timer = this.#platform.setTimer(requestTimeoutMs, () =>
      stop.abort(
        new DiscoveryError(
          "timeout",
          `${this.#url.host} did not answer within ${requestTimeoutMs} ms`,
        ),
      ),
    );
    try {
      // Errors of a relay are a little longer than packets.
      const maxBytes = maxPkarrPayloadBytes + 1_024;
      return await this.#network.request(url, { ...request, signal: stop.signal, maxBytes });
    } catch (error) {
      stop.signal.throwIfAborted();
      const problem = error instanceof Error ? error.message : String(error);
      throw new DiscoveryError("unavailable", `cannot reach ${this.#url.host}: ${problem}`, {
        cause: error,
      });
    } finally {
      this.#platform.clearTimer(timer);
      stopListening();
    }
  }

  #refused({ status, body }: DiscoveryResponse): DiscoveryError {
    const detail = new TextDecoder().decode(body).slice(0, maxDetail);
    return new DiscoveryError(
      "unavailable",
      `${this.#url.host} answered ${status}${detail === "" ? "" : ` ${JSON.stringify(detail)}`}`,
    );
  }
}

/** Throws TypeError for what is no http or https URL. */
export function parsePkarrRelayUrl(url: string | URL): URL {
  const parsed = new URL(url);
  if (!/^https?:$/.test(parsed.protocol)) {
    throw new TypeError(`invalid pkarr relay ${parsed.href}: expected an http or https URL`);
  }
  return parsed;
}

/** RFC 9110 §10.2.3, seconds alone. */
function retryAfterMs({ headers }: DiscoveryResponse): number {
  const seconds = Number(headers["retry-after"] ?? 1);
  return seconds >= 0 ? Math.min(seconds * 1_000, maxRetryAfterMs) : 1_000;
}
