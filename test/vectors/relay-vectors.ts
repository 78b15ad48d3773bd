import { readFileSync } from "node:fs";
import { decodeHex } from "../../src/base/hex.ts";

// What iroh-relay 1.4.1 itself reads, writes and answers. An entry with `error` has iroh's name for what is wrong.

/** Hexadecimal digits, or a beginning and a byte that is repeated. */
export type LongBytes =
  | string
  | {
      readonly prefix?: string;
      readonly fill: string;
      readonly fill_len?: number;
      readonly len?: number;
    };

export type FrameVector =
  | { readonly type: "ping" | "pong"; readonly data_hex: string }
  | {
      readonly type: "datagrams";
      readonly endpoint_id: string;
      readonly ecn: null | "ect0" | "ect1" | "ce";
      readonly segment_size: number | null;
      readonly contents: LongBytes;
    }
  | { readonly type: "endpoint_gone"; readonly endpoint_id: string }
  | { readonly type: "health"; readonly problem: string }
  | { readonly type: "restarting"; readonly reconnect_in_ms: number; readonly try_for_ms: number }
  | { readonly type: "status"; readonly status: string; readonly code?: number };

export interface FrameOutcome {
  readonly decoded?: FrameVector;
  readonly error?: string;
}

export interface RelayFrameVectors {
  readonly client_to_relay: readonly {
    readonly name: string;
    readonly frame: LongBytes;
    readonly decoded: FrameVector;
  }[];
  readonly relay_to_client: readonly {
    readonly name: string;
    readonly versions: readonly (1 | 2)[];
    readonly frame: LongBytes;
    readonly decoded: FrameVector;
  }[];
  readonly refused_by_sender: readonly { readonly name: string; readonly message: FrameVector }[];
  readonly edge: readonly {
    readonly name: string;
    readonly frame: LongBytes;
    readonly at_relay: FrameOutcome;
    readonly at_client_v1: FrameOutcome;
    readonly at_client_v2: FrameOutcome;
  }[];
}

export interface RelayHandshakeVectors {
  readonly confirmation_frame: string;
  readonly challenges: readonly {
    readonly secret_hex: string;
    readonly public_hex: string;
    readonly challenge_hex: string;
    readonly server_challenge_frame: string;
    readonly message_hex: string;
    readonly signature_hex: string;
    readonly client_auth_frame: string;
  }[];
  readonly denials: readonly { readonly reason: string; readonly frame: string }[];
  readonly client_cases: readonly {
    readonly name: string;
    readonly server_sends: readonly string[];
    readonly client_sends: readonly string[];
    readonly result: "connected" | "error";
    readonly error?: string;
  }[];
  readonly server_cases: readonly {
    readonly name: string;
    readonly change: string;
    readonly server_sends_after: readonly string[];
    readonly result: "authenticated" | "error";
  }[];
  readonly header: readonly {
    readonly secret_hex: string;
    readonly exporter_label: string;
    readonly exporter_context_hex: string;
    readonly exported_hex: string;
    readonly header_value: string;
  }[];
  readonly header_cases: readonly {
    readonly name: string;
    readonly header_value: string;
    readonly server_export_hex: string | null;
    readonly result: string;
  }[];
}

export interface HttpVector {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly response: HttpResponseVector;
}

export interface HttpResponseVector {
  readonly status: number;
  readonly body?: string;
  readonly [header: string]: string | number | undefined;
}

export interface RelayHttpVectors {
  readonly base_headers: Readonly<Record<string, string>>;
  readonly upgrade: readonly {
    readonly name: string;
    readonly path: string;
    readonly change: Readonly<Record<string, string | null>>;
    readonly response: HttpResponseVector;
  }[];
  readonly routes: readonly HttpVector[];
  readonly access_tokens: readonly {
    readonly query: string | null;
    readonly authorization: string | null;
    readonly last_handshake_frame: string;
  }[];
}

export const relayFrameVectors: RelayFrameVectors = read("relay_frames.json");
export const relayHandshakeVectors: RelayHandshakeVectors = read("relay_handshake.json");
export const relayHttpVectors: RelayHttpVectors = read("relay_http.json");

export function longBytes(value: LongBytes): Uint8Array {
  if (typeof value === "string") {
    return decodeHex(value);
  }
  const { prefix = "", fill, fill_len = 0, len = fill_len } = value;
  return decodeHex(prefix + fill.repeat(len));
}

function read<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as T;
}
