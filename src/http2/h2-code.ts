// Error codes of HTTP/2 and of HTTP/3 that say the same (RFC 9113 §7, RFC 9114 §8.1).

import { H3 } from "../http3/h3-error.ts";

/** Error codes of HTTP/2 (RFC 9113 §7) that we send or look for. */
export const H2 = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  ENHANCE_YOUR_CALM: 0xb,
} as const;

/** How each code of HTTP/2 reads in a message, by its number. */
const names = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
] as const;

export function h2CodeName(code: number): string {
  return names[code] ?? `0x${code.toString(16)}`;
}

/** What HTTP/3 says in its place, so that both fail calls alike. What it has no word for stays the number that it is. */
export function h3CodeOf(code: number): bigint {
  switch (names[code]) {
    case "NO_ERROR":
      return H3.NO_ERROR;
    case "PROTOCOL_ERROR":
    case "FLOW_CONTROL_ERROR":
    case "SETTINGS_TIMEOUT":
    case "COMPRESSION_ERROR":
      return H3.GENERAL_PROTOCOL_ERROR;
    case "INTERNAL_ERROR":
      return H3.INTERNAL_ERROR;
    case "FRAME_SIZE_ERROR":
      return H3.FRAME_ERROR;
    case "REFUSED_STREAM":
      return H3.REQUEST_REJECTED;
    case "CANCEL":
      return H3.REQUEST_CANCELLED;
    case "CONNECT_ERROR":
      return H3.CONNECT_ERROR;
    case "ENHANCE_YOUR_CALM":
      return H3.EXCESSIVE_LOAD;
    case "HTTP_1_1_REQUIRED":
      return H3.VERSION_FALLBACK;
    default:
      return BigInt(code);
  }
}

/** The code with which HTTP/2 gives a stream up where HTTP/3 would say `code`. */
export function h2CodeOf(code: bigint): number {
  switch (code) {
    case H3.NO_ERROR:
      return H2.NO_ERROR;
    case H3.REQUEST_CANCELLED:
      return H2.CANCEL;
    case H3.REQUEST_REJECTED:
      return H2.REFUSED_STREAM;
    case H3.EXCESSIVE_LOAD:
      return H2.ENHANCE_YOUR_CALM;
    case H3.MESSAGE_ERROR:
    case H3.GENERAL_PROTOCOL_ERROR:
      return H2.PROTOCOL_ERROR;
    default:
      return H2.INTERNAL_ERROR;
  }
}
