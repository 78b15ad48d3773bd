import type { Engine } from "../engine.ts";
import { native } from "./native.ts";
import { QuicheEndpoint } from "./quiche-endpoint.ts";

/**
 * An engine on quiche and BoringSSL, for endpoints with web certificates that move much in large datagrams. It needs the
 * package `@matrixai/quic`, which has native binaries for some platforms, and throws {@link EngineError}
 * "engine-failed" without. For peers and their keys there is noq alone.
 *
 * The native module holds quiche 0.18.0, which has known faults. A peer can make it hold memory without end
 * (CVE-2024-1410, by ids of connections; CVE-2024-1765, by CRYPTO frames), keep a thread busy for ever (CVE-2025-7054), and
 * send faster than the network bears (CVE-2025-4820 and CVE-2025-4821, by acknowledging what it has not received).
 * From outside, only the last two can be bounded: no more than `sendWindow` is on its way. That connections do not
 * move to other addresses, have one id on our side and allow for two on the other is all that can be done about ids.
 * Who listens to strangers is better off with noq.
 *
 * What is not as the contract has it:
 * - `acknowledged` comes when quiche forgets the stream, which is when both halves are over, or when nothing at all of the
 *   connection is on its way; on a connection that is never quiet that may be late. `bytesUnacknowledged` is as much as
 *   can be, and right when it is 0.
 * - Codes of 62 bits cross the native module as doubles. One that would be rounded cannot be sent (RangeError); in resets
 *   and stops received codes are exact, in closes they are not above 2^53.
 * - Streams that are stopped may keep their credit; see `StopBudget`. What the peer resets before it was read stays
 *   counted against `receiveWindow`.
 * - Datagrams are `initialMtu` bytes long (or `loopbackMtu`) and stay so, up to 16,383; `maxMtu` and `multipath` do nothing, and a client
 *   whose address changes is not heard any more. Times of round trips are whole milliseconds.
 * - `idleTimeoutMs` is at least three probe timeouts (RFC 9000 §10.1): 3 s until something was received.
 * - A stream takes no more than the congestion window has room for, whatever `sendWindow` says.
 * - The client's order of protocols decides, not that of `alpns`. Early data is neither sent nor taken.
 * - `keyLog` and `exportKeyingMaterial` are errors ("invalid-options").
 * - A peer that resumes a TLS session is checked as when the session began.
 */
export function quiche(): Engine {
  native();
  return { name: "quiche", createEndpoint: (options) => new QuicheEndpoint(options) };
}
