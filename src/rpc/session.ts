import type { EndpointError } from "../endpoint/endpoint-error.ts";
import type { Http3Connection } from "../http3/http3-connection.ts";

/** What calls need of the HTTP/3 connection that they run on. */
export type HttpSession = Pick<
  Http3Connection,
  "activeRequests" | "queuedRequests" | "close" | "request" | "shutdown" | "state"
>;

/** One on a connection on which the peer may have leave to send requests, too, or this side needs it. */
export type LiveSession = HttpSession & Pick<Http3Connection, "sendsRequests">;

/** What a session tells its owner. */
export interface SessionEvents {
  /**
   * The dial goes on, and requests that do no harm when they arrive twice can be sent on this session: as early data. If the
   * dial brings the same session they have arrived, else they have not.
   */
  readonly early: (session: HttpSession) => void;
  /** It takes no new requests; those that are under way go on. */
  readonly goingAway: () => void;
  /** It is over, and so are its requests; the error says how it ended. */
  readonly closed: (error: EndpointError) => void;
}

/** Someone who waits for a session to send a request on. Gets exactly one of the two calls. */
export interface SessionWaiter {
  /** Where there are several peers: what may say which one it is to be. */
  readonly key?: string | undefined;
  /** Before one of the two others: see {@link SessionEvents.early}. */
  early?(session: HttpSession): void;
  ready(session: HttpSession): void;
  unreachable(error: unknown): void;
}
